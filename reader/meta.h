/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.h - dicommeta (format sections 2 and 4) as a sorted list of elements, of which each is
 * shared by all slices or has a value for each.
 *
 * What cannot be attributed to slices and what the writer dropped is left out here and counted, so
 * that nothing behind this header can send it by mistake.
 *
 * Threads: one at a time; the list lives while a file is opened, no longer.
 */
#ifndef META_H
#define META_H

#include "arena.h"
#include "dcb.h"
#include "json.h"

typedef enum dcb__entry_kind {
    DCB_ENTRY_EMPTY,
    DCB_ENTRY_VALUES,     /* json: the values, or a single one */
    DCB_ENTRY_BINARY,     /* json: base64 */
    DCB_ENTRY_ITEMS,      /* items[nitems] */
    DCB_ENTRY_SLICES,     /* json: an array of nslices values (flat) or lists of values */
    DCB_ENTRY_RAW,        /* raw[0]: bytes of the value, made by us */
    DCB_ENTRY_RAW_SLICES, /* raw[nslices] */
} dcb__entry_kind;

typedef struct dcb__raw {
    const uint8_t *bytes; /* NULL: this slice lacks the element */
    size_t nbytes;
} dcb__raw;

typedef struct dcb__entry dcb__entry;

/* Invariant: list[0..count) ascends strictly by tag. All memory is the arena's and the JSON's. */
typedef struct dcb__entries {
    dcb__arena *arena;
    dcb__entry *list;
    uint32_t count, capacity;
} dcb__entries;

struct dcb__entry {
    uint32_t tag;
    dcb_vr vr;
    uint8_t kind;
    bool flat;
    uint32_t nitems;
    union {
        const dcb__json *json;
        const dcb__entries *items;
        const dcb__raw *raw;
    };
};

/* What was found besides elements. */
typedef struct dcb__meta_counts {
    bool wrapped;              /* the elements are in _merged_data, as from v0.1.0 on */
    bool inline_pixels;        /* 7FE00010 is there, as before v0.2.4 */
    bool lost_modality_lut;    /* dropped or unattributable: stored values mean nothing without */
    uint32_t unattributable;   /* elements with per-slice values of unknown order (rule 7) */
    uint32_t dropped_binaries; /* elements whose data the writer dropped (rule 8) */
    uint32_t invalid_elements; /* elements with a value that their VR cannot hold: meta_prune.h */
} dcb__meta_counts;

/* root: the whole JSON text. Group lengths, group 0002 and pixel data are left out. */
dcb_status dcb__meta_read(dcb__entries *out, dcb__meta_counts *counts, dcb__arena *arena,
                          const dcb__json *root, uint32_t nslices, const dcb_limits *limits,
                          dcb_error *error);

/* What of an item or group, or of an item's or group's whole, could not be kept. */
enum { DCB_LOST_SOMETHING = 1, DCB_LOST_ESSENTIAL = 2 };

/* What it means that an element is left out; a Modality LUT's sequence is marked in counts. */
unsigned dcb__meta_loss(dcb__meta_counts *counts, uint32_t tag, uint32_t depth);
/* An item that lost what it is for goes, and so does one of which only empty elements would remain:
   it says nothing of any slice, and which slices had it is not known either. */
bool dcb__meta_item_stays(const dcb__entries *item, unsigned lost);
/* An overlay's or curve's data (PS3.5 7.6): its group is nothing without. */
bool dcb__meta_is_repeating_data(uint32_t tag);
void dcb__meta_remove_group(dcb__entries *entries, uint32_t group);

/* ---- meta_entry.c ---- */

/* NULL where there is none. */
const dcb__entry *dcb__entry_find(const dcb__entries *entries, uint32_t tag);
/* A new element, or the one of that tag made empty; NULL: out of memory. */
dcb__entry *dcb__entry_place(dcb__entries *entries, uint32_t tag, dcb_vr vr);
void dcb__entry_remove(dcb__entries *entries, uint32_t tag);
/* Puts a shared element with a copy of the bytes; false: out of memory. */
bool dcb__entry_put(dcb__entries *entries, uint32_t tag, dcb_vr vr, const void *bytes,
                    size_t nbytes);
bool dcb__entry_put_text(dcb__entries *entries, uint32_t tag, dcb_vr vr, const char *text);
bool dcb__entry_put_u16(dcb__entries *entries, uint32_t tag, uint16_t value);

/* The one value of a slice where it is a number (or text of one) alone or the first of several. */
bool dcb__entry_number(const dcb__entry *entry, uint32_t slice, double *number);
/* The same as text: NUL-terminated, borrowed from the JSON or the arena; NULL where there is none.
 */
const char *dcb__entry_text(const dcb__entry *entry, uint32_t slice);
/* Rows or Columns of a slice; 0 where it has none that can be. */
uint32_t dcb__entry_size(const dcb__entry *entry, uint32_t slice);
/* True where slices may differ. */
bool dcb__entry_is_per_slice(const dcb__entry *entry);
/* The values of a slice: an array, a single value, or NULL where the slice lacks the element. Only
   for VALUES and SLICES. */
const dcb__json *dcb__entry_values(const dcb__entry *entry, uint32_t slice);

#endif
