/* SPDX-License-Identifier: Apache-2.0 */
/* vr.c - the table of value representations (PS3.5 tables 6.2-1, 7.1-1 and section 6.2). */
#include "vr.h"

#define LETTERS     26
#define PLACE(a, b) (((a) - 'A') * LETTERS + ((b) - 'A'))
/* letters, unit, pad, long length, text, several values, trim */
#define ROW(a, b, ...) [PLACE(a, b)] = {DCB_VR(a, b), __VA_ARGS__}

/* By letters, so that the look-up is one load: it is made for every element read or written. */
static const dcb__vr_info table[LETTERS * LETTERS] = {
    ROW('A', 'E', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('A', 'S', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('A', 'T', 2, 0, false, false, false, DCB_TRIM_NONE),
    ROW('C', 'S', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('D', 'A', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('D', 'S', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('D', 'T', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('F', 'D', 8, 0, false, false, false, DCB_TRIM_NONE),
    ROW('F', 'L', 4, 0, false, false, false, DCB_TRIM_NONE),
    ROW('I', 'S', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('L', 'O', 1, ' ', false, true, true, DCB_TRIM_BOTH),
    ROW('L', 'T', 1, ' ', false, true, false, DCB_TRIM_TRAILING),
    ROW('O', 'B', 1, 0, true, false, false, DCB_TRIM_NONE),
    ROW('O', 'D', 8, 0, true, false, false, DCB_TRIM_NONE),
    ROW('O', 'F', 4, 0, true, false, false, DCB_TRIM_NONE),
    ROW('O', 'L', 4, 0, true, false, false, DCB_TRIM_NONE),
    ROW('O', 'V', 8, 0, true, false, false, DCB_TRIM_NONE),
    ROW('O', 'W', 2, 0, true, false, false, DCB_TRIM_NONE),
    ROW('P', 'N', 1, ' ', false, true, true, DCB_TRIM_BOTH),
    ROW('S', 'H', 1, ' ', false, true, true, DCB_TRIM_BOTH),
    ROW('S', 'L', 4, 0, false, false, false, DCB_TRIM_NONE),
    ROW('S', 'Q', 1, 0, true, false, false, DCB_TRIM_NONE),
    ROW('S', 'S', 2, 0, false, false, false, DCB_TRIM_NONE),
    ROW('S', 'T', 1, ' ', false, true, false, DCB_TRIM_TRAILING),
    ROW('S', 'V', 8, 0, true, false, false, DCB_TRIM_NONE),
    ROW('T', 'M', 1, ' ', false, false, true, DCB_TRIM_BOTH),
    ROW('U', 'C', 1, ' ', true, true, true, DCB_TRIM_TRAILING),
    ROW('U', 'I', 1, 0, false, false, true, DCB_TRIM_BOTH),
    ROW('U', 'L', 4, 0, false, false, false, DCB_TRIM_NONE),
    ROW('U', 'N', 1, 0, true, false, false, DCB_TRIM_NONE),
    ROW('U', 'R', 1, ' ', true, false, false, DCB_TRIM_TRAILING),
    ROW('U', 'S', 2, 0, false, false, false, DCB_TRIM_NONE),
    ROW('U', 'T', 1, ' ', true, true, false, DCB_TRIM_TRAILING),
    ROW('U', 'V', 8, 0, true, false, false, DCB_TRIM_NONE),
};

const dcb__vr_info *dcb__vr_info_of(dcb_vr vr)
{
    unsigned a = vr >> 8, b = vr & 0xFF;
    if (a < 'A' || a > 'Z' || b < 'A' || b > 'Z')
        return NULL;
    const dcb__vr_info *info = &table[PLACE(a, b)];
    return info->vr == vr ? info : NULL;
}

const dcb__vr_info *dcb__vr_info_or_un(dcb_vr vr)
{
    const dcb__vr_info *info = dcb__vr_info_of(vr);
    return info != NULL ? info : &table[PLACE('U', 'N')];
}

bool dcb_vr_is_known(dcb_vr vr)
{
    return dcb__vr_info_of(vr) != NULL;
}

bool dcb_vr_is_text(dcb_vr vr)
{
    return dcb__vr_info_or_un(vr)->text;
}

bool dcb_vr_has_long_length(dcb_vr vr)
{
    return dcb__vr_info_or_un(vr)->long_length;
}
