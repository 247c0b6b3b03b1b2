/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset.h - text of DICOM's Specific Character Sets to UTF-8 and back (PS3.3 C.12.1.1.2, PS3.5
 * 6.1, annexes H to K).
 *
 * Single-byte sets (ISO_IR 6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203), the same
 * and multi-byte ones by ISO 2022 code extension (IR 13, 87, 149, 159, 58), and the sets without it
 * (ISO_IR 192, GB18030, GBK).
 *
 * Threads: a dcb__charset is immutable once made; conversions may run in any thread.
 */
#ifndef CHARSET_H
#define CHARSET_H

#include "dcb.h"

typedef struct dcb__charset dcb__charset;

/* value: (0008,0005) as in the data set, backslash-separated; "" or NULL is the default repertoire.
   Unknown terms fail with DCB_ERR_UNSUPPORTED, as do multi-byte sets that this system's iconv does
   not have. Common misspellings of senders (ISO-IR 100, ISO IR 100, ISO 2022 IR 100 alone, ISO 2022
   IR 87 alone, UTF-8) are taken for what they mean. */
dcb_status dcb__charset_open(dcb__charset **out, const char *value, dcb_error *error);
void dcb__charset_close(dcb__charset *charset);

/* Bytes of one element (all its values) to UTF-8; free() *text; NUL-terminated. Never fails for
   bad bytes: they become U+FFFD. In single-valued VRs (ST LT UT) a backslash is text. Code
   extensions end at delimiters (PS3.5 6.1.2.5.3): backslash, and ^ and = in PN, CR LF FF TAB. */
dcb_status dcb__charset_decode(char **text, size_t *nbytes, const dcb__charset *charset, dcb_vr vr,
                               const void *bytes, size_t bytes_nbytes, dcb_error *error);

/* True where the bytes are the same in UTF-8 and in the charset: plain ASCII, and nothing that the
   charset takes for something else. Then neither conversion is needed. */
bool dcb__charset_is_same(const dcb__charset *charset, const void *bytes, size_t nbytes);

/* UTF-8 to bytes of the set; DCB_ERR_ENCODING (quietly: it is the caller's cue for ISO_IR 192)
   where it cannot hold the text. Escapes return to the initial set before each delimiter and at
   the end. The result is not padded. free() *bytes. */
dcb_status dcb__charset_encode(uint8_t **bytes, size_t *nbytes, const dcb__charset *charset,
                               dcb_vr vr, const char *text, size_t text_nbytes, dcb_error *error);

#endif
