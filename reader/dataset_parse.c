/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_parse.c - bytes to a data set (PS3.5 section 7), in one pass over a copy of the bytes.
 *
 * Invariant: pos <= end <= nbytes at every level, and no length is used before it has been held
 * against what is left. Memory grows with the bytes that are there, never with a length they claim.
 */
#include "dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data_set_writer.h"
#include "dcb_error.h"
#include "vr.h"

#define UNDEFINED        0xFFFFFFFFu
#define TAG_ITEM         DCB_TAG(0xFFFE, 0xE000)
#define TAG_ITEM_END     DCB_TAG(0xFFFE, 0xE00D)
#define TAG_SEQUENCE_END DCB_TAG(0xFFFE, 0xE0DD)
/* The parser recurses: whatever the limits say, the stack is finite. */
#define MAX_DEPTH 256u

#define TAG_FORMAT         "(%04" PRIX32 ",%04" PRIX32 ")"
#define TAG_ARGUMENTS(tag) (tag) >> 16, (tag)&0xFFFF

typedef struct found_element {
    dcb_element element;
    size_t offset;
} found_element;

typedef struct parser {
    uint8_t *bytes; /* our copy: big-endian values are turned in place */
    size_t nbytes, pos;
    dcb_vr_lookup lookup;
    void *lookup_context;
    uint32_t max_depth;
    bool drops_icons; /* encapsulated Pixel Data of items is passed over */
    bool has_dropped;
    dcb__arena *arena;
    /* Stacks of what the open levels have found so far; a level takes its part off at its end. */
    found_element *found;
    size_t nfound, found_capacity;
    dcb_dataset **items;
    size_t nitems, items_capacity;
    dcb_error *error;
} parser;

/* One level: the outermost data set, an item, or a sequence. */
typedef struct level {
    size_t end;     /* the bytes that it may use */
    bool undefined; /* it ends at a delimiter instead */
    dcb_syntax syntax;
    uint32_t depth; /* sequences that are open round it */
} level;

typedef struct header {
    size_t offset;
    uint32_t tag, length;
    dcb_vr vr;
} header;

static dcb_status parse_sequence(parser *p, dcb_element *element, const header *h, level in);

static uint16_t load16(const uint8_t *from, dcb_syntax syntax)
{
    bool big = syntax == DCB_SYNTAX_EXPLICIT_BE;
    return (uint16_t)(from[big ? 0 : 1] << 8 | from[big ? 1 : 0]);
}

static uint32_t load32(const uint8_t *from, dcb_syntax syntax)
{
    bool big = syntax == DCB_SYNTAX_EXPLICIT_BE;
    return (uint32_t)load16(from + (big ? 0 : 2), syntax) << 16 |
           load16(from + (big ? 2 : 0), syntax);
}

/* The stack with room for one more, twice as long where it was full; NULL: out of memory, and the
   stack is as it was. */
static void *with_room(void *stack, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return stack;
    size_t more = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = more <= SIZE_MAX / 2 / size ? realloc(stack, more * size) : NULL;
    if (grown != NULL)
        *capacity = more;
    return grown;
}

