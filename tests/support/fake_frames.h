/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_frames.h - frames for tests of the cache, whose bytes tell what they are, without any file.
 */
#ifndef FAKE_FRAMES_H
#define FAKE_FRAMES_H

#include "dcb_error.h"
#include "frame.h"
#include "frame_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

typedef struct fake_series {
    uint32_t number;
    size_t nbytes;     /* of a frame; at least 12 */
    atomic_uint loads; /* so far */
    dcb__cache_series *membership;
} fake_series;

static inline uint32_t fake_word(uint32_t number, uint32_t frame, dcb_encoding encoding)
{
    return (number * 2654435761u) ^ (frame * 40503u) ^ (uint32_t)encoding << 29;
}

/* A dcb__cache_load; context is a fake_series. */
static inline dcb_status fake_load(dcb_frame **out, void *context, uint32_t frame,
                                   dcb_encoding encoding, dcb_error *error)
{
    fake_series *series = context;
    atomic_fetch_add(&series->loads, 1);
    dcb__frame_layout layout = {series->nbytes, 4, "1.2.840.10008.1.2.1", "1.2.3", "1.2.3.4"};
    uint8_t *bytes;
    dcb_status status = dcb__frame_create(out, &bytes, &layout, error);
    if (status == DCB_OK) {
        uint32_t words[3] = {series->number, frame, (uint32_t)encoding};
        memset(bytes, (int)fake_word(series->number, frame, encoding), series->nbytes);
        memcpy(bytes, words, sizeof words);
    }
    return status;
}

/* True where the frame is whole and the one that was asked for. */
static inline bool fake_is(const dcb_frame *instance, const fake_series *series, uint32_t frame,
                           dcb_encoding encoding)
{
    size_t nbytes;
    const uint8_t *bytes = dcb_frame_part10(instance, &nbytes);
    uint32_t words[3] = {series->number, frame, (uint32_t)encoding};
    if (nbytes != series->nbytes || memcmp(bytes, words, sizeof words) != 0)
        return false;
    uint8_t fill = (uint8_t)fake_word(series->number, frame, encoding);
    for (size_t i = sizeof words; i < nbytes; i++) {
        if (bytes[i] != fill)
            return false;
    }
    return true;
}

/* What a frame of the series costs the cache. */
static inline size_t fake_footprint(const fake_series *series)
{
    fake_series same = {.number = series->number, .nbytes = series->nbytes};
    dcb_frame *instance;
    if (fake_load(&instance, &same, 0, DCB_ENCODING_STORED, NULL) != DCB_OK)
        return 0;
    size_t nbytes = dcb__frame_footprint(instance);
    dcb_frame_release(instance);
    return nbytes;
}

/* A door that threads wait at till it is opened. */
typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    unsigned arrived; /* so far */
} gate;

#define GATE_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0                              \
    }

static inline void gate_pass(gate *door)
{
    pthread_mutex_lock(&door->lock);
    door->arrived++;
    pthread_cond_broadcast(&door->changed);
    while (!door->open)
        pthread_cond_wait(&door->changed, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static inline void gate_await(gate *door, unsigned arrivals)
{
    pthread_mutex_lock(&door->lock);
    while (door->arrived < arrivals)
        pthread_cond_wait(&door->changed, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

static inline void gate_open(gate *door)
{
    pthread_mutex_lock(&door->lock);
    door->open = true;
    pthread_cond_broadcast(&door->changed);
    pthread_mutex_unlock(&door->lock);
}

#endif
