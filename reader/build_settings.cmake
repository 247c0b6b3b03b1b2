# SPDX-License-Identifier: Apache-2.0
# Language, options and warnings, for the whole project and for reader/ built alone.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(DCB_WERROR "Warnings are errors" OFF)
option(DCB_SHARED "Build libdcb.so beside libdcb.a" ON)
option(DCB_OPENJPH "Decode with OpenJPH first; OFF leaves OpenJPEG alone" ON)
set(DCB_SANITIZE "" CACHE STRING "Sanitizers for everything, e.g. address,undefined or thread")

add_library(dcb_build_flags INTERFACE)
target_compile_definitions(dcb_build_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(dcb_build_flags INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wformat=2 -fno-common
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings>
  $<$<BOOL:${DCB_WERROR}>:-Werror>)
if(DCB_SANITIZE)
  add_compile_options(-fsanitize=${DCB_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DCB_SANITIZE})
endif()

include(GNUInstallDirs)
