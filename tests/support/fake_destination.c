/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_destination.h"

#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fake_destination destination;

typedef struct fake_link {
    bool is_open, interrupted;
} fake_link;

void fake_destination_reset(void)
{
    destination = (fake_destination){.refuse_from = FAKE_NEVER,
                                     .odd_from = FAKE_NEVER,
                                     .lost_from = FAKE_NEVER,
                                     .silent = FAKE_NEVER,
                                     .blocked = FAKE_NEVER};
    pthread_mutex_init(&destination.lock, NULL);
    pthread_cond_init(&destination.changed, NULL);
}

static void *fake_create(const store_target *target)
{
    (void)target;
    return calloc(1, sizeof(fake_link));
}

static void answer(ul_request *request, bool odd)
{
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        ul_context *context = &request->contexts[i];
        const char *syntax =
            destination.accepted != NULL ? destination.accepted : context->syntaxes[0];
        bool proposed = false;
        for (uint32_t k = 0; k < context->nsyntaxes; k++)
            proposed = proposed || strcmp(context->syntaxes[k], syntax) == 0;
        if (proposed && !(odd && i == 0))
            ul_context_accept(context, syntax, true);
        else
            ul_context_refuse(context, 4);
    }
}

static bool fake_open(void *link, ul_request *request, void (*on_connected)(void *context),
                      void *context, ul_connect_fault *fault)
{
    fake_link *l = link;
    *fault = (ul_connect_fault){0};
    pthread_mutex_lock(&destination.lock);
    must(!l->is_open, "opened twice");
    const uint32_t n = destination.nopened++;
    const bool interrupted = l->interrupted;
    const bool refused = n >= destination.refuse_from && n < destination.refuse_to;
    if (!refused && !interrupted) {
        answer(request, n >= destination.odd_from);
        destination.ncontexts = request->ncontexts;
        l->is_open = true;
    }
    pthread_mutex_unlock(&destination.lock);
    if (refused || interrupted) {
        fault->stopped = interrupted;
        snprintf(fault->comment, sizeof fault->comment, "rejected: local limit exceeded");
        return false;
    }
    on_connected(context);
    return true;
}

static store_result fake_store(void *link, uint8_t context_id, const dcb_frame *frame,
                               uint16_t *status, scp_error *error)
{
    fake_link *l = link;
    store_result result = STORE_ANSWERED;
    (void)context_id;
    scp_fail(error, "by the script");
    pthread_mutex_lock(&destination.lock);
    must(l->is_open, "a C-STORE without an association");
    const uint32_t n = destination.nstores++;
    snprintf(destination.stored[n], UL_UID_SIZE, "%s", dcb_frame_sop_instance_uid(frame));
    snprintf(destination.syntaxes[n], UL_UID_SIZE, "%s", dcb_frame_transfer_syntax_uid(frame));
    if (++destination.nat_once > destination.most_at_once)
        destination.most_at_once = destination.nat_once;
    pthread_cond_broadcast(&destination.changed);
    while (n < destination.together && destination.nstores < destination.together)
        pthread_cond_wait(&destination.changed, &destination.lock);
    while (n == destination.blocked && !l->interrupted)
        pthread_cond_wait(&destination.changed, &destination.lock);
    if (l->interrupted || (n >= destination.lost_from && n < destination.lost_to))
        result = STORE_LOST;
    else if (n == destination.silent)
        result = STORE_SILENT;
    *status = n < 8 ? destination.status[n] : 0;
    l->is_open = result == STORE_ANSWERED;
    destination.nat_once--;
    pthread_mutex_unlock(&destination.lock);
    return result;
}

static void fake_release(void *link)
{
    fake_link *l = link;
    pthread_mutex_lock(&destination.lock);
    destination.nreleased += l->is_open;
    l->is_open = false;
    pthread_mutex_unlock(&destination.lock);
}

static void fake_interrupt(void *link)
{
    pthread_mutex_lock(&destination.lock);
    ((fake_link *)link)->interrupted = true;
    destination.ninterrupts++;
    pthread_cond_broadcast(&destination.changed);
    pthread_mutex_unlock(&destination.lock);
}

static void fake_close(void *link)
{
    pthread_mutex_lock(&destination.lock);
    destination.nclosed++;
    pthread_mutex_unlock(&destination.lock);
    free(link);
}

const store_link_kind fake_destination_links = {
    .create = fake_create,
    .open = fake_open,
    .store = fake_store,
    .release = fake_release,
    .interrupt = fake_interrupt,
    .close = fake_close,
};
