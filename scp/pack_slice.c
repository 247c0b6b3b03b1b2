/* SPDX-License-Identifier: Apache-2.0 */
/* pack_slice.c - see pack_slice.h. */
#include "pack_slice.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- What a data set says -------------------------------------------------------------------- */

uint64_t pack_hash(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return (hash ^ 0x1F) * 0x100000001B3u;
}

static size_t numbers_of(double *numbers, size_t n, const dcb_dataset *dataset, uint32_t tag)
{
    char text[256];
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    size_t count = 0;
    for (const char *at = text; length > 0 && (size_t)length < sizeof text && count < n;) {
        char *end = NULL;
        numbers[count] = strtod(at, &end);
        if (end == at || !isfinite(numbers[count]))
            return 0;
        count++;
        if (*end != '\\')
            break;
        at = end + 1;
    }
    return count;
}

static uint64_t kind_of(const dcb_dataset *dataset)
{
    static const uint32_t numbers[] = {DCB_TAG(0x0028, 0x0002), DCB_TAG(0x0028, 0x0100),
                                       DCB_TAG(0x0028, 0x0103)};
    static const uint32_t texts[] = {DCB_TAG(0x0028, 0x1053), DCB_TAG(0x0028, 0x1052)};
    uint64_t hash = PACK_HASH_START;
    char text[64];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const dcb_element *element = dcb_dataset_find(dataset, numbers[i]);
        snprintf(text, sizeof text, "%u",
                 element != NULL && element->nbytes >= 2
                     ? (unsigned)element->value[0] | (unsigned)element->value[1] << 8
                     : 0);
        hash = pack_hash(hash, text);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double number = i == 0 ? 1 : 0; /* what a missing one means */
        numbers_of(&number, 1, dataset, texts[i]);
        snprintf(text, sizeof text, "%.17g", number);
        hash = pack_hash(hash, text);
    }
    return hash != 0 ? hash : 1;
}

void pack_slice_read(pack_slice *out, const dcb_dataset *dataset)
{
    *out = (pack_slice)PACK_SLICE_INIT;
    out->kind = kind_of(dataset);
    out->has_place = numbers_of(out->direction, 6, dataset, DCB_TAG(0x0020, 0x0037)) == 6 &&
                     numbers_of(out->position, 3, dataset, DCB_TAG(0x0020, 0x0032)) == 3;
    double number;
    if (numbers_of(&number, 1, dataset, DCB_TAG(0x0020, 0x0013)) == 1 && fabs(number) < 1e15)
        out->number = (int64_t)number;
}

/* ---- Order ----------------------------------------------------------------------------------- */

static int compare_numbers(const pack_slice *a, const pack_slice *b)
{
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->source < b->source ? -1 : a->source > b->source;
}

static int compare_locations(const void *left, const void *right)
{
    const pack_slice *a = left, *b = right;
    if (a->location != b->location)
        return a->location < b->location ? -1 : 1;
    return compare_numbers(a, b);
}

static int compare_by_number(const void *left, const void *right)
{
    return compare_numbers(left, right);
}

/* False where a slice has no place, another plane, or the place of another. */
static bool sort_by_location(pack_slice *slices, size_t n)
{
    const double *d = slices[0].direction;
    const double first[6] = {d[0], d[1], d[2], d[3], d[4], d[5]};
    const double normal[3] = {d[1] * d[5] - d[2] * d[4], d[2] * d[3] - d[0] * d[5],
                              d[0] * d[4] - d[1] * d[3]};
    for (size_t i = 0; i < n; i++) {
        if (!slices[i].has_place)
            return false;
        slices[i].location = 0;
        for (unsigned k = 0; k < 6; k++)
            if (fabs(slices[i].direction[k] - first[k]) > 1e-4)
                return false;
        for (unsigned k = 0; k < 3; k++)
            slices[i].location += normal[k] * slices[i].position[k];
    }
    qsort(slices, n, sizeof *slices, compare_locations);
    for (size_t i = 1; i < n; i++)
        if (slices[i].location - slices[i - 1].location < 1e-4)
            return false;
    return true;
}

void pack_slices_sort(pack_slice *slices, size_t n)
{
    if (n > 0 && !sort_by_location(slices, n))
        qsort(slices, n, sizeof *slices, compare_by_number);
}

uint64_t pack_common_kind(const pack_slice *slices, size_t n)
{
    uint64_t candidate = 0; /* the majority vote of Boyer and Moore */
    size_t votes = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        if (votes == 0)
            candidate = slices[i].kind;
        votes = slices[i].kind == candidate ? votes + 1 : votes - 1;
    }
    for (size_t i = 0; i < n; i++)
        count += slices[i].kind == candidate;
    return 2 * count > n ? candidate : 0;
}

/* ---- Copies ---------------------------------------------------------------------------------- */

static bool copy_bytes(int from, int to)
{
    char buffer[1 << 16];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to, buffer + done, (size_t)(n - done));
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                return false;
            done += written;
        }
    }
}

int pack_copy(const char *from, const char *to)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = source < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int trouble = target < 0 || !copy_bytes(source, target) || fsync(target) != 0 ? errno : 0;
    if (source >= 0)
        close(source);
    if (target >= 0 && close(target) != 0 && trouble == 0)
        trouble = errno;
    if (trouble != 0 && target >= 0)
        unlink(to);
    return trouble;
}