/* Reads an element's header, or an item's or delimiter's (which have no VR). */
static dcb_status read_header(parser *p, header *h, const level *in)
{
    size_t left = in->end - p->pos, nbytes = 8;
    const uint8_t *at = p->bytes + p->pos;
    h->offset = p->pos;
    if (left < nbytes)
        return dcb__fail(p->error, DCB_ERR_DATASET, p->pos,
                         "an element's header needs 8 bytes, %zu are left", left);
    h->tag = (uint32_t)load16(at, in->syntax) << 16 | load16(at + 2, in->syntax);
    h->vr = 0;
    if (h->tag >> 16 == 0xFFFE) {
        h->length = load32(at + 4, in->syntax);
    } else if (in->syntax == DCB_SYNTAX_IMPLICIT_LE) {
        h->length = load32(at + 4, in->syntax);
        dcb_vr vr = p->lookup != NULL ? p->lookup(p->lookup_context, h->tag) : 0;
        h->vr = dcb__vr_info_or_un(vr)->vr;
    } else {
        if (at[4] < 'A' || at[4] > 'Z' || at[5] < 'A' || at[5] > 'Z')
            return dcb__fail(p->error, DCB_ERR_DATASET, p->pos,
                             "element " TAG_FORMAT " has the bytes %02X %02X where its VR "
                             "should be",
                             TAG_ARGUMENTS(h->tag), at[4], at[5]);
        /* VRs still to be invented have long lengths, as UN has (PS3.5 7.1.2). */
        const dcb__vr_info *info = dcb__vr_info_or_un(DCB_VR(at[4], at[5]));
        h->vr = info->vr;
        if (!info->long_length) {
            h->length = load16(at + 6, in->syntax);
        } else {
            nbytes = 12;
            if (left < nbytes)
                return dcb__fail(p->error, DCB_ERR_DATASET, p->pos,
                                 "the header of element " TAG_FORMAT " needs 12 bytes, %zu are "
                                 "left",
                                 TAG_ARGUMENTS(h->tag), left);
            h->length = load32(at + 8, in->syntax);
        }
    }
    p->pos += nbytes;
    if (h->length != UNDEFINED && h->length > in->end - p->pos)
        return dcb__fail(p->error, DCB_ERR_DATASET, h->offset,
                         TAG_FORMAT " has a length of %" PRIu32 ", %zu bytes are left",
                         TAG_ARGUMENTS(h->tag), h->length, in->end - p->pos);
    return DCB_OK;
}

static dcb_status check_delimiter(const parser *p, const header *h)
{
    if (h->length == 0)
        return DCB_OK;
    return dcb__fail(p->error, DCB_ERR_DATASET, h->offset,
                     "delimiter " TAG_FORMAT " has a length of %" PRIu32 " instead of 0",
                     TAG_ARGUMENTS(h->tag), h->length);
}

/* Whether undefined length means items here: SQ, UN (PS3.5 6.2.2), anything implicit. */
static dcb_status check_undefined(const parser *p, const header *h, const level *in)
{
    if (h->vr == DCB_VR_SQ || h->vr == DCB_VR_UN || in->syntax == DCB_SYNTAX_IMPLICIT_LE)
        return DCB_OK;
    if (h->vr == DCB_VR_OB || h->vr == DCB_VR_OW)
        return dcb__fail(p->error, DCB_ERR_UNSUPPORTED, h->offset,
                         "element " TAG_FORMAT " is encapsulated (fragments of compressed data)",
                         TAG_ARGUMENTS(h->tag));
    return dcb__fail(p->error, DCB_ERR_DATASET, h->offset,
                     "element " TAG_FORMAT " has undefined length, which its VR %c%c cannot",
                     TAG_ARGUMENTS(h->tag), h->vr >> 8, h->vr & 0xFF);
}

static dcb_status parse_value(parser *p, dcb_element *element, const header *h, const level *in)
{
    uint8_t *value = p->bytes + p->pos;
    p->pos += h->length;
    if (in->syntax == DCB_SYNTAX_EXPLICIT_BE)
        dcb__swap_value(h->vr, value, h->length);
    element->value = value;
    element->nbytes = h->length + (h->length & 1);
    if (h->length & 1) {
        element->value = dcb__dataset_value(p->arena, h->vr, value, h->length);
        if (element->value == NULL)
            return dcb__fail_no_memory(p->error, h->length);
    }
    return DCB_OK;
}

static int compare_found(const void *a, const void *b)
{
    const found_element *x = a, *y = b;
    if (x->element.tag != y->element.tag)
        return x->element.tag < y->element.tag ? -1 : 1;
    return x->offset < y->offset ? -1 : 1;
}

/* Takes the level's elements off the stack, in order, into the data set. */
static dcb_status take_elements(parser *p, dcb_dataset *dataset, size_t base, bool in_order)
{
    size_t count = p->nfound - base;
    if (count == 0)
        return DCB_OK;
    found_element *found = p->found + base;
    p->nfound = base;
    if (!in_order)
        qsort(found, count, sizeof *found, compare_found);
    for (size_t i = 1; i < count; i++) {
        if (found[i].element.tag == found[i - 1].element.tag)
            return dcb__fail(p->error, DCB_ERR_DATASET, found[i].offset,
                             "element " TAG_FORMAT " comes twice",
                             TAG_ARGUMENTS(found[i].element.tag));
    }
    dcb_element *elements =
        dcb__arena_alloc(p->arena, count * sizeof *elements, _Alignof(dcb_element));
    if (elements == NULL)
        return dcb__fail_no_memory(p->error, count * sizeof *elements);
    for (size_t i = 0; i < count; i++)
        elements[i] = found[i].element;
    dataset->elements = elements;
    dataset->count = dataset->capacity = (uint32_t)count;
    return DCB_OK;
}

