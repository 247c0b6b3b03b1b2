/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_preview.c - a frame, or a contact sheet of the series, as a PNG to look at.
 *
 * A frame that cannot be rendered leaves its place in the sheet dark and is reported; the rest is
 * made all the same.
 */
#include "dcbtool.h"

#include "dictionary.h"
#include "pixel_codec.h"
#include "render.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHEET_TILES_MAX 64
#define SHEET_TILE_SIZE 128
#define SHEET_GAP       2
#define SIZE_MAX_PX     16384

typedef struct preview_request {
    const char *path, *output;
    bool one_frame;
    uint32_t frame;
    bool has_window;
    render_window window;
    uint32_t size; /* 0: not given */
} preview_request;

static int parse_count(uint32_t *out, const char *text, uint32_t low, uint32_t high)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < low || value > high)
        return -1;
    *out = (uint32_t)value;
    return 0;
}

static int parse_window(render_window *out, const char *text)
{
    char *end = NULL;
    out->center = strtod(text, &end);
    if (end == text || *end != ',')
        return -1;
    const char *width = end + 1;
    out->width = strtod(width, &end);
    return end != width && *end == '\0' && isfinite(out->center) && out->width > 0 &&
                   isfinite(out->width)
               ? 0
               : -1;
}

static int parse_arguments(preview_request *request, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"frame", required_argument, NULL, 'f'},
                                            {"window", required_argument, NULL, 'w'},
                                            {"size", required_argument, NULL, 's'},
                                            {"output", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "f:o:", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'f':
            if (parse_count(&request->frame, optarg, 0, UINT32_MAX - 1) != 0)
                return dcbtool_usage_error("-f %.40s: a frame's number is wanted, from 0", optarg);
            request->one_frame = true;
            break;
        case 'w':
            if (parse_window(&request->window, optarg) != 0)
                return dcbtool_usage_error("--window %.40s: CENTER,WIDTH is wanted, such as 40,400",
                                           optarg);
            request->has_window = true;
            break;
        case 's':
            if (parse_count(&request->size, optarg, 1, SIZE_MAX_PX) != 0)
                return dcbtool_usage_error("--size %.40s: 1 to %d pixels", optarg, SIZE_MAX_PX);
            break;
        case 'o':
            request->output = optarg;
            break;
        default:
            return dcbtool_usage_error("preview: unknown or incomplete option \"%.40s\"; see "
                                       "dcbtool --help",
                                       argv[optind - 1]);
        }
    }
    if (optind + 1 != argc)
        return dcbtool_usage_error("preview: one FILE is wanted; see dcbtool --help");
    request->path = argv[optind];
    if (request->output == NULL)
        return dcbtool_usage_error("preview: -o OUT.png is missing");
    return DCBTOOL_OK;
}

/* Which frame the i-th of n tiles shows: the first, the last, and evenly between them. */
static uint32_t tile_frame(uint32_t i, uint32_t ntiles, uint32_t nframes)
{
    return ntiles < 2 ? 0 : (uint32_t)((uint64_t)i * (nframes - 1) / (ntiles - 1));
}

static int make_sheet(picture *out, dcb_series *series, const preview_request *request,
                      const render_options *options, uint32_t *nfailed)
{
    uint32_t nframes = dcb_series_get_info(series)->nframes;
    uint32_t ntiles = nframes < SHEET_TILES_MAX ? nframes : SHEET_TILES_MAX;
    uint32_t columns = (uint32_t)ceil(sqrt(ntiles)), rows = (ntiles + columns - 1) / columns;
    uint32_t tile = options->size, pitch = tile + SHEET_GAP;
    scp_error error = SCP_ERROR_INIT;
    if (picture_create(out, columns * pitch - SHEET_GAP, rows * pitch - SHEET_GAP, &error) != 0)
        return dcbtool_failed("%s: %s", request->path, error.message);
    for (uint32_t i = 0; i < ntiles; i++) {
        uint32_t frame = tile_frame(i, ntiles, nframes);
        uint32_t x = i % columns * pitch, y = i / columns * pitch;
        picture image = PICTURE_INIT;
        if (render_frame(&image, series, frame, options, &error) != 0) {
            dcbtool_failed("%s: %s", request->path, error.message);
            ++*nfailed;
        } else {
            picture_paste(out, &image, x + (tile - image.width) / 2, y + (tile - image.height) / 2);
        }
        picture_draw_number(out, frame, x, y);
        picture_free(&image);
    }
    return *nfailed < ntiles ? DCBTOOL_OK : DCBTOOL_FAILED;
}

static int preview_series(dcb_series *series, const preview_request *request)
{
    render_options options = {.window = request->has_window ? &request->window : NULL,
                              .size = request->size};
    uint32_t nframes = dcb_series_get_info(series)->nframes;
    uint32_t nfailed = 0;
    scp_error error = SCP_ERROR_INIT;
    picture image = PICTURE_INIT;
    int status = DCBTOOL_OK;

    if (nframes == 0)
        return dcbtool_failed("%s: the series has no frames", request->path);
    if (request->one_frame && request->frame >= nframes)
        return dcbtool_failed("%s: there is no frame %u; the last is %u", request->path,
                              request->frame, nframes - 1);
    if (!request->one_frame) {
        if (options.size == 0)
            options.size = SHEET_TILE_SIZE;
        status = make_sheet(&image, series, request, &options, &nfailed);
    } else if (render_frame(&image, series, request->frame, &options, &error) != 0) {
        status = dcbtool_failed("%s: %s", request->path, error.message);
    }
    if (status == DCBTOOL_OK && picture_write_png(&image, request->output, &error) != 0)
        status = dcbtool_failed("%s", error.message);
    picture_free(&image);
    return nfailed > 0 ? DCBTOOL_FAILED : status;
}

int dcbtool_preview(int argc, char **argv)
{
    preview_request request = {0};
    int status = parse_arguments(&request, argc, argv);
    if (status != DCBTOOL_OK)
        return status;
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    scp_error reason = SCP_ERROR_INIT;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.pixel_codec = &pixel_codec;
    if (dictionary_load(&reason) == 0)
        options.vr_lookup = dictionary_vr; /* for Implicit VR alone */
    if (dcb_series_open(&series, request.path, &options, &error) != DCB_OK)
        return dcbtool_file_failed(request.path, &error);
    status = preview_series(series, &request);
    dcb_series_close(series);
    return status;
}
