/* SPDX-License-Identifier: Apache-2.0 */
/* space.c - reads the space section. Threads: any. */
#include "space.h"

#include <math.h>

#include "json.h"

#define MAX_DEPTH 8

static bool read_vector(double out[3], const dcb__json *root, const char *key)
{
    const dcb__json *array = dcb__json_member(root, key);
    if (array == NULL || array->type != DCB_JSON_ARRAY || array->count != 3)
        return false;
    for (uint32_t i = 0; i < 3; i++)
        if (!dcb__json_number(&array->values[i], &out[i]) || !isfinite(out[i]))
            return false;
    return true;
}

static bool is_direction(const double v[3])
{
    double length = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    return fabs(length - 1) < 1e-3;
}

dcb_status dcb__space_read(dcb__space *out, const uint8_t *bytes, size_t nbytes, uint64_t base,
                           dcb_error *error)
{
    *out = (dcb__space){.known = false};
    if (nbytes == 0)
        return DCB_OK;
    dcb__json_document *document = NULL;
    dcb_status status = dcb__json_parse(&document, bytes, nbytes, MAX_DEPTH, "space", base, error);
    if (status != DCB_OK)
        return status == DCB_ERR_META ? DCB_OK : status;
    const dcb__json *root = dcb__json_root(document);
    double shape[3];
    out->known =
        read_vector(shape, root, "shape") && read_vector(out->origin, root, "origin") &&
        read_vector(out->spacing, root, "spacing") && read_vector(out->x, root, "x_orientation") &&
        read_vector(out->y, root, "y_orientation") && read_vector(out->z, root, "z_orientation");
    dcb__json_close(document);
    out->known = out->known && out->spacing[0] > 0 && out->spacing[1] > 0 && out->spacing[2] > 0 &&
                 is_direction(out->x) && is_direction(out->y) && is_direction(out->z);
    if (out->known) {
        out->columns = shape[0];
        out->rows = shape[1];
        out->slices = shape[2];
    }
    return DCB_OK;
}
