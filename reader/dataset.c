/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.c - data sets in memory: the arena, making, finding, putting and removing elements.
 *
 * Invariant: see dataset.h; every element is placed by dcb__dataset_place or sorted by the parser.
 */
#include "dataset.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "vr.h"

/* A C-FIND answer of about twenty elements fits without a second block. */
#define SMALL_DATASET  2048u
#define MAX_BLOCK      (256u << 10)
#define FIRST_ELEMENTS 16u
#define MAX_VALUE      0xFFFFFFFEu

typedef struct owner {
    dcb_dataset dataset; /* first: an owner is a dcb_dataset */
    dcb__arena arena;
    uint8_t first[];
} owner;

static size_t misalignment(const void *pointer, size_t align)
{
    return (size_t)(-(uintptr_t)pointer & (align - 1));
}

void *dcb__arena_alloc(dcb__arena *arena, size_t nbytes, size_t align)
{
    size_t skip = misalignment(arena->free, align);
    if (skip > arena->left || nbytes > arena->left - skip) {
        if (nbytes > SIZE_MAX / 2)
            return NULL;
        size_t room = nbytes > arena->next_block ? nbytes : arena->next_block;
        dcb__arena_block *block = malloc(sizeof *block + room);
        if (block == NULL)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
        if (arena->next_block < MAX_BLOCK)
            arena->next_block *= 2;
        /* A large value gets a block of its own size; what is left of the old one stays in use. */
        if (room - nbytes < arena->left)
            return block->bytes;
        arena->free = block->bytes;
        arena->left = room;
        skip = 0;
    }
    void *place = arena->free + skip;
    arena->free += skip + nbytes;
    arena->left -= skip + nbytes;
    return place;
}

dcb_dataset *dcb__dataset_new(size_t nbytes)
{
    if (nbytes > SIZE_MAX / 2)
        return NULL;
    owner *made = malloc(sizeof *made + nbytes);
    if (made == NULL)
        return NULL;
    made->arena = (dcb__arena){NULL, made->first, nbytes, SMALL_DATASET};
    made->dataset = (dcb_dataset){.arena = &made->arena};
    return &made->dataset;
}

dcb_dataset *dcb__dataset_new_item(dcb__arena *arena)
{
    dcb_dataset *item = dcb__arena_alloc(arena, sizeof *item, _Alignof(dcb_dataset));
    if (item != NULL)
        *item = (dcb_dataset){.arena = arena};
    return item;
}

dcb_status dcb_dataset_create(dcb_dataset **out, dcb_error *error)
{
    *out = dcb__dataset_new(SMALL_DATASET);
    return *out != NULL ? DCB_OK : dcb__fail_no_memory(error, SMALL_DATASET);
}

void dcb_dataset_close(dcb_dataset *dataset)
{
    if (dataset == NULL)
        return;
    owner *made = (owner *)(void *)dataset;
    /* Items are borrowed: they go with their owner. */
    assert(dataset->arena == &made->arena);
    for (dcb__arena_block *block = made->arena.blocks; block != NULL;) {
        dcb__arena_block *next = block->next;
        free(block);
        block = next;
    }
    free(made);
}

size_t dcb_dataset_count(const dcb_dataset *dataset)
{
    return dataset->count;
}

const dcb_element *dcb_dataset_at(const dcb_dataset *dataset, size_t i)
{
    return i < dataset->count ? &dataset->elements[i] : NULL;
}

