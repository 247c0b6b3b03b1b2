/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - sets of options, counted.
 *
 * Invariant: the current set has one reference of its own and one for each view. A view's set
 * cannot be freed, so no newer one can have its address: where current is the view's there is
 * nothing new.
 */
#include "settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct held_set {
    scp_options options; /* first: a view's pointer is the set's */
    atomic_uint references;
} held_set;

struct scp_settings {
    pthread_mutex_t lock; /* from reading `current` to counting the reference */
    _Atomic(held_set *) current;
};

static held_set *held_create(scp_options *options)
{
    held_set *set = malloc(sizeof *set);
    if (set == NULL)
        return NULL;
    set->options = *options;
    *options = (scp_options){0};
    atomic_init(&set->references, 1);
    return set;
}

static void release(held_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    options_free(&set->options);
    free(set);
}

int settings_create(scp_settings **out, scp_options *options)
{
    *out = NULL;
    scp_settings *settings = calloc(1, sizeof *settings);
    held_set *set = settings != NULL ? held_create(options) : NULL;
    if (set == NULL) {
        free(settings);
        return -1;
    }
    pthread_mutex_init(&settings->lock, NULL);
    atomic_init(&settings->current, set);
    *out = settings;
    return 0;
}

void settings_close(scp_settings *settings)
{
    if (settings == NULL)
        return;
    release(atomic_load(&settings->current));
    pthread_mutex_destroy(&settings->lock);
    free(settings);
}

int settings_replace(scp_settings *settings, scp_options *options)
{
    held_set *set = held_create(options);
    if (set == NULL)
        return -1;
    pthread_mutex_lock(&settings->lock);
    held_set *before = atomic_exchange(&settings->current, set);
    pthread_mutex_unlock(&settings->lock);
    release(before);
    return 0;
}

const scp_options *settings_look(settings_view *view, scp_settings *settings)
{
    const void *newest = atomic_load_explicit(&settings->current, memory_order_acquire);
    if (view->options != NULL && view->of == settings && newest == view->options)
        return view->options;
    pthread_mutex_lock(&settings->lock);
    held_set *set = atomic_load(&settings->current);
    atomic_fetch_add(&set->references, 1);
    pthread_mutex_unlock(&settings->lock);
    settings_drop(view);
    *view = (settings_view){settings, &set->options};
    return view->options;
}

void settings_drop(settings_view *view)
{
    release((held_set *)(uintptr_t)view->options);
    *view = (settings_view){NULL, NULL};
}
