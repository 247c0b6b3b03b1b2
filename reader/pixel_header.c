/* SPDX-License-Identifier: Apache-2.0 */
/* pixel_header.c - reads the pixel_header section. A spelling that is not understood would put
   every value off, so what must be there is an error where it is not. Threads: any. */
#include "pixel_header.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "json.h"

#define MAX_DEPTH 32

/* The value under either spelling; NULL where it is missing or null. */
static const dcb__json *member(const dcb__json *root, const char *pascal, const char *upper)
{
    const dcb__json *value = dcb__json_member(root, pascal);
    if (value == NULL)
        value = dcb__json_member(root, upper);
    return value != NULL && value->type == DCB_JSON_NULL ? NULL : value;
}

static dcb_status read_number(double *out, const dcb__json *root, const char *pascal,
                              const char *upper, double missing, uint64_t base, dcb_error *error)
{
    const dcb__json *value = member(root, pascal, upper);
    *out = missing;
    if (value == NULL)
        return DCB_OK;
    if (!dcb__json_number(value, out) || !isfinite(*out))
        return dcb__fail(error, DCB_ERR_META, base, "pixel_header: %s is not a finite number",
                         pascal);
    return DCB_OK;
}

static dcb_status read_dtype(dcb__pixel_header *out, const dcb__json *root, uint64_t base,
                             dcb_error *error)
{
    static const struct {
        const char *name;
        uint16_t bits;
        bool is_signed;
    } dtypes[] = {{"uint8", 8, false}, {"int8", 8, true},     {"uint16", 16, false},
                  {"int16", 16, true}, {"uint32", 32, false}, {"int32", 32, true}};
    const dcb__json *value = member(root, "PixelDtype", "PIXEL_DTYPE");
    out->upper_snake = dcb__json_member(root, "PixelDtype") == NULL;
    if (value == NULL)
        return dcb__fail(error, DCB_ERR_META, base, "pixel_header: PixelDtype is missing");
    for (size_t i = 0; value->type == DCB_JSON_STRING && i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(value->text, dtypes[i].name) == 0) {
            out->bits = dtypes[i].bits;
            out->is_signed = dtypes[i].is_signed;
            return DCB_OK;
        }
    }
    return dcb__fail(error, DCB_ERR_UNSUPPORTED, base,
                     "pixel_header: PixelDtype is none of (u)int8, (u)int16, (u)int32");
}

static dcb_status read_members(dcb__pixel_header *out, const dcb__json *root, uint64_t base,
                               dcb_error *error)
{
    if (root->type != DCB_JSON_OBJECT)
        return dcb__fail(error, DCB_ERR_META, base, "pixel_header is not a JSON object");
    dcb_status status = read_dtype(out, root, base, error);
    if (status == DCB_OK)
        status = read_number(&out->slope, root, "RescaleSlope", "RESCALE_SLOPE", 1, base, error);
    if (status == DCB_OK)
        status = read_number(&out->intercept, root, "RescaleIntercept", "RESCALE_INTERCEPT", 0,
                             base, error);
    if (status == DCB_OK && out->slope == 0)
        status = dcb__fail(error, DCB_ERR_META, base, "pixel_header: RescaleSlope is 0");
    if (status != DCB_OK)
        return status;
    out->has_trailer = dcb__json_member(root, "DcbTrailer") != NULL;
    /* A window is a wish, not a measurement: one that is not a number is left out. */
    const dcb__json *center = member(root, "WindowCenter", "WINDOW_CENTER");
    const dcb__json *width = member(root, "WindowWidth", "WINDOW_WIDTH");
    out->has_window = dcb__json_number(center, &out->window_center) &&
                      dcb__json_number(width, &out->window_width) && isfinite(out->window_center) &&
                      isfinite(out->window_width) && out->window_width >= 1;
    return DCB_OK;
}

dcb_status dcb__pixel_header_read(dcb__pixel_header *out, const uint8_t *bytes, size_t nbytes,
                                  uint64_t base, dcb_error *error)
{
    *out = (dcb__pixel_header){0};
    if (nbytes == 0)
        return dcb__fail(error, DCB_ERR_FORMAT, base, "the file has no pixel_header");
    dcb__json_document *document = NULL;
    dcb_status status =
        dcb__json_parse(&document, bytes, nbytes, MAX_DEPTH, "pixel_header", base, error);
    if (status == DCB_OK)
        status = read_members(out, dcb__json_root(document), base, error);
    dcb__json_close(document);
    return status;
}
