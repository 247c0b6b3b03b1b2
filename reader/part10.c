/* SPDX-License-Identifier: Apache-2.0 */
/* part10.c - preamble and File Meta Information. Threads: any. */
#include "part10.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"

#define MAX_UID 64u

static uint8_t *put_header(uint8_t *to, unsigned element, const char *vr, size_t nbytes)
{
    dcb__store(to, 0x0002, 2);
    dcb__store(to + 2, element, 2);
    memcpy(to + 4, vr, 2);
    dcb__store(to + 6, nbytes, 2);
    return to + 8;
}

/* UI is padded with NUL, SH with a space. */
static uint8_t *put_text(uint8_t *to, unsigned element, const char *vr, const char *text, char pad)
{
    size_t nbytes = strlen(text);
    assert(nbytes <= MAX_UID);
    to = put_header(to, element, vr, nbytes + (nbytes & 1));
    memcpy(to, text, nbytes);
    to += nbytes;
    if (nbytes & 1)
        *to++ = (uint8_t)pad;
    return to;
}

size_t dcb__part10_header(uint8_t to[DCB_PART10_ROOM], const char *transfer_syntax_uid,
                          const char *sop_class_uid, const char *sop_instance_uid)
{
    static const uint8_t version[] = {2, 0, 0x01, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1};
    memset(to, 0, 128);
    memcpy(to + 128, "DICM", 4);
    uint8_t *length = put_header(to + 132, 0x0000, "UL", 4);
    uint8_t *start = length + 4, *end = start;
    memcpy(end, version, sizeof version);
    end += sizeof version;
    end = put_text(end, 0x0002, "UI", sop_class_uid, '\0');
    end = put_text(end, 0x0003, "UI", sop_instance_uid, '\0');
    end = put_text(end, 0x0010, "UI", transfer_syntax_uid, '\0');
    end = put_text(end, 0x0012, "UI", DCB_IMPLEMENTATION_CLASS_UID, '\0');
    end = put_text(end, 0x0013, "SH", DCB_IMPLEMENTATION_VERSION_NAME, ' ');
    dcb__store(length, (uint64_t)(end - start), 4);
    return (size_t)(end - to);
}

size_t dcb_part10_header(uint8_t to[DCB_PART10_HEADER_MAX], const char *transfer_syntax_uid,
                         const char *sop_class_uid, const char *sop_instance_uid)
{
    _Static_assert(DCB_PART10_HEADER_MAX == DCB_PART10_ROOM, "the same room");
    return dcb__part10_header(to, transfer_syntax_uid, sop_class_uid, sop_instance_uid);
}
