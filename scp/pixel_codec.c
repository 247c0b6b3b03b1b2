/* SPDX-License-Identifier: Apache-2.0 */
/* pixel_codec.c - which adapter does which transfer syntax. */
#include "pixel_codec.h"

#include "sop_classes.h"

#include <stdio.h>
#include <string.h>

typedef enum coder { CODER_NONE, CODER_DCMTK, CODER_OPENJPEG } coder;

static const struct {
    const char *uid;
    coder decoder, encoder;
} coders[] = {
    {UID_RLE, CODER_DCMTK, CODER_DCMTK},
    {"1.2.840.10008.1.2.4.50", CODER_DCMTK, CODER_NONE}, /* JPEG baseline */
    {"1.2.840.10008.1.2.4.51", CODER_DCMTK, CODER_NONE}, /* JPEG extended */
    {"1.2.840.10008.1.2.4.53", CODER_DCMTK, CODER_NONE}, /* JPEG spectral selection, retired */
    {"1.2.840.10008.1.2.4.55", CODER_DCMTK, CODER_NONE}, /* JPEG progressive, retired */
    {UID_JPEG_LOSSLESS, CODER_DCMTK, CODER_NONE},
    {UID_JPEG_LOSSLESS_SV1, CODER_DCMTK, CODER_DCMTK},
    {UID_JPEG_LS_LOSSLESS, CODER_DCMTK, CODER_DCMTK},
    {"1.2.840.10008.1.2.4.81", CODER_DCMTK, CODER_NONE}, /* JPEG-LS near-lossless */
    {UID_J2K_LOSSLESS, CODER_OPENJPEG, CODER_OPENJPEG},
    {UID_J2K, CODER_OPENJPEG, CODER_NONE},
};

static coder find_coder(const char *uid, bool encodes)
{
    for (size_t i = 0; i < sizeof coders / sizeof coders[0]; i++) {
        if (strcmp(coders[i].uid, uid) == 0)
            return encodes ? coders[i].encoder : coders[i].decoder;
    }
    return CODER_NONE;
}

static dcb_status fail(dcb_error *out, dcb_status status, const scp_error *why)
{
    if (out != NULL) {
        *out = (dcb_error){status, UINT64_MAX, ""};
        snprintf(out->message, sizeof out->message, "%s", why->message);
    }
    return status;
}

static dcb_status decode(void *context, void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                         const char *uid, const void *codestream, size_t codestream_nbytes,
                         dcb_error *error)
{
    (void)context;
    scp_error why = SCP_ERROR_INIT;
    bool good = false;
    switch (find_coder(uid, false)) {
    case CODER_DCMTK:
        good = pixel_codec_check(shape, strcmp(uid, UID_RLE) == 0, codestream, codestream_nbytes,
                                 &why) &&
               pixel_codec_dcmtk_decode(samples, nbytes, shape, uid, codestream, codestream_nbytes,
                                        &why);
        break;
    case CODER_OPENJPEG:
        good =
            pixel_codec_openjpeg_decode(samples, nbytes, shape, strcmp(uid, UID_J2K_LOSSLESS) == 0,
                                        codestream, codestream_nbytes, &why);
        break;
    case CODER_NONE:
    default:
        scp_fail(&why, "there is no decoder for %s", uid);
        return fail(error, DCB_ERR_UNSUPPORTED, &why);
    }
    return good ? DCB_OK : fail(error, DCB_ERR_CODESTREAM, &why);
}

static dcb_status encode(void *context, uint8_t **codestream, size_t *codestream_nbytes,
                         const void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                         const char *uid, dcb_error *error)
{
    (void)context;
    scp_error why = SCP_ERROR_INIT;
    bool good = false;
    switch (find_coder(uid, true)) {
    case CODER_DCMTK:
        good = pixel_codec_dcmtk_encode(codestream, codestream_nbytes, samples, nbytes, shape, uid,
                                        &why);
        break;
    case CODER_OPENJPEG:
        good = pixel_codec_openjpeg_encode(codestream, codestream_nbytes, samples, nbytes, shape,
                                           &why);
        break;
    case CODER_NONE:
    default:
        scp_fail(&why, "there is no encoder for %s", uid);
        break;
    }
    return good ? DCB_OK : fail(error, DCB_ERR_ENCODING, &why);
}

const dcb_pixel_codec pixel_codec = {NULL, decode, encode};
