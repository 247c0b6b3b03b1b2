/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part10_file.c - reads DICOM files and turns their data sets into Explicit VR Little Endian.
 *
 * Data sets that are Explicit VR Little Endian already (those of all compressed syntaxes, deflated
 * ones inflated) stay byte by byte what they are; the others are parsed and encoded.
 */
#include "part10_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "dictionary.h"
#include "pixel_codec.h"

#define PREAMBLE     128u
#define MAX_FILE     (2u << 30)
#define MAX_INFLATED (1u << 30)

static const char IMPLICIT[] = "1.2.840.10008.1.2";
static const char EXPLICIT_BE[] = "1.2.840.10008.1.2.2";
static const char DEFLATED[] = "1.2.840.10008.1.2.1.99";

/* ---- The file -------------------------------------------------------------------------------- */

static bool read_all(part10_file *out, int fd, size_t nbytes)
{
    out->bytes = malloc(nbytes + 1);
    while (out->bytes != NULL && out->nbytes < nbytes) {
        ssize_t n = read(fd, out->bytes + out->nbytes, nbytes - out->nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        out->nbytes += (size_t)n;
    }
    return out->bytes != NULL;
}

static part10_result read_file(part10_file *out, const char *path, scp_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    char head[PREAMBLE + 4];
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        scp_fail(error, "cannot be read: %s", fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0)
            close(fd);
        return PART10_UNREADABLE;
    }
    part10_result result = PART10_OK;
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head + PREAMBLE, "DICM", 4) != 0) {
        result = PART10_NOT_DICOM;
    } else if ((uint64_t)st.st_size > MAX_FILE || !read_all(out, fd, (size_t)st.st_size)) {
        scp_fail(error, "cannot be read: %s",
                 (uint64_t)st.st_size > MAX_FILE ? "over 2 GiB" : strerror(errno));
        result = PART10_UNREADABLE;
    }
    close(fd);
    return result;
}

/* Group 2 is Explicit VR Little Endian (PS3.10 7.1); its own length is often wrong, so its elements
   are walked. */
static bool read_group_2(part10_file *out)
{
    size_t at = PREAMBLE + 4;
    while (at + 8 <= out->nbytes) {
        const uint8_t *e = out->bytes + at;
        if (e[0] != 2 || e[1] != 0)
            break;
        bool wide = dcb_vr_has_long_length(DCB_VR(e[4], e[5]));
        size_t head = wide ? 12 : 8;
        if (at + head > out->nbytes)
            return false;
        size_t length =
            wide ? (size_t)e[8] | (size_t)e[9] << 8 | (size_t)e[10] << 16 | (size_t)e[11] << 24
                 : (size_t)e[6] | (size_t)e[7] << 8;
        if (length > out->nbytes - at - head)
            return false;
        if (e[2] == 0x10 && e[3] == 0 && length < sizeof out->syntax_uid) {
            memcpy(out->syntax_uid, e + head, length);
            out->syntax_uid[length] = '\0';
            while (length > 0 && out->syntax_uid[length - 1] == ' ')
                out->syntax_uid[--length] = '\0';
        }
        at += head + length;
    }
    out->dataset = out->bytes + at;
    out->dataset_nbytes = out->nbytes - at;
    return out->syntax_uid[0] != '\0';
}

/* ---- Conversion ------------------------------------------------------------------------------ */

static bool inflate_dataset(part10_file *out)
{
    z_stream stream = {.next_in = (Bytef *)out->dataset, .avail_in = (uInt)out->dataset_nbytes};
    size_t room = 4 * out->dataset_nbytes + 65536;
    uint8_t *to = malloc(room);
    if (to == NULL || inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        free(to);
        return false;
    }
    size_t have = 0;
    int result = Z_OK;
    while (result == Z_OK) {
        if (have == room) {
            uint8_t *grown = room < MAX_INFLATED ? realloc(to, room * 2) : NULL;
            if (grown == NULL)
                break;
            to = grown;
            room *= 2;
        }
        stream.next_out = to + have;
        stream.avail_out = (uInt)(room - have);
        result = inflate(&stream, Z_NO_FLUSH);
        have = room - stream.avail_out;
    }
    inflateEnd(&stream);
    if (result != Z_STREAM_END) {
        free(to);
        return false;
    }
    out->converted = to;
    out->dataset = to;
    out->dataset_nbytes = have;
    return true;
}

