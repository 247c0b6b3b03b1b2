/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_encode.c - a data set to bytes; sequences and items get defined lengths. */
#include "dataset.h"

#include "data_set_writer.h"
#include "vr.h"

static void write_dataset(dcb__writer *writer, const dcb_dataset *dataset)
{
    dcb__dataset_write(writer, dataset, 0, UINT32_MAX);
}

void dcb__dataset_write(dcb__writer *writer, const dcb_dataset *dataset, uint32_t first,
                        uint32_t last)
{
    for (uint32_t i = 0; i < dataset->count && writer->status == DCB_OK; i++) {
        const dcb_element *element = &dataset->elements[i];
        if (element->tag < first || element->tag > last)
            continue;
        if (element->vr != DCB_VR_SQ) {
            dcb__writer_element(writer, element->tag, element->vr, element->value, element->nbytes);
            continue;
        }
        size_t sequence = dcb__writer_begin_sequence(writer, element->tag);
        for (uint32_t j = 0; j < element->nitems; j++) {
            size_t item = dcb__writer_begin_item(writer);
            write_dataset(writer, element->items[j]);
            dcb__writer_end_item(writer, item);
        }
        dcb__writer_end_sequence(writer, sequence);
    }
}

dcb_status dcb_dataset_encode(uint8_t **bytes, size_t *nbytes, const dcb_dataset *dataset,
                              dcb_syntax syntax, dcb_error *error)
{
    dcb__writer writer;
    dcb__writer_init(&writer, syntax);
    write_dataset(&writer, dataset);
    return dcb__writer_finish(bytes, nbytes, &writer, error);
}
