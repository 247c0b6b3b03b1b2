/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_text.c - see dataset_text.h. */
#include "dataset_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds, const char *text)
{
    if (!holds) {
        fprintf(stderr, "dataset_text: cannot use '%s'\n", text);
        abort();
    }
}

static void read_elements(dcb_dataset *out, const char **text)
{
    while (**text != '\0' && **text != ']') {
        char *end;
        const char *start = *text;
        const uint32_t tag = (uint32_t)strtoul(start, &end, 16);
        require(end == start + 8 && *end == ' ' && end[1] != '\0' && end[2] != '\0', start);
        const dcb_vr vr = DCB_VR(end[1], end[2]);
        *text = end + 3;
        if (vr == DCB_VR('S', 'Q')) {
            require(dcb_dataset_add_item(NULL, out, tag, NULL) == DCB_OK, start);
            while (**text == ' ')
                ++*text;
            while (**text == '[') {
                dcb_dataset *item = NULL;
                require(dcb_dataset_add_item(&item, out, tag, NULL) == DCB_OK, start);
                ++*text;
                read_elements(item, text);
                require(**text == ']', start);
                ++*text;
            }
        } else {
            if (**text == ' ')
                ++*text;
            const size_t nbytes = strcspn(*text, "|]");
            require(dcb_dataset_put(out, tag, vr, *text, nbytes, NULL) == DCB_OK, start);
            *text += nbytes;
        }
        if (**text == '|')
            ++*text;
    }
}

dcb_dataset *dataset_from_text(const char *text)
{
    dcb_dataset *dataset = NULL;
    require(dcb_dataset_create(&dataset, NULL) == DCB_OK, text);
    read_elements(dataset, &text);
    require(*text == '\0', text);
    return dataset;
}

static void write_elements(FILE *out, const dcb_dataset *dataset)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        fprintf(out, "%s%08X %c%c", i > 0 ? "|" : "", (unsigned)element->tag, element->vr >> 8,
                element->vr & 0xFF);
        if (element->vr == DCB_VR('S', 'Q')) {
            fputs(element->nitems > 0 ? " " : "", out);
            for (uint32_t k = 0; k < element->nitems; k++) {
                fputc('[', out);
                write_elements(out, element->items[k]);
                fputc(']', out);
            }
            continue;
        }
        uint32_t nbytes = element->nbytes;
        while (nbytes > 0 && (element->value[nbytes - 1] == ' ' || element->value[nbytes - 1] == 0))
            nbytes--;
        fputs(nbytes > 0 ? " " : "", out);
        for (uint32_t k = 0; k < nbytes; k++)
            fputc(element->value[k] >= 0x20 ? element->value[k] : '.', out);
    }
}

char *dataset_to_text(const dcb_dataset *dataset)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *out = open_memstream(&text, &nbytes);
    require(out != NULL, "memory");
    write_elements(out, dataset);
    fclose(out);
    return text;
}

uint8_t *dataset_text_encode(size_t *nbytes, const char *text, dcb_syntax syntax)
{
    dcb_dataset *dataset = dataset_from_text(text);
    uint8_t *bytes = NULL;
    require(dcb_dataset_encode(&bytes, nbytes, dataset, syntax, NULL) == DCB_OK, text);
    dcb_dataset_close(dataset);
    return bytes;
}
