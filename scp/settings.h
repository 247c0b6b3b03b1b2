/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - the options in force, which SIGHUP replaces while the node runs.
 *
 * A reader holds one whole set of them, as long as it likes; sets are never changed. Between two
 * operations it looks for a newer set, which costs one atomic load where there is none.
 *
 * Threads: all calls from any; a settings_view belongs to one thread.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "options.h"

typedef struct scp_settings scp_settings;

/* A reader's hold; {0} holds nothing. */
typedef struct settings_view {
    scp_settings *of;
    const scp_options *options;
} settings_view;

/* Takes the options over, and leaves *options empty; -1 where memory ran out. */
int settings_create(scp_settings **out, scp_options *options);
/* After the last view of it is dropped. */
void settings_close(scp_settings *settings);
/* The same for later ones: who looks next sees them. */
int settings_replace(scp_settings *settings, scp_options *options);

/* The newest set; what the view held before is let go. Returns view->options. */
const scp_options *settings_look(settings_view *view, scp_settings *settings);
void settings_drop(settings_view *view);

#endif
