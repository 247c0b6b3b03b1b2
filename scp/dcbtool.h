/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool.h - what dcbtool's commands share. One thread. */
#ifndef DCBTOOL_H
#define DCBTOOL_H

#include "../reader/dcb.h"

#include <stddef.h>
#include <stdint.h>

enum dcbtool_exit { DCBTOOL_OK = 0, DCBTOOL_FAILED = 1, DCBTOOL_USAGE = 2 };

/* The commands; argv[0] is the command's name. They print their own errors. */
int dcbtool_info(int argc, char **argv);
int dcbtool_extract(int argc, char **argv);
int dcbtool_preview(int argc, char **argv);
int dcbtool_verify(int argc, char **argv);
int dcbtool_pack(int argc, char **argv);
int dcbtool_status(int argc, char **argv);
int dcbtool_query(int argc, char **argv);
int dcbtool_reindex(int argc, char **argv);
int dcbtool_password(int argc, char **argv);
int dcbtool_echo(int argc, char **argv);

/* One line on standard error. Return what the program is to exit with. */
int dcbtool_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int dcbtool_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "FILE: message (at byte N)". */
int dcbtool_file_failed(const char *path, const dcb_error *error);
/* "FILE: frame 3: message (at byte N)". */
int dcbtool_frame_failed(const char *path, uint32_t frame, const dcb_error *error);

/* What a node's HTTP port answered in place of what was asked for. */
struct http_endpoint;
int dcbtool_http_failed(const struct http_endpoint *endpoint, unsigned status, const char *body);

/* ---- What info tells ---- */

typedef struct info_syntax {
    char uid[65];
    uint32_t nframes;
} info_syntax;

typedef struct info_summary {
    const char *path;
    const dcb_series_info *series;
    dcb_dataset *first, *last; /* of the first and last frame, in UTF-8 */
    char sop_class_uid[65];
    info_syntax syntaxes[3];
    uint32_t nsyntaxes;
    uint64_t frame_bytes; /* of all readable codestreams */
    uint32_t *bad_frames; /* the frames whose codestream header cannot be read */
    uint32_t nbad_frames;
    dcb_error first_bad; /* why the first of them cannot */
    double step;         /* mm from slice to slice along the normal; 0: not known */
} info_summary;

extern const char *const dcbtool_section_names[DCB_SECTION_COUNT];
void dcbtool_print_json(const info_summary *summary);

#endif
