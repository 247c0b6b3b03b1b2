/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_geometry.c - how regular the slices of a series are.
 *
 * Locations are projections of Image Position on the normal of the first slice's plane; a series is
 * regular where their steps differ by less than a hundredth.
 */
#include "writer_geometry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAME_NUMBER 1e-4
#define SAME_STEP   0.01

typedef enum location_kind {
    LOCATION_REGULAR,
    LOCATION_REVERSED,
    LOCATION_DWELLS,
    LOCATION_GAP
} location_kind;

static bool same_numbers(const double *a, const double *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (fabs(a[i] - b[i]) > SAME_NUMBER)
            return false;
    return true;
}

static void normal_of(double normal[3], const double d[6])
{
    normal[0] = d[1] * d[5] - d[2] * d[4];
    normal[1] = d[2] * d[3] - d[0] * d[5];
    normal[2] = d[0] * d[4] - d[1] * d[3];
}

static double location_of(const dcb__slice_shape *slice, const double normal[3])
{
    const double *p = slice->geometry.position;
    return p[0] * normal[0] + p[1] * normal[1] + p[2] * normal[2];
}

static location_kind look_at_locations(double *step, const dcb__slice_shape *slices, uint32_t n,
                                       const double normal[3])
{
    double first = location_of(&slices[0], normal), last = location_of(&slices[n - 1], normal);
    bool rises = false, falls = false, dwells = false, gap = false;
    *step = n > 1 ? (last - first) / (n - 1) : 0;
    for (uint32_t i = 1; i < n; i++) {
        double d = location_of(&slices[i], normal) - location_of(&slices[i - 1], normal);
        rises = rises || d > SAME_NUMBER;
        falls = falls || d < -SAME_NUMBER;
        dwells = dwells || fabs(d) <= SAME_NUMBER;
        gap = gap || fabs(d - *step) > SAME_STEP * fabs(*step);
    }
    return rises && falls ? LOCATION_REVERSED
           : dwells       ? LOCATION_DWELLS
           : gap          ? LOCATION_GAP
                          : LOCATION_REGULAR;
}

static int compare_numbers(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

/* NULL: nothing is wrong with Instance Numbers. */
static const char *look_at_instance_numbers(const dcb__slice_shape *slices, uint32_t n,
                                            int64_t *scratch)
{
    bool missing = false, twice = false, gap = false;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (slices[i].geometry.has_number)
            scratch[count++] = slices[i].geometry.number;
        else
            missing = true;
    }
    qsort(scratch, count, sizeof *scratch, compare_numbers);
    for (uint32_t i = 1; i < count; i++) {
        twice = twice || scratch[i] == scratch[i - 1];
        gap = gap || scratch[i] > scratch[i - 1] + 1;
    }
    return twice     ? "duplicate_instance_numbers"
           : missing ? "missing_instance_number"
           : gap     ? "gap_instance_number"
                     : NULL;
}

const char *dcb__geometry_status(const dcb__slice_shape *slices, uint32_t n, int64_t *scratch)
{
    bool spacing = true, same_spacing = true, shape = true, direction = true;
    bool same_direction = true, position = true;
    const dcb__geometry *first = &slices[0].geometry;
    for (uint32_t i = 0; i < n; i++) {
        const dcb__geometry *g = &slices[i].geometry;
        spacing = spacing && g->has_spacing;
        same_spacing = same_spacing && same_numbers(g->spacing, first->spacing, 2);
        shape = shape && slices[i].rows == slices[0].rows && slices[i].columns == slices[0].columns;
        direction = direction && g->has_direction;
        same_direction = same_direction && same_numbers(g->direction, first->direction, 6);
        position = position && g->has_position;
    }
    const char *numbers = look_at_instance_numbers(slices, n, scratch);
    if (numbers != NULL)
        return numbers;
    if (!spacing)
        return "missing_spacing";
    if (!same_spacing)
        return "non_uniform_spacing";
    if (!shape)
        return "non_uniform_shape";
    if (!direction)
        return "missing_orientation";
    if (!same_direction)
        return "non_uniform_orientation";
    if (!position)
        return "missing_location";
    double normal[3], step;
    normal_of(normal, first->direction);
    switch (look_at_locations(&step, slices, n, normal)) {
    case LOCATION_REVERSED:
        return "reversed_location";
    case LOCATION_DWELLS:
        return "dwelling_location";
    case LOCATION_GAP:
        return "gap_location";
    case LOCATION_REGULAR:
        break;
    }
    return "consistent";
}

/* ---- space ----------------------------------------------------------------------------------- */

void dcb__put_json_number(dcb__writer *json, double number)
{
    char text[40];
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) /* written and read with the same locale */
            break;
    }
    bool whole = true;
    for (int i = 0; i < n; i++) {
        if (strchr("+-e0123456789", text[i]) == NULL)
            text[i] = '.'; /* whatever the locale's point is */
        whole = whole && text[i] != '.' && text[i] != 'e';
    }
    dcb__writer_append(json, text, (size_t)n);
    if (whole)
        dcb__writer_append(json, ".0", 2);
}

static void put(dcb__writer *json, const char *text)
{
    dcb__writer_append(json, text, strlen(text));
}

static void put_vector(dcb__writer *json, const char *key, const double *v)
{
    put(json, key);
    for (unsigned i = 0; i < 3; i++) {
        put(json, i == 0 ? "[" : ", ");
        dcb__put_json_number(json, v[i] == 0 ? 0.0 : v[i]);
    }
    put(json, "]");
}

void dcb__geometry_space(dcb__writer *json, const dcb__slice_shape *slices, uint32_t n)
{
    const dcb__geometry *first = &slices[0].geometry;
    for (uint32_t i = 0; i < n; i++) {
        const dcb__geometry *g = &slices[i].geometry;
        if (!g->has_spacing || !g->has_direction || !g->has_position ||
            !same_numbers(g->spacing, first->spacing, 2) ||
            !same_numbers(g->direction, first->direction, 6) || slices[i].rows != slices[0].rows ||
            slices[i].columns != slices[0].columns)
            return;
    }
    double normal[3], z[3], step;
    normal_of(normal, first->direction);
    if (look_at_locations(&step, slices, n, normal) != LOCATION_REGULAR)
        return;
    double distance = n > 1 ? fabs(step) : first->thickness;
    if (first->spacing[0] <= 0 || first->spacing[1] <= 0 || distance <= 0)
        return;
    for (unsigned i = 0; i < 3; i++)
        z[i] = step < 0 ? -normal[i] : normal[i];
    char shape[96];
    snprintf(shape, sizeof shape, "{\"shape\": [%" PRIu32 ", %" PRIu32 ", %" PRIu32 "]",
             slices[0].columns, slices[0].rows, n);
    put(json, shape);
    put_vector(json, ", \"origin\": ", first->position);
    put_vector(json,
               ", \"spacing\": ", (const double[]){first->spacing[1], first->spacing[0], distance});
    put_vector(json, ", \"x_orientation\": ", first->direction);
    put_vector(json, ", \"y_orientation\": ", first->direction + 3);
    put_vector(json, ", \"z_orientation\": ", z);
    put(json, "}");
}
