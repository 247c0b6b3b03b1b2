/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutate_series.c - libFuzzer's mutations inside a container: one section or frame is taken out
 * (dicommeta unpacked), mutated, and the file put together anew around it. Otherwise nearly every
 * mutation would end at the container's own checks or at zstd. One in four is of the bare bytes.
 */
#include <string.h>
#include <zstd.h>

#include "fuzz.h"
#include "make_dcbs.h"
#include "mutate_json.h"

#define MAX_PART   (256u << 10)
#define MAX_FRAMES 16
#define MAX_GROWTH 4096

typedef struct part {
    uint8_t *bytes; /* NUL-terminated */
    size_t nbytes;
} part;

enum { STATUS, META, SPACE, PIXEL_HEADER, FRAMES, NPARTS = FRAMES + MAX_FRAMES };

static uint64_t load64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | from[i];
    return value;
}

/* room: beside the NUL. */
static part part_new(const uint8_t *from, size_t nbytes, size_t room)
{
    part made = {malloc(room + 1), nbytes};
    if (made.bytes == NULL)
        abort();
    if (nbytes > 0)
        memcpy(made.bytes, from, nbytes);
    made.bytes[nbytes] = '\0';
    return made;
}

/* False where the place is not inside the file. */
static bool take_part(part *out, const uint8_t *file, size_t file_nbytes, uint64_t offset,
                      uint64_t nbytes)
{
    if (offset > file_nbytes || nbytes > file_nbytes - offset || nbytes > MAX_PART)
        return false;
    *out = part_new(file + offset, (size_t)nbytes, (size_t)nbytes);
    return true;
}

static bool unpack(part *meta)
{
    part packed = *meta;
    if (packed.nbytes == 0)
        return true;
    unsigned long long room = ZSTD_getFrameContentSize(packed.bytes, packed.nbytes);
    if (room > MAX_PART) /* not told, or no frame */
        room = MAX_PART;
    *meta = part_new(NULL, 0, (size_t)room);
    size_t nbytes = ZSTD_decompress(meta->bytes, (size_t)room, packed.bytes, packed.nbytes);
    free(packed.bytes);
    meta->nbytes = ZSTD_isError(nbytes) ? 0 : nbytes;
    meta->bytes[meta->nbytes] = '\0';
    return !ZSTD_isError(nbytes);
}

/* Fills parts; those taken before a failure stay for the caller to free. */
static bool take_apart(part *parts, unsigned *nframes, const uint8_t *file, size_t nbytes)
{
    if (nbytes < 116 || load64(file + 108) > MAX_FRAMES)
        return false;
    *nframes = (unsigned)load64(file + 108);
    for (int i = STATUS; i < FRAMES; i++) {
        const uint8_t *entry = file + 12 + 16 * i;
        if (!take_part(&parts[i], file, nbytes, load64(entry), load64(entry + 8)))
            return false;
    }
    part offsets = {0}, lengths = {0};
    bool good = take_part(&offsets, file, nbytes, load64(file + 76), 8 * (uint64_t)*nframes) &&
                take_part(&lengths, file, nbytes, load64(file + 92), 8 * (uint64_t)*nframes);
    for (unsigned i = 0; good && i < *nframes; i++)
        good = take_part(&parts[FRAMES + i], file, nbytes, load64(offsets.bytes + 8 * (size_t)i),
                         load64(lengths.bytes + 8 * (size_t)i));
    free(offsets.bytes);
    free(lengths.bytes);
    return good && unpack(&parts[META]);
}

static const char *text_of(const part *from)
{
    return from->nbytes > 0 ? (const char *)from->bytes : NULL;
}

static uint8_t *put_together(size_t *nbytes, const part *parts, unsigned nframes)
{
    make_frame frames[MAX_FRAMES];
    for (unsigned i = 0; i < nframes; i++)
        frames[i] = (make_frame){parts[FRAMES + i].bytes, parts[FRAMES + i].nbytes};
    make_dcbs file = {.dicom_status = text_of(&parts[STATUS]),
                      .meta_json = text_of(&parts[META]),
                      .space_json = text_of(&parts[SPACE]),
                      .pixel_header_json = text_of(&parts[PIXEL_HEADER]),
                      .nframes = nframes,
                      .frames = frames};
    return make_dcbs_bytes(nbytes, &file);
}

/* Which part: dicommeta most often, as most is decided there. */
static unsigned choose_part(unsigned seed, unsigned nframes)
{
    static const uint8_t choices[8] = {META, META, META, META, SPACE, PIXEL_HEADER, FRAMES, FRAMES};
    unsigned choice = choices[seed % 8];
    if (choice == FRAMES && nframes > 0)
        return FRAMES + seed / 8 % nframes;
    return seed % 64 == 4 ? STATUS : choice;
}

static void mutate_one(part *chosen, bool is_json, unsigned seed)
{
    if (chosen->bytes == NULL)
        return;
    size_t room = chosen->nbytes + MAX_GROWTH;
    part grown = part_new(chosen->bytes, chosen->nbytes, room);
    free(chosen->bytes);
    *chosen = grown;
    if (is_json && chosen->nbytes > 0 && seed % 8 != 0)
        chosen->nbytes = mutate_json(chosen->bytes, chosen->nbytes, room, seed / 8);
    else
        chosen->nbytes = LLVMFuzzerMutate(chosen->bytes, chosen->nbytes, room);
    chosen->bytes[chosen->nbytes] = '\0';
}

static size_t mutate_part(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed)
{
    part parts[NPARTS] = {0};
    unsigned nframes = 0;
    size_t made_nbytes = 0;
    if (take_apart(parts, &nframes, bytes, nbytes)) {
        unsigned which = choose_part(seed, nframes);
        mutate_one(&parts[which], which >= META && which <= PIXEL_HEADER, seed / 64);
        if (seed / 512 % 16 == 0 && nframes > 1) /* a slice less than the metadata know */
            nframes--;
        uint8_t *made = put_together(&made_nbytes, parts, nframes);
        if (made_nbytes <= capacity)
            memcpy(bytes, made, made_nbytes);
        else
            made_nbytes = 0;
        free(made);
    }
    for (int i = 0; i < NPARTS; i++)
        free(parts[i].bytes);
    return made_nbytes;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed)
{
    size_t made = seed % 4 == 0 ? 0 : mutate_part(bytes, nbytes, capacity, seed / 4);
    return made > 0 ? made : LLVMFuzzerMutate(bytes, nbytes, capacity);
}
