/* SPDX-License-Identifier: Apache-2.0 */
/* vr.h - what the code needs to know of each value representation (PS3.5 6.2, 7.1.2). */
#ifndef VR_H
#define VR_H

#include "dcb.h"

#define DCB_VR_AE DCB_VR('A', 'E')
#define DCB_VR_AT DCB_VR('A', 'T')
#define DCB_VR_CS DCB_VR('C', 'S')
#define DCB_VR_LO DCB_VR('L', 'O')
#define DCB_VR_LT DCB_VR('L', 'T')
#define DCB_VR_OB DCB_VR('O', 'B')
#define DCB_VR_OW DCB_VR('O', 'W')
#define DCB_VR_PN DCB_VR('P', 'N')
#define DCB_VR_SQ DCB_VR('S', 'Q')
#define DCB_VR_ST DCB_VR('S', 'T')
#define DCB_VR_UI DCB_VR('U', 'I')
#define DCB_VR_UN DCB_VR('U', 'N')
#define DCB_VR_UR DCB_VR('U', 'R')
#define DCB_VR_UT DCB_VR('U', 'T')

/* Which spaces of a value mean nothing. */
typedef enum dcb__vr_trim {
    DCB_TRIM_NONE,     /* binary */
    DCB_TRIM_TRAILING, /* leading spaces are text: ST LT UT UC UR */
    DCB_TRIM_BOTH,
} dcb__vr_trim;

typedef struct dcb__vr_info {
    dcb_vr vr;
    uint8_t unit; /* bytes that big endian turns round: 1, 2, 4 or 8 */
    uint8_t pad;  /* the byte that makes the length even */
    bool long_length;
    bool text;    /* in the character set of (0008,0005) */
    bool several; /* a backslash separates values; false for binary and ST LT UT UR */
    dcb__vr_trim trim;
} dcb__vr_info;

/* NULL where the VR is not one of table 6.2-1. */
const dcb__vr_info *dcb__vr_info_of(dcb_vr vr);
/* The same, but the row of UN instead of NULL. */
const dcb__vr_info *dcb__vr_info_or_un(dcb_vr vr);

#endif