/* Fragments up to the sequence's delimiter. */
static dcb_status skip_fragments(parser *p, level in)
{
    p->has_dropped = true;
    for (;;) {
        header item;
        const dcb_status status = read_header(p, &item, &in);
        if (status != DCB_OK)
            return status;
        if (item.tag == TAG_SEQUENCE_END)
            return check_delimiter(p, &item);
        if (item.tag != TAG_ITEM || item.length == UNDEFINED)
            return dcb__fail(p->error, DCB_ERR_DATASET, item.offset,
                             "a fragment is due where " TAG_FORMAT " stands",
                             TAG_ARGUMENTS(item.tag));
        p->pos += item.length;
    }
}

static bool is_encapsulated(const header *h, const level *in)
{
    return h->length == UNDEFINED && in->syntax == DCB_SYNTAX_EXPLICIT_LE &&
           (h->vr == DCB_VR_OB || h->vr == DCB_VR_OW);
}

static dcb_status parse_element(parser *p, const header *h, level in)
{
    dcb_element element = {.tag = h->tag, .vr = h->vr};
    dcb_status status;
    if (p->drops_icons && in.depth > 0 && is_encapsulated(h, &in))
        return skip_fragments(p, in);
    if (h->length == UNDEFINED && (status = check_undefined(p, h, &in)) != DCB_OK)
        return status;
    if (h->length == UNDEFINED || h->vr == DCB_VR_SQ)
        status = parse_sequence(p, &element, h, in);
    else
        status = parse_value(p, &element, h, &in);
    if (status != DCB_OK || (h->tag & 0xFFFF) == 0) /* group lengths are dropped */
        return status;
    found_element *found = with_room(p->found, &p->found_capacity, p->nfound, sizeof *p->found);
    if (found == NULL)
        return dcb__fail_no_memory(p->error, p->nfound * sizeof *p->found);
    p->found = found;
    p->found[p->nfound++] = (found_element){element, h->offset};
    return DCB_OK;
}

/* The elements of the outermost data set or of an item. */
static dcb_status parse_elements(parser *p, dcb_dataset *dataset, level in)
{
    size_t base = p->nfound;
    bool in_order = true;
    while (in.undefined || p->pos < in.end) {
        header h;
        dcb_status status = read_header(p, &h, &in);
        if (status != DCB_OK)
            return status;
        if (h.tag == TAG_ITEM_END && in.undefined) {
            if ((status = check_delimiter(p, &h)) != DCB_OK)
                return status;
            break;
        }
        if (h.tag >> 16 == 0xFFFE)
            return dcb__fail(p->error, DCB_ERR_DATASET, h.offset,
                             "delimiter " TAG_FORMAT " stands where an element should",
                             TAG_ARGUMENTS(h.tag));
        size_t before = p->nfound;
        if ((status = parse_element(p, &h, in)) != DCB_OK)
            return status;
        if (before > base && p->nfound > before)
            in_order = in_order && p->found[before - 1].element.tag < h.tag;
    }
    return take_elements(p, dataset, base, in_order);
}

static dcb_status take_items(parser *p, dcb_element *element, size_t base)
{
    size_t count = p->nitems - base;
    p->nitems = base;
    if (count == 0)
        return DCB_OK;
    dcb_dataset **items = dcb__dataset_item_array(p->arena, count);
    if (items == NULL)
        return dcb__fail_no_memory(p->error, count * sizeof *items);
    memcpy(items, p->items + base, count * sizeof *items);
    element->items = items;
    element->nitems = (uint32_t)count;
    return DCB_OK;
}

static dcb_status parse_item(parser *p, const header *h, level in)
{
    dcb_dataset *item = dcb__dataset_new_item(p->arena);
    dcb_dataset **items = with_room(p->items, &p->items_capacity, p->nitems, sizeof *p->items);
    if (items != NULL)
        p->items = items;
    if (item == NULL || items == NULL)
        return dcb__fail_no_memory(p->error, sizeof *item);
    p->items[p->nitems++] = item;
    in.undefined = h->length == UNDEFINED;
    if (!in.undefined)
        in.end = p->pos + h->length;
    return parse_elements(p, item, in);
}

