/* SPDX-License-Identifier: Apache-2.0 */
/* test_settings.c - sets of options that are replaced while others read them; what a reload keeps.
 */
#include "settings.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Options whose members all tell the same number. */
static scp_options numbered(unsigned n)
{
    char archive[32], title[16], idle[16], records[160];
    snprintf(archive, sizeof archive, "/archive/%u", n);
    snprintf(title, sizeof title, "T%u", n);
    snprintf(idle, sizeof idle, "%u", n);
    snprintf(records, sizeof records,
             "[{ae_title: D%u, host: h%u, port: %u, prefer: [RLELossless, HTJ2K]}]", n, n, n);
    setenv("DCBSCP_IDLE_TIMEOUT_S", idle, 1);
    setenv("DCBSCP_DESTINATIONS", records, 1);
    char *argv[] = {
        (char[]){"dcbscp"}, (char[]){"--archive"}, archive, (char[]){"--ae-title"}, title, NULL};
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (options_parse(&options, &action, 5, argv, &error) != 0)
        fail_msg("%s", error.message);
    unsetenv("DCBSCP_IDLE_TIMEOUT_S");
    unsetenv("DCBSCP_DESTINATIONS");
    return options;
}

static bool is_whole(const scp_options *options)
{
    const unsigned n = options->idle_timeout_s;
    char title[16], name[16];
    snprintf(title, sizeof title, "T%u", n);
    snprintf(name, sizeof name, "D%u", n);
    return strcmp(options->ae_title, title) == 0 && options->ndestinations == 1 &&
           strcmp(options->destinations[0].ae_title, name) == 0 &&
           options->destinations[0].port == n && options->destinations[0].nprefer == 2;
}

static void a_view_keeps_its_set(void **state)
{
    (void)state;
    scp_settings *settings;
    settings_view a = {0}, b = {0};
    scp_options options = numbered(1);
    assert_int_equal(settings_create(&settings, &options), 0);
    assert_null(options.archives);
    const scp_options *first = settings_look(&a, settings);
    assert_int_equal(first->idle_timeout_s, 1);
    assert_ptr_equal(settings_look(&a, settings), first);
    options = numbered(2);
    assert_int_equal(settings_replace(settings, &options), 0);
    assert_int_equal(settings_look(&b, settings)->idle_timeout_s, 2);
    assert_true(is_whole(first));
    assert_int_equal(settings_look(&a, settings)->idle_timeout_s, 2);
    settings_drop(&a);
    settings_drop(&b);
    settings_drop(&b);
    settings_close(settings);
}

typedef struct reader {
    pthread_t thread;
    scp_settings *settings;
    atomic_bool *over;
    unsigned nlooks, nbroken, ngone_back;
} reader;

static void *read_on(void *context)
{
    reader *r = context;
    settings_view view = {0};
    for (unsigned before = 0; !atomic_load(r->over); r->nlooks++) {
        const scp_options *options = settings_look(&view, r->settings);
        r->nbroken += !is_whole(options);
        r->ngone_back += options->idle_timeout_s < before;
        before = options->idle_timeout_s;
        if (r->nlooks % 64 == 0)
            settings_drop(&view);
    }
    settings_drop(&view);
    return NULL;
}

static void readers_see_whole_sets(void **state)
{
    (void)state;
    enum { READERS = 4, SETS = 200 };
    scp_settings *settings;
    atomic_bool over = false;
    reader readers[READERS] = {0};
    scp_options options = numbered(1);
    assert_int_equal(settings_create(&settings, &options), 0);
    for (int i = 0; i < READERS; i++) {
        readers[i].settings = settings;
        readers[i].over = &over;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (unsigned n = 2; n <= SETS; n++) {
        options = numbered(n);
        assert_int_equal(settings_replace(settings, &options), 0);
    }
    atomic_store(&over, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].nbroken, 0);
        assert_int_equal(readers[i].ngone_back, 0);
    }
    settings_close(settings);
}

static void a_reload_keeps_what_is_fixed(void **state)
{
    (void)state;
    char changed[64];
    scp_options now = numbered(1), fresh = numbered(2);
    assert_int_equal(options_keep_fixed(&fresh, &now, changed, sizeof changed, NULL), 0);
    assert_string_equal(changed, "archives, state_dir, ae_title");
    assert_string_equal(fresh.ae_title, "T1");
    assert_string_equal(fresh.archives[0], "/archive/1");
    assert_string_equal(fresh.state_dir, "/archive/1/.dcbscp");
    assert_int_equal(fresh.idle_timeout_s, 2);
    assert_string_equal(fresh.destinations[0].ae_title, "D2");
    options_free(&fresh);
    fresh = numbered(1);
    assert_int_equal(options_keep_fixed(&fresh, &now, changed, sizeof changed, NULL), 0);
    assert_string_equal(changed, "");
    options_free(&fresh);
    options_free(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_keeps_its_set),
        cmocka_unit_test(readers_see_whole_sets),
        cmocka_unit_test(a_reload_keeps_what_is_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
