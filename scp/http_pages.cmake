# SPDX-License-Identifier: Apache-2.0
#
# cmake -DFILES="a.html;b.css" -DOUTPUT=http_pages.h -P http_pages.cmake
#
# Writes the files of the status page as a C table: the HTML at /, the others at /status.css and so
# on (http_status.css without its "http_").
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(arrays "")
set(rows "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  get_filename_component(ending ${file} LAST_EXT)
  string(SUBSTRING ${ending} 1 -1 ending)
  string(REGEX REPLACE "^http_" "/" path ${name})
  if(ending STREQUAL "html")
    set(path "/")
  endif()
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char HTTP_PAGE_${ending}[] = {${bytes}};\n")
  string(APPEND rows
    "    {\"${path}\", \"${types_${ending}}\", HTTP_PAGE_${ending}, sizeof HTTP_PAGE_${ending}},\n")
endforeach()
file(WRITE ${OUTPUT}
"/* Made by http_pages.cmake from the files beside it. */
typedef struct http_page {
    const char *path, *type;
    const unsigned char *bytes;
    unsigned long nbytes;
} http_page;
${arrays}static const http_page HTTP_PAGES[] = {
${rows}};
")
