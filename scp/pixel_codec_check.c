/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_codec_check.c - is a codestream of the shape that the data set tells?
 *
 * DCMTK's decoders fill what room they are given, whatever the codestream's own size: a picture
 * that is cut off or sheared would look decoded.
 */
#include "pixel_codec.h"

static unsigned load16(const uint8_t *from)
{
    return (unsigned)from[0] << 8 | from[1];
}

/* ---- JPEG and JPEG-LS: the frame header (ITU-T T.81 B.2.2, T.87 C.2.2) ----------------------- */

static bool is_frame_header(unsigned marker)
{
    /* SOF0 to SOF15 without DHT, JPG and DAC; SOF55 of JPEG-LS. */
    return marker == 0xF7 ||
           (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC);
}

/* A codestream that is cut off has no end marker; what is missing would be decoded as some gray. */
static bool is_whole(const uint8_t *bytes, size_t nbytes)
{
    while (nbytes > 2 && bytes[nbytes - 1] == 0)
        nbytes--;
    return nbytes >= 4 && load16(bytes) == 0xFFD8 && load16(bytes + nbytes - 2) == 0xFFD9;
}

static bool check_jpeg(const uint8_t *bytes, size_t nbytes, const dcb_pixel_shape *shape)
{
    if (!is_whole(bytes, nbytes))
        return false;
    for (size_t at = 2; at + 10 <= nbytes;) {
        if (bytes[at] != 0xFF)
            return false;
        if (bytes[at + 1] == 0xFF) { /* fill bytes */
            at++;
            continue;
        }
        if (is_frame_header(bytes[at + 1]))
            return bytes[at + 4] <= shape->bits_allocated &&
                   load16(bytes + at + 5) == shape->rows &&
                   load16(bytes + at + 7) == shape->columns &&
                   bytes[at + 9] == shape->samples_per_pixel;
        at += 2u + load16(bytes + at + 2);
    }
    return false;
}

/* ---- RLE (PS3.5 annex G) --------------------------------------------------------------------- */

static size_t load32_le(const uint8_t *from)
{
    return (size_t)from[0] | (size_t)from[1] << 8 | (size_t)from[2] << 16 | (size_t)from[3] << 24;
}

/* Does the segment hold exactly that many bytes? One more may pad it. */
static bool check_segment(const uint8_t *bytes, size_t nbytes, size_t wanted)
{
    size_t at = 0, have = 0;
    while (have < wanted && at < nbytes) {
        const uint8_t n = bytes[at++];
        if (n < 128) {
            have += n + 1u;
            at += n + 1u;
        } else if (n > 128) {
            have += 257u - n;
            at++;
        }
    }
    return have == wanted && at <= nbytes && nbytes - at <= 1;
}

static bool check_rle(const uint8_t *bytes, size_t nbytes, const dcb_pixel_shape *shape)
{
    const size_t count = (size_t)shape->samples_per_pixel * (shape->bits_allocated / 8u);
    if (nbytes < 64 || count > 15 || load32_le(bytes) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const size_t start = load32_le(bytes + 4 + 4 * i);
        const size_t end = i + 1 < count ? load32_le(bytes + 8 + 4 * i) : nbytes;
        if (start < 64 || start > end || end > nbytes ||
            !check_segment(bytes + start, end - start, (size_t)shape->rows * shape->columns))
            return false;
    }
    return true;
}

bool pixel_codec_check(const dcb_pixel_shape *shape, bool is_rle, const void *codestream,
                       size_t nbytes, scp_error *error)
{
    if (is_rle ? check_rle(codestream, nbytes, shape) : check_jpeg(codestream, nbytes, shape))
        return true;
    return scp_fail(error,
                    "its codestream is not the %u x %u x %u samples of %u bits that the "
                    "data set describes",
                    shape->columns, shape->rows, shape->samples_per_pixel,
                    shape->bits_allocated) == 0;
}
