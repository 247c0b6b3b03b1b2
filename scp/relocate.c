/* SPDX-License-Identifier: Apache-2.0 */
/* relocate.c - see relocate.h. */
#include "relocate.h"

#include <string.h>

#define TRIES 3 /* it may move again between the question and the opening */

bool relocate_holds(dcb_series *series, uint32_t frame, const char *sop_instance_uid)
{
    dcb_frame_info info;
    return dcb_series_frame_info(&info, series, frame, NULL) == DCB_OK &&
           strcmp(info.sop_instance_uid, sop_instance_uid) == 0;
}

static dcb_series *open_current(uint32_t *frame, scp_index *index, series_pool *pool,
                                const char *series_uid, const char *sop_instance_uid)
{
    const index_filter filter = {.sop_uids = &sop_instance_uid,
                                 .nsop_uids = 1,
                                 .series_uids = &series_uid,
                                 .nseries_uids = series_uid != NULL};
    index_cursor *cursor = NULL;
    index_instance found;
    dcb_series *series = NULL;
    if (index_find_instances(&cursor, index, &filter, NULL) != 0)
        return NULL;
    if (index_cursor_next_instance(cursor, &found, NULL) == 1 &&
        series_pool_get(&series, pool, found.path, NULL) == DCB_OK) {
        *frame = found.frame;
        if (!relocate_holds(series, found.frame, sop_instance_uid)) {
            dcb_series_release(series);
            series = NULL;
        }
    }
    index_cursor_close(cursor);
    return series;
}

dcb_series *relocate(uint32_t *frame, scp_index *index, series_pool *pool, const char *series_uid,
                     const char *sop_instance_uid)
{
    dcb_series *series = NULL;
    for (int i = 0; i < TRIES && index != NULL && series == NULL; i++)
        series = open_current(frame, index, pool, series_uid, sop_instance_uid);
    return series;
}