/* "US or SS" of the dictionary, by Pixel Representation (PS3.5 A.1). */
static dcb_vr lookup_signed(void *context, uint32_t tag)
{
    static const uint32_t by_sign[] = {
        DCB_TAG(0x0028, 0x0104), DCB_TAG(0x0028, 0x0105), DCB_TAG(0x0028, 0x0106),
        DCB_TAG(0x0028, 0x0107), DCB_TAG(0x0028, 0x0108), DCB_TAG(0x0028, 0x0109),
        DCB_TAG(0x0028, 0x0110), DCB_TAG(0x0028, 0x0111), DCB_TAG(0x0028, 0x0120),
        DCB_TAG(0x0028, 0x0121), DCB_TAG(0x0028, 0x1101), DCB_TAG(0x0028, 0x1102),
        DCB_TAG(0x0028, 0x1103)};
    for (size_t i = 0; i < sizeof by_sign / sizeof *by_sign; i++)
        if (by_sign[i] == tag)
            return DCB_VR('S', 'S');
    return dictionary_vr(context, tag);
}

static bool is_signed(const dcb_dataset *dataset)
{
    const dcb_element *element = dcb_dataset_find(dataset, DCB_TAG(0x0028, 0x0103));
    return element != NULL && element->nbytes == 2 && element->value[0] == 1;
}

static bool convert(part10_file *out, dcb_syntax syntax, scp_error *error)
{
    dcb_error own = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    dcb_status status = dcb_dataset_parse(&dataset, out->dataset, out->dataset_nbytes, syntax,
                                          dictionary_vr, NULL, NULL, &own);
    if (status == DCB_OK && syntax == DCB_SYNTAX_IMPLICIT_LE && is_signed(dataset)) {
        dcb_dataset_close(dataset);
        dataset = NULL;
        status = dcb_dataset_parse(&dataset, out->dataset, out->dataset_nbytes, syntax,
                                   lookup_signed, NULL, NULL, &own);
    }
    if (status == DCB_OK)
        status = dcb_dataset_encode(&out->converted, &out->dataset_nbytes, dataset,
                                    DCB_SYNTAX_EXPLICIT_LE, &own);
    dcb_dataset_close(dataset);
    if (status != DCB_OK) {
        scp_fail(error, "%s", own.message);
        return false;
    }
    out->dataset = out->converted;
    return true;
}

/* Once the bytes are there. */
static part10_result read_bytes(part10_file *out, scp_error *error)
{
    if (!read_group_2(out)) {
        scp_fail(error, "its File Meta Information names no transfer syntax");
        return PART10_UNREADABLE;
    }
    bool good = true;
    if (strcmp(out->syntax_uid, DEFLATED) == 0) {
        good = inflate_dataset(out);
        if (!good)
            scp_fail(error, "its data set cannot be inflated");
    } else if (strcmp(out->syntax_uid, IMPLICIT) == 0) {
        good = convert(out, DCB_SYNTAX_IMPLICIT_LE, error);
    } else if (strcmp(out->syntax_uid, EXPLICIT_BE) == 0) {
        good = convert(out, DCB_SYNTAX_EXPLICIT_BE, error);
    }
    return good ? PART10_OK : PART10_UNREADABLE;
}

part10_result part10_file_read(part10_file *out, const char *path, scp_error *error)
{
    *out = (part10_file){.bytes = NULL};
    const part10_result result = read_file(out, path, error);
    return result == PART10_OK ? read_bytes(out, error) : result;
}

part10_result part10_file_copy(part10_file *out, const void *bytes, size_t nbytes, scp_error *error)
{
    *out = (part10_file){.bytes = malloc(nbytes + 1), .nbytes = nbytes};
    if (out->bytes == NULL) {
        scp_fail(error, "out of memory");
        return PART10_UNREADABLE;
    }
    memcpy(out->bytes, bytes, nbytes);
    return read_bytes(out, error);
}