/* h is the sequence's header, just read. */
static dcb_status parse_sequence(parser *p, dcb_element *element, const header *h, level in)
{
    if (in.depth >= p->max_depth)
        return dcb__fail(p->error, DCB_ERR_LIMIT, h->offset,
                         "sequence " TAG_FORMAT " is nested deeper than the limit of %" PRIu32,
                         TAG_ARGUMENTS(h->tag), p->max_depth);
    if (h->vr == DCB_VR_UN) /* its items are in Implicit VR Little Endian, whatever is round it */
        in.syntax = DCB_SYNTAX_IMPLICIT_LE;
    in.depth++;
    in.undefined = h->length == UNDEFINED;
    if (!in.undefined)
        in.end = p->pos + h->length;
    element->vr = DCB_VR_SQ;
    size_t base = p->nitems;
    while (in.undefined || p->pos < in.end) {
        header item;
        dcb_status status = read_header(p, &item, &in);
        if (status != DCB_OK)
            return status;
        if (item.tag == TAG_SEQUENCE_END && in.undefined) {
            if ((status = check_delimiter(p, &item)) != DCB_OK)
                return status;
            break;
        }
        if (item.tag != TAG_ITEM)
            return dcb__fail(p->error, DCB_ERR_DATASET, item.offset,
                             "sequence " TAG_FORMAT " has " TAG_FORMAT " where an item should be",
                             TAG_ARGUMENTS(h->tag), TAG_ARGUMENTS(item.tag));
        if ((status = parse_item(p, &item, in)) != DCB_OK)
            return status;
    }
    return take_items(p, element, base);
}

static dcb_status parse(dcb_dataset **out, const void *bytes, size_t nbytes, dcb_syntax syntax,
                        dcb_vr_lookup lookup, void *lookup_context, const dcb_limits *limits,
                        bool drops_icons, dcb_error *error)
{
    static const dcb_limits default_limits = DCB_LIMITS_INIT;
    *out = NULL;
    if (limits == NULL)
        limits = &default_limits;
    if (nbytes > limits->max_pixel_bytes)
        return dcb__fail(error, DCB_ERR_LIMIT, 0,
                         "the data set has %zu bytes, the limit is %" PRIu64, nbytes,
                         limits->max_pixel_bytes);
    /* Room for the bytes and, with typical elements of 30 bytes, for most of the rest. */
    dcb_dataset *dataset = dcb__dataset_new(nbytes + (nbytes < 65536 ? nbytes * 2 : 0) + 64);
    if (dataset == NULL)
        return dcb__fail_no_memory(error, nbytes);
    parser p = {.nbytes = nbytes,
                .lookup = lookup,
                .lookup_context = lookup_context,
                .max_depth =
                    limits->max_sequence_depth < MAX_DEPTH ? limits->max_sequence_depth : MAX_DEPTH,
                .drops_icons = drops_icons,
                .arena = dataset->arena,
                .error = error};
    p.bytes = dcb__arena_alloc(p.arena, nbytes, 1); /* from the first block: cannot fail */
    if (nbytes > 0)
        memcpy(p.bytes, bytes, nbytes);
    dcb_status status = parse_elements(&p, dataset, (level){nbytes, false, syntax, 0});
    free(p.found);
    free(p.items);
    if (p.has_dropped) /* an icon without its pixels is none */
        dcb_dataset_remove(dataset, DCB_TAG(0x0088, 0x0200));
    if (status == DCB_OK)
        *out = dataset;
    else
        dcb_dataset_close(dataset);
    return status;
}

dcb_status dcb_dataset_parse(dcb_dataset **out, const void *bytes, size_t nbytes, dcb_syntax syntax,
                             dcb_vr_lookup lookup, void *lookup_context, const dcb_limits *limits,
                             dcb_error *error)
{
    return parse(out, bytes, nbytes, syntax, lookup, lookup_context, limits, false, error);
}

dcb_status dcb__dataset_parse_headers(dcb_dataset **out, const void *bytes, size_t nbytes,
                                      dcb_syntax syntax, dcb_vr_lookup lookup, void *lookup_context,
                                      const dcb_limits *limits, dcb_error *error)
{
    return parse(out, bytes, nbytes, syntax, lookup, lookup_context, limits, true, error);
}