/* The first index whose tag is not below tag. */
static size_t lower_bound(const dcb_dataset *dataset, uint32_t tag)
{
    size_t low = 0, high = dataset->count;
    if (high == 0 || dataset->elements[high - 1].tag < tag)
        return high; /* data sets are mostly built in order */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dataset->elements[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const dcb_element *dcb_dataset_find(const dcb_dataset *dataset, uint32_t tag)
{
    size_t i = lower_bound(dataset, tag);
    return i < dataset->count && dataset->elements[i].tag == tag ? &dataset->elements[i] : NULL;
}

bool dcb__dataset_reserve(dcb_dataset *dataset)
{
    if (dataset->count < dataset->capacity)
        return true;
    if (dataset->capacity > UINT32_MAX / 2)
        return false;
    uint32_t capacity = dataset->capacity > 0 ? dataset->capacity * 2 : FIRST_ELEMENTS;
    dcb_element *grown =
        dcb__arena_alloc(dataset->arena, capacity * sizeof *grown, _Alignof(dcb_element));
    if (grown == NULL)
        return false;
    if (dataset->count > 0)
        memcpy(grown, dataset->elements, dataset->count * sizeof *grown);
    dataset->elements = grown;
    dataset->capacity = capacity;
    return true;
}

dcb_element *dcb__dataset_place(dcb_dataset *dataset, uint32_t tag)
{
    size_t i = lower_bound(dataset, tag);
    if (i < dataset->count && dataset->elements[i].tag == tag)
        return &dataset->elements[i];
    if (!dcb__dataset_reserve(dataset))
        return NULL;
    dcb_element *place = &dataset->elements[i];
    memmove(place + 1, place, (dataset->count - i) * sizeof *place);
    dataset->count++;
    *place = (dcb_element){.tag = tag};
    return place;
}

const uint8_t *dcb__dataset_value(dcb__arena *arena, dcb_vr vr, const void *bytes, size_t nbytes)
{
    if (nbytes == 0)
        return (const uint8_t *)"";
    uint8_t *value = dcb__arena_alloc(arena, nbytes + (nbytes & 1), 1);
    if (value == NULL)
        return NULL;
    memcpy(value, bytes, nbytes);
    if (nbytes & 1)
        value[nbytes] = dcb__vr_info_or_un(vr)->pad;
    return value;
}

dcb_dataset **dcb__dataset_item_array(dcb__arena *arena, size_t nitems)
{
    size_t room = 1;
    while (room < nitems)
        room *= 2;
    if (room > SIZE_MAX / 2 / sizeof(dcb_dataset *))
        return NULL;
    return dcb__arena_alloc(arena, room * sizeof(dcb_dataset *), _Alignof(dcb_dataset *));
}

static dcb_status check_tag(uint32_t tag, dcb_error *error)
{
    if (tag >> 16 != 0xFFFE)
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                     "(FFFE,%04" PRIX32 ") delimits items, it is no element", tag & 0xFFFF);
}

dcb_status dcb_dataset_put(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const void *bytes,
                           size_t nbytes, dcb_error *error)
{
    dcb_status status = check_tag(tag, error);
    if (status != DCB_OK)
        return status;
    vr = dcb__vr_info_or_un(vr)->vr;
    if (vr == DCB_VR_SQ && nbytes > 0)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "sequence (%04" PRIX32 ",%04" PRIX32 ") has items, not bytes", tag >> 16,
                         tag & 0xFFFF);
    if (nbytes > MAX_VALUE)
        return dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                         "element (%04" PRIX32 ",%04" PRIX32
                         ") has %zu bytes, the most that a length can say is %u",
                         tag >> 16, tag & 0xFFFF, nbytes, MAX_VALUE);
    const uint8_t *value = NULL;
    if (vr != DCB_VR_SQ) {
        value = dcb__dataset_value(dataset->arena, vr, bytes, nbytes);
        if (value == NULL)
            return dcb__fail_no_memory(error, nbytes);
    }
    dcb_element *place = dcb__dataset_place(dataset, tag);
    if (place == NULL)
        return dcb__fail_no_memory(error, sizeof *place);
    *place = (dcb_element){
        .tag = tag, .vr = vr, .nbytes = (uint32_t)(nbytes + (nbytes & 1)), .value = value};
    return DCB_OK;
}

dcb_status dcb_dataset_put_text(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const char *text,
                                dcb_error *error)
{
    return dcb_dataset_put(dataset, tag, vr, text, text != NULL ? strlen(text) : 0, error);
}

void dcb_dataset_remove(dcb_dataset *dataset, uint32_t tag)
{
    size_t i = lower_bound(dataset, tag);
    if (i == dataset->count || dataset->elements[i].tag != tag)
        return;
    dataset->count--;
    memmove(&dataset->elements[i], &dataset->elements[i + 1],
            (dataset->count - i) * sizeof *dataset->elements);
}

