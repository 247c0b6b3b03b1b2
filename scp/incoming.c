/* SPDX-License-Identifier: Apache-2.0 */
/* incoming.c - puts messages together for incoming.h. */
#include "incoming.h"

#include <stdlib.h>
#include <string.h>

static incoming_state broken(scp_error *error, const char *what)
{
    scp_fail(error, "%s", what);
    return INCOMING_BROKEN;
}

static incoming_state add_command(incoming *m, const ul_pdv *pdv, scp_error *error)
{
    if (m->command_complete)
        return broken(error, "a command PDV within a data set");
    if (pdv->nbytes > sizeof m->command_bytes - m->command_nbytes)
        return broken(error, "a command set of more than 4096 bytes");
    memcpy(m->command_bytes + m->command_nbytes, pdv->bytes, pdv->nbytes);
    m->command_nbytes += pdv->nbytes;
    if (!pdv->is_last)
        return INCOMING_MORE;
    if (dimse_command_decode(&m->command, m->command_bytes, m->command_nbytes, error) != 0)
        return INCOMING_BROKEN;
    m->command_complete = true;
    return dimse_has_data_set(&m->command) ? INCOMING_MORE : INCOMING_COMPLETE;
}

static incoming_state add_data(incoming *m, const ul_pdv *pdv, size_t limit, scp_error *error)
{
    if (!m->command_complete)
        return broken(error, "a data set PDV where a command is due");
    if (m->sink != NULL) {
        m->sink_nbytes += pdv->nbytes;
        if (m->sink_limit != 0 && m->sink_nbytes > m->sink_limit)
            m->data_too_long = true;
        else
            m->sink(m->sink_context, pdv->bytes, pdv->nbytes);
        return pdv->is_last ? INCOMING_COMPLETE : INCOMING_MORE;
    }
    if (pdv->nbytes > limit - m->data_nbytes || m->data_too_long) {
        m->data_too_long = true;
    } else if (pdv->nbytes > 0) {
        size_t needed = m->data_nbytes + pdv->nbytes;
        if (needed > m->data_capacity) {
            size_t capacity = needed < limit / 2 ? needed * 2 : limit;
            uint8_t *grown = realloc(m->data, capacity);
            if (grown == NULL)
                return broken(error, "out of memory for a data set");
            m->data = grown;
            m->data_capacity = capacity;
        }
        memcpy(m->data + m->data_nbytes, pdv->bytes, pdv->nbytes);
        m->data_nbytes = needed;
    }
    return pdv->is_last ? INCOMING_COMPLETE : INCOMING_MORE;
}

incoming_state incoming_add(incoming *m, const ul_pdv *pdv, size_t data_limit, scp_error *error)
{
    if (!m->begun) {
        m->begun = true;
        m->context_id = pdv->context_id;
    } else if (pdv->context_id != m->context_id) {
        return broken(error, "a message on more than one presentation context");
    }
    return pdv->is_command ? add_command(m, pdv, error) : add_data(m, pdv, data_limit, error);
}

void incoming_reset(incoming *m)
{
    m->sink = NULL;
    m->sink_limit = m->sink_nbytes = 0;
    m->begun = m->command_complete = m->data_too_long = false;
    m->command_nbytes = m->data_nbytes = 0;
}

void incoming_free(incoming *m)
{
    free(m->data);
    m->data = NULL;
    m->data_capacity = 0;
}
