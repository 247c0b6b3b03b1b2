/* SPDX-License-Identifier: Apache-2.0 */
/* foreign_codestreams.h - tests/data/codestreams (see the README.md there) for the tests of codecs.
 */
#ifndef FOREIGN_CODESTREAMS_H
#define FOREIGN_CODESTREAMS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "temp_dir.h"

static inline size_t decoded_nbytes(const dcb__codestream *h, uint32_t reduce)
{
    return (size_t)dcb__codestream_reduced(h->columns, reduce) *
           dcb__codestream_reduced(h->rows, reduce) * h->components *
           dcb__codestream_sample_nbytes(h);
}

/* tests/data/codestreams/README.md */
static inline uint32_t foreign_sample(const dcb__codestream *h, uint32_t x, uint32_t y, unsigned c)
{
    uint32_t value = x * 5 + y * 3 + c * 40 + ((x * y) & 7);
    return value << (h->precision - 8) & ((1u << h->precision) - 1);
}

static inline uint32_t get_sample(const uint8_t *samples, size_t i, size_t nbytes)
{
    uint32_t value = 0;
    memcpy(&value, samples + i * nbytes, nbytes);
    return value;
}

static const struct {
    const char *name;
    uint32_t columns, rows;
    uint16_t components, precision;
    bool plain; /* OpenJPH decodes it */
    uint32_t tolerance;
    const char *uid;
} foreign[] = {
    {"mct", 37, 29, 3, 8, true, 0, ".201"},
    {"mct_16", 20, 30, 3, 16, true, 0, ".201"},
    {"mct_4_components", 21, 18, 4, 8, true, 0, ".201"},
    {"tiles", 70, 50, 1, 12, false, 0, ".201"},
    {"tiles_mct", 70, 50, 3, 8, false, 0, ".201"},
    {"image_offset", 41, 33, 1, 8, false, 0, ".201"},
    {"precincts_pcrl", 100, 60, 1, 8, false, 0, ".201"},
    {"cprl", 50, 40, 3, 8, false, 0, ".201"},
    {"rlcp_blocks_32x128", 150, 70, 1, 10, true, 0, ".201"},
    {"blocks_4x4", 30, 20, 1, 8, false, 0, ".201"},
    {"tlm_tile_parts", 80, 70, 1, 10, true, 0, ".202"},
    {"irreversible", 64, 48, 1, 8, false, 1, ".203"},
    {"irreversible_mct", 64, 48, 3, 8, false, 1, ".203"},
};

#define FOREIGN_COUNT (sizeof foreign / sizeof foreign[0])

static inline uint8_t *read_foreign(size_t i, size_t *nbytes)
{
    char path[sizeof TEST_DATA_DIR + 64];
    snprintf(path, sizeof path, "%s/codestreams/%s.j2c", TEST_DATA_DIR, foreign[i].name);
    return read_whole_file(path, nbytes);
}

static inline uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

#endif
