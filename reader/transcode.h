/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcode.h - an instance of any number of frames in another transfer syntax: decoded, compressed
 * losslessly, or one after the other.
 *
 * transcode_frames.c does frames, transcode.c the data set around them. Memory: the source and the
 * result, and a frame's samples between them. Threads: any.
 */
#ifndef TRANSCODE_H
#define TRANSCODE_H

#include "pixel_fragments.h"
#include "pixel_layout.h"

/* All is borrowed. */
typedef struct dcb__transcode_source {
    const uint8_t *dataset; /* Explicit VR Little Endian around its pixels */
    size_t nbytes;
    const char *syntax_uid; /* Explicit VR Little Endian, or a compressed one */
    const char *sop_class_uid, *sop_instance_uid;
    const dcb_limits *limits;
    const dcb_pixel_codec *codec; /* NULL: none */
} dcb__transcode_source;

/* encoding is not STORED. Without Pixel Data only the syntax's name changes. */
dcb_status dcb__transcode(dcb_frame **out, const dcb__transcode_source *source,
                          dcb_encoding encoding, dcb_error *error);

/* The samples of the first frame, by pixel, as the data set's Photometric Interpretation calls them
   (those of a lossy JPEG are not made RGB); free() them. format: all but the rescale. */
dcb_status dcb__transcode_samples(uint8_t **samples, size_t *nbytes, dcb_pixel_format *format,
                                  const dcb__transcode_source *source, dcb_error *error);

/* ---- transcode_frames.c ---- */

typedef struct dcb__frames {
    const dcb__transcode_source *source;
    dcb__pixel_place place;
    dcb__fragments fragments; /* where it is compressed */
    dcb__pixel_layout layout; /* of native source frames */
    uint16_t bits_stored;
    uint32_t nframes;
    size_t frame_nbytes; /* of a frame's samples */
    char photometric[20];
    bool to_rgb; /* samples as they are decoded are YCbCr of a lossy JPEG */
} dcb__frames;

/* head is the data set before Pixel Data. What its numbers and the pixels do not agree on fails. */
dcb_status dcb__frames_open(dcb__frames *out, const dcb__transcode_source *source,
                            const dcb__pixel_place *place, const dcb_dataset *head,
                            dcb_error *error);
void dcb__frames_close(dcb__frames *frames);
/* The samples of one frame: by pixel, frame_nbytes of them. */
dcb_status dcb__frames_samples(uint8_t *to, const dcb__frames *frames, uint32_t frame,
                               dcb_error *error);
/* What the encoding's Photometric Interpretation is. */
const char *dcb__frames_photometric(const dcb__frames *frames, dcb_encoding encoding);
/* Samples as a codestream that was decoded again and compared; free() it. */
dcb_status dcb__frames_encode(uint8_t **codestream, size_t *nbytes, const dcb__frames *frames,
                              const uint8_t *samples, dcb_encoding encoding, dcb_error *error);
/* True where the source's compression lost something: by its first codestream. */
bool dcb__frames_lossy(const dcb__frames *frames);

#endif