void part10_file_close(part10_file *file)
{
    free(file->bytes);
    free(file->converted);
    free(file->samples);
    *file = (part10_file){.bytes = NULL};
}

/* ---- Elements and pixels --------------------------------------------------------------------- */

dcb_dataset *part10_file_elements(const part10_file *file, scp_error *error)
{
    dcb_dataset *dataset = NULL;
    dcb_error own = DCB_ERROR_INIT;
    dcb_status status = dcb_dataset_parse(&dataset, file->dataset, file->dataset_nbytes,
                                          DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, &own);
    /* Parsing stops at encapsulated Pixel Data: what comes before is what is asked for. */
    if (status == DCB_ERR_UNSUPPORTED && own.offset < file->dataset_nbytes)
        status = dcb_dataset_parse(&dataset, file->dataset, (size_t)own.offset,
                                   DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, &own);
    if (status != DCB_OK)
        scp_fail(error, "%s", own.message);
    return dataset;
}

static unsigned u16_of(const dcb_dataset *dataset, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    return element != NULL && element->nbytes >= 2
               ? (unsigned)element->value[0] | (unsigned)element->value[1] << 8
               : 0;
}

static bool decode_frame(part10_file *file, const dcb_dataset *d, scp_error *error)
{
    uint8_t *codestream = NULL;
    size_t nbytes = 0;
    dcb_error own = DCB_ERROR_INIT;
    char photometric[20] = "";
    dcb_dataset_get_text(d, DCB_TAG(0x0028, 0x0004), photometric, sizeof photometric);
    const dcb_pixel_shape shape = {.rows = u16_of(d, DCB_TAG(0x0028, 0x0010)),
                                   .columns = u16_of(d, DCB_TAG(0x0028, 0x0011)),
                                   .samples_per_pixel =
                                       (uint16_t)u16_of(d, DCB_TAG(0x0028, 0x0002)),
                                   .bits_allocated = (uint16_t)u16_of(d, DCB_TAG(0x0028, 0x0100)),
                                   .bits_stored = (uint16_t)u16_of(d, DCB_TAG(0x0028, 0x0101)),
                                   .is_signed = is_signed(d),
                                   .photometric_interpretation = photometric};
    if (shape.bits_allocated != 8 && shape.bits_allocated != 16 && shape.bits_allocated != 32) {
        scp_fail(error, "Bits Allocated is not 8, 16 or 32");
        return false;
    }
    const size_t size =
        (size_t)shape.rows * shape.columns * shape.samples_per_pixel * (shape.bits_allocated / 8u);
    dcb_status status =
        dcb_encapsulated_frame(&codestream, &nbytes, file->dataset, file->dataset_nbytes, &own);
    uint8_t *samples = status == DCB_OK && size <= MAX_INFLATED ? malloc(size + 1) : NULL;
    if (status == DCB_OK && samples == NULL) {
        free(codestream);
        return scp_fail(error, "out of memory for %zu bytes of samples", size) == 0;
    }
    if (status == DCB_OK)
        status = pixel_codec.decode(pixel_codec.context, samples, size, &shape, file->syntax_uid,
                                    codestream, nbytes, &own);
    free(codestream);
    if (status != DCB_OK) {
        free(samples);
        return scp_fail(error, "%s", own.message) == 0;
    }
    file->samples = samples;
    file->samples_nbytes = size;
    return true;
}

bool part10_file_decode(part10_file *file, scp_error *error)
{
    static const char *const decoded[] = {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.57",
                                          "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
                                          "1.2.840.10008.1.2.4.90"};
    bool decodes = false;
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
        decodes = decodes || strcmp(file->syntax_uid, decoded[i]) == 0;
    if (!decodes)
        return true;
    dcb_dataset *dataset = part10_file_elements(file, error);
    if (dataset == NULL)
        return false;
    char frames[16];
    ptrdiff_t length =
        dcb_dataset_get_text(dataset, DCB_TAG(0x0028, 0x0008), frames, sizeof frames);
    bool good = length <= 0 || strcmp(frames, "1") == 0;
    if (!good)
        scp_fail(error, "a multi-frame instance");
    else
        good = decode_frame(file, dataset, error);
    dcb_dataset_close(dataset);
    return good;
}