dcb_status dcb_dataset_add_item(dcb_dataset **item, dcb_dataset *dataset, uint32_t tag,
                                dcb_error *error)
{
    if (item != NULL)
        *item = NULL;
    const dcb_element *found = dcb_dataset_find(dataset, tag);
    if (found == NULL || found->vr != DCB_VR_SQ) {
        dcb_status status = dcb_dataset_put(dataset, tag, DCB_VR_SQ, NULL, 0, error);
        if (status != DCB_OK)
            return status;
    }
    if (item == NULL)
        return DCB_OK;
    dcb_element *sequence = dcb__dataset_place(dataset, tag);
    dcb_dataset *made = dcb__dataset_new_item(dataset->arena);
    if (made == NULL)
        return dcb__fail_no_memory(error, sizeof *made);
    size_t nitems = sequence->nitems;
    dcb_dataset **items = (dcb_dataset **)sequence->items;
    if ((nitems & (nitems - 1)) == 0) { /* none, or a power of two: the array is full */
        items = dcb__dataset_item_array(dataset->arena, nitems + 1);
        if (items == NULL)
            return dcb__fail_no_memory(error, nitems * sizeof *items);
        if (nitems > 0)
            memcpy(items, sequence->items, nitems * sizeof *items);
    }
    items[nitems] = made;
    sequence->items = items;
    sequence->nitems++;
    *item = made;
    return DCB_OK;
}

/* Deep copies into the arena; out of memory is the only failure. */
static bool copy_element(dcb_element *to, const dcb_element *from, dcb__arena *arena);

static bool copy_elements(dcb_dataset *to, const dcb_dataset *from)
{
    if (from->count == 0)
        return true;
    dcb_element *elements =
        dcb__arena_alloc(to->arena, from->count * sizeof *elements, _Alignof(dcb_element));
    if (elements == NULL)
        return false;
    for (uint32_t i = 0; i < from->count; i++) {
        if (!copy_element(&elements[i], &from->elements[i], to->arena))
            return false;
    }
    to->elements = elements;
    to->count = to->capacity = from->count;
    return true;
}

static bool copy_element(dcb_element *to, const dcb_element *from, dcb__arena *arena)
{
    *to = *from;
    if (from->vr != DCB_VR_SQ) {
        to->value = dcb__dataset_value(arena, from->vr, from->value, from->nbytes);
        return to->value != NULL;
    }
    if (from->nitems == 0)
        return true;
    dcb_dataset **items = dcb__dataset_item_array(arena, from->nitems);
    if (items == NULL)
        return false;
    for (uint32_t i = 0; i < from->nitems; i++) {
        items[i] = dcb__dataset_new_item(arena);
        if (items[i] == NULL || !copy_elements(items[i], from->items[i]))
            return false;
    }
    to->items = items;
    return true;
}

dcb_status dcb_dataset_put_element(dcb_dataset *dataset, const dcb_element *element,
                                   dcb_error *error)
{
    if (element->vr != DCB_VR_SQ)
        return dcb_dataset_put(dataset, element->tag, element->vr, element->value, element->nbytes,
                               error);
    dcb_status status = check_tag(element->tag, error);
    if (status != DCB_OK)
        return status;
    /* The copy is whole before the data set changes: the element may be its own, or in it. */
    dcb_element copy;
    if (!copy_element(&copy, element, dataset->arena))
        return dcb__fail_no_memory(error, sizeof copy);
    dcb_element *place = dcb__dataset_place(dataset, copy.tag);
    if (place == NULL)
        return dcb__fail_no_memory(error, sizeof *place);
    *place = copy;
    return DCB_OK;
}

dcb_status dcb_dataset_copy(dcb_dataset **out, const dcb_dataset *dataset, dcb_error *error)
{
    dcb_status status = dcb_dataset_create(out, error);
    if (status == DCB_OK && !copy_elements(*out, dataset)) {
        dcb_dataset_close(*out);
        *out = NULL;
        status = dcb__fail_no_memory(error, dataset->count * sizeof(dcb_element));
    }
    return status;
}

ptrdiff_t dcb_dataset_get_text(const dcb_dataset *dataset, uint32_t tag, char *buffer, size_t size)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    if (size > 0)
        buffer[0] = '\0';
    if (element == NULL)
        return -1;
    dcb__vr_trim trim = dcb__vr_info_or_un(element->vr)->trim;
    size_t start = 0, end = element->nbytes;
    /* NUL pads UI, and the text of careless senders. */
    while (trim != DCB_TRIM_NONE && end > 0 &&
           (element->value[end - 1] == ' ' || element->value[end - 1] == '\0'))
        end--;
    while (trim == DCB_TRIM_BOTH && start < end && element->value[start] == ' ')
        start++;
    size_t length = end - start, copied = length < size ? length : size - (size > 0);
    if (copied > 0)
        memcpy(buffer, element->value + start, copied);
    if (size > 0)
        buffer[copied] = '\0';
    return (ptrdiff_t)length;
}
