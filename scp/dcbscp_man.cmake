# SPDX-License-Identifier: Apache-2.0
#
# Makes dcbscp's manual page: the options come from `dcbscp --help`, that is from the one table in
# options.c.
#
#   cmake -D PROGRAM=dcbscp -D PROJECT_VERSION=V -D IN=dcbscp.8.in -D OUT=dcbscp.8 -P dcbscp_man.cmake
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${PROGRAM} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
# Lists must not fall apart at semicolons and brackets of the text.
string(REPLACE ";" "<semicolon>" help "${help}")
string(REPLACE "[" "<open>" help "${help}")
string(REPLACE "]" "<close>" help "${help}")
string(REPLACE "\\" "\\e" help "${help}")
string(REPLACE "\n" ";" help "${help}")

set(OPTIONS "")
set(SETTINGS "")
set(part OPTIONS)
foreach(line IN LISTS help)
  if(line MATCHES "^Only in the configuration file")
    set(part SETTINGS)
  elseif(line MATCHES "^  --?([a-z-]+)( [^ ]+)?( +(.*))?$")
    set(text "${CMAKE_MATCH_4}")
    string(STRIP "${CMAKE_MATCH_2}" argument)
    string(REGEX REPLACE "^  -([a-z-]+).*" "\\1" flag "${line}")
    string(APPEND OPTIONS ".It Fl ${flag}")
    if(NOT argument STREQUAL "")
      string(APPEND OPTIONS " Ar ${argument}")
    endif()
    string(APPEND OPTIONS "\n")
    if(NOT text STREQUAL "")
      string(APPEND OPTIONS "${text}\n")
    endif()
  elseif(part STREQUAL "SETTINGS" AND line MATCHES "^  ([a-z0-9_.]+) +(.*)$")
    string(APPEND SETTINGS ".It Cm ${CMAKE_MATCH_1}\n${CMAKE_MATCH_2}\n")
  elseif(line MATCHES "^   +([^ ].*)$")
    string(APPEND ${part} "${CMAKE_MATCH_1}\n")
  endif()
endforeach()

foreach(list OPTIONS SETTINGS)
  if(NOT ${list})
    message(FATAL_ERROR "no ${list} found in what ${PROGRAM} --help prints")
  endif()
  string(REPLACE "<semicolon>" "\;" ${list} "${${list}}")
  string(REPLACE "<open>" "[" ${list} "${${list}}")
  string(REPLACE "<close>" "]" ${list} "${${list}}")
  string(REPLACE "\;" ";" ${list} "${${list}}")
endforeach()
configure_file(${IN} ${OUT} @ONLY NEWLINE_STYLE UNIX)
