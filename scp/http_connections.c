/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_connections.c - bounds what connections take: how many there are, and how long each may be
 * about one request, however it dribbles.
 *
 * Connections are looked at when another one comes: those that nobody waits behind may stay. A
 * place holds a descriptor from begin to end, and libmicrohttpd closes it after end, so that none
 * but the connection's own is shut down.
 */
#include "http_private.h"

#include "activity.h"
#include "steady_clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#define REQUEST_MS 20000

typedef enum place_state { PLACE_FREE, PLACE_USED, PLACE_ENDING } place_state;

typedef struct place {
    place_state state; /* ending: shut down, libmicrohttpd will see it and call end */
    int fd;
    int64_t since_ms;
} place;

struct http_connections {
    pthread_mutex_t lock; /* all below */
    place places[HTTP_CONNECTIONS_MAX];
};

http_connections *http_connections_create(void)
{
    http_connections *all = calloc(1, sizeof *all);
    if (all != NULL)
        pthread_mutex_init(&all->lock, NULL);
    return all;
}

void http_connections_free(http_connections *all)
{
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}

static void end_place(place *p)
{
    shutdown(p->fd, SHUT_RDWR);
    p->state = PLACE_ENDING;
}

void *http_connections_begin(http_connections *all, int fd)
{
    const int64_t now_ms = steady_clock_ms();
    place *mine = NULL, *oldest = NULL;
    size_t nused = 0;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        place *p = &all->places[i];
        if (p->state == PLACE_USED && now_ms - p->since_ms > REQUEST_MS)
            end_place(p);
        if (p->state == PLACE_FREE)
            mine = p;
        if (p->state != PLACE_USED)
            continue;
        nused++;
        if (oldest == NULL || p->since_ms < oldest->since_ms)
            oldest = p;
    }
    if (nused >= HTTP_CONNECTIONS)
        end_place(oldest);
    if (mine != NULL)
        *mine = (place){PLACE_USED, fd, now_ms};
    else
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&all->lock);
    return mine;
}

void http_connections_answered(http_connections *all, void *at)
{
    pthread_mutex_lock(&all->lock);
    if (at != NULL)
        ((place *)at)->since_ms = steady_clock_ms();
    pthread_mutex_unlock(&all->lock);
}

void http_connections_end(http_connections *all, void *at)
{
    pthread_mutex_lock(&all->lock);
    if (at != NULL)
        ((place *)at)->state = PLACE_FREE;
    pthread_mutex_unlock(&all->lock);
}
