/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbscp_main.c - one node from its options to its end.
 *
 * Parts are started in an order in which each finds what it needs, and stopped in the reverse one.
 * Nothing listens before the first scan is done: no client ever sees half an archive.
 *
 * Threads: signals go to a thread of their own, so that they interrupt no call of any other; a
 * second one ends the process wherever it stands.
 */
#include "access.h"
#include "ahead.h"
#include "archive.h"
#include "audit.h"
#include "dictionary.h"
#include "http_server.h"
#include "index.h"
#include "ingest.h"
#include "log.h"
#include "node.h"
#include "security.h"
#include "options.h"
#include "pixel_codec.h"
#include "reload.h"
#include "series_pool.h"
#include "server.h"
#include "service.h"
#include "supervisor.h"
#include "titles.h"
#include "ul.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define MOST_OPEN_FILES 65536

/* ---- Signals --------------------------------------------------------------------------------- */

typedef struct stop_request {
    sigset_t signals;
    pthread_t thread;
    const scp_reload *reload; /* what SIGHUP asks for */
    sem_t wanted;
    atomic_bool serving; /* before, a signal ends the process at once: nothing runs yet */
    atomic_bool over;    /* all has stopped: the next signal ends the thread */
} stop_request;

static void *wait_for_signals(void *context)
{
    stop_request *stop = context;
    for (int n = 0;;) {
        int signal_number = 0;
        if (sigwait(&stop->signals, &signal_number) != 0)
            continue;
        if (atomic_load(&stop->over))
            return NULL;
        if (signal_number == SIGHUP) {
            reload_run(stop->reload);
            continue;
        }
        if (n++ > 0)
            _exit(EXIT_FAILED);
        log_event(LOG_INFO, "node.stopping", LOG_T("signal", strsignal(signal_number)));
        if (!atomic_load(&stop->serving))
            _exit(EXIT_STOPPED);
        sem_post(&stop->wanted);
    }
}

/* Before any other thread, which inherits the mask. A shell that starts a job in the background
   has SIGINT ignored, nohup has SIGHUP: as a daemon's ways to be told they are wanted all the
   same. */
static int watch_signals(stop_request *stop, scp_error *error)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigemptyset(&stop->signals);
    sigaddset(&stop->signals, SIGINT);
    sigaddset(&stop->signals, SIGTERM);
    sigaddset(&stop->signals, SIGHUP);
    atomic_init(&stop->serving, false);
    atomic_init(&stop->over, false);
    sem_init(&stop->wanted, 0, 0);
    pthread_sigmask(SIG_BLOCK, &stop->signals, NULL);
    int trouble = pthread_create(&stop->thread, NULL, wait_for_signals, stop);
    return trouble == 0 ? 0 : scp_fail(error, "cannot start a thread: %s", strerror(trouble));
}

static void wait_for_stop(stop_request *stop)
{
    while (sem_wait(&stop->wanted) != 0 && errno == EINTR)
        ;
}

static void forget_signals(stop_request *stop)
{
    atomic_store(&stop->over, true);
    pthread_kill(stop->thread, SIGTERM);
    pthread_join(stop->thread, NULL);
    sem_destroy(&stop->wanted);
}

/* ---- Parts ----------------------------------------------------------------------------------- */

typedef struct node_parts {
    dcb_cache *cache;
    scp_node node;
    scp_archive *archive;
    scp_titles *titles;
    scp_server *server;
    http_server *http; /* NULL: off */
} node_parts;

/* Associations and open series take a descriptor each. */
static void allow_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= MOST_OPEN_FILES)
        return;
    limit.rlim_cur = limit.rlim_max < MOST_OPEN_FILES ? limit.rlim_max : MOST_OPEN_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before the state folder, which may lie in the first, is made. */
static int check_archives(const scp_options *options, scp_error *error)
{
    for (uint32_t i = 0; i < options->narchives; i++) {
        DIR *folder = opendir(options->archives[i]);
        if (folder == NULL)
            return scp_fail(error, "cannot read the archive %s: %s", options->archives[i],
                            strerror(errno));
        closedir(folder);
    }
    return 0;
}

/* Each of glibc's arenas keeps what was freed in it; decoding frees much, in many threads. */
static void keep_memory_together(void)
{
    mallopt(M_ARENA_MAX, 4);
}

static int start_reading(node_parts *parts, const scp_options *options, scp_error *error)
{
    dcb_error reason = DCB_ERROR_INIT;
    dcb_cache_options cache = DCB_CACHE_OPTIONS_INIT;
    cache.budget_bytes = (uint64_t)options->cache_mb << 20;
    cache.prefetch = false; /* retrievals know what they need: retrieval.h */
    if (dcb_cache_create(&parts->cache, &cache, &reason) != DCB_OK)
        return scp_fail(error, "the cache cannot be made: %s", reason.message);
    dcb_open_options open = DCB_OPEN_OPTIONS_INIT;
    open.cache = parts->cache;
    open.vr_lookup = dictionary_vr;
    open.pixel_codec = &pixel_codec;
    if (series_pool_create(&parts->node.series, options->open_series, &open, &reason) != DCB_OK)
        return scp_fail(error, "series cannot be opened: %s", reason.message);
    const ahead_options ahead = AHEAD_OPTIONS_INIT;
    parts->node.ahead = ahead_pool_create(&ahead);
    if (parts->node.ahead == NULL)
        return scp_fail(error, "the threads that read ahead cannot be started");
    return 0;
}

/* One of its AE titles does. */
static bool takes_instances(const scp_options *options)
{
    bool takes = options->store != NULL;
    for (uint32_t i = 0; i < options->ntitles; i++)
        takes = takes || options->titles[i].store != NULL;
    return takes;
}

static int start(node_parts *parts, const scp_options *options, scp_error *error)
{
    static const service *const SERVICES[] = {&service_echo, &service_find, &service_get,
                                              &service_move, &service_store};
    const size_t nservices =
        sizeof SERVICES / sizeof SERVICES[0] - (takes_instances(options) ? 0 : 1);
    parts->node.options = options;
    if (check_archives(options, error) != 0 || ul_global_init(error) != 0 ||
        security_open(&parts->node.tls, options, error) != 0 || dictionary_load(error) != 0 ||
        start_reading(parts, options, error) != 0)
        return -1;
    parts->node.users = users_create();
    if (parts->node.users == NULL)
        return scp_fail(error, "out of memory");
    if (index_open(&parts->node.index, options->state_dir, error) != 0)
        return -1;
    /* Before the first scan, which may take long: it tells that the node lives, and is not ready.
     */
    if (options->http_port >= 0 &&
        http_server_open(&parts->http, &parts->node, parts->cache, error) != 0)
        return -1;
    if (archive_start(&parts->archive, options, parts->node.index, parts->node.series, NULL,
                      error) != 0)
        return -1;
    if (options->store != NULL && ingest_open(&parts->node.ingest, options, parts->node.index,
                                              parts->node.series, error) != 0)
        return -1;
    if (audit_open(&parts->node.audit, &parts->node, error) != 0)
        return -1;
    audit_tell(&parts->node, AUDIT_STARTED, NULL, "");
    if (titles_start(&parts->titles, &parts->node, error) != 0)
        return -1;
    if (server_start(&parts->server, &parts->node, SERVICES, nservices, error) != 0)
        return -1;
    http_server_ready(parts->http, server_port(parts->server), parts->archive);
    return 0;
}

/* Also after a start that failed half way. */
static void stop_all(node_parts *parts)
{
    settings_view view = {0};
    http_server_stopping(parts->http);
    if (parts->server != NULL)
        server_stop(parts->server, settings_look(&view, parts->node.settings)->shutdown_timeout_s);
    settings_drop(&view);
    http_server_close(parts->http);
    audit_tell(&parts->node, AUDIT_STOPPED, NULL, "");
    audit_close(parts->node.audit);
    titles_stop(parts->titles);
    ingest_close(parts->node.ingest);
    if (parts->archive != NULL)
        archive_stop(parts->archive);
    index_close(parts->node.index);
    ahead_pool_close(parts->node.ahead);
    series_pool_close(parts->node.series);
    dcb_cache_close(parts->cache);
    ul_tls_close(parts->node.tls);
    users_close(parts->node.users);
}

static void tell_page(const node_parts *parts)
{
    const char *address = parts->node.options->http_bind_address;
    const bool is_ipv6 = strchr(address, ':') != NULL;
    if (parts->http != NULL)
        printf("dcbscp: status page on http%s://%s%s%s:%u/\n",
               parts->node.options->http_tls ? "s" : "", is_ipv6 ? "[" : "", address,
               is_ipv6 ? "]" : "", http_server_port(parts->http));
}

static int tell_ready(const node_parts *parts, scp_error *error)
{
    const scp_options *options = parts->node.options;
    index_totals totals;
    if (index_get_totals(parts->node.index, &totals, error) != 0)
        return -1;
    uint16_t port = server_port(parts->server), tls_port = server_tls_port(parts->server);
    bool is_ipv6 = strchr(options->bind_address, ':') != NULL;
    char tls[32] = "";
    if (tls_port != 0)
        snprintf(tls, sizeof tls, " (TLS: %u)", tls_port);
    printf("dcbscp: listening on %s%s%s:%u%s as %s, %" PRIu64 " series, %" PRIu64 " instances\n",
           is_ipv6 ? "[" : "", options->bind_address, is_ipv6 ? "]" : "", port, tls,
           options->ae_title, totals.series, totals.instances);
    tell_page(parts);
    fflush(stdout);
    log_event(LOG_INFO, "node.ready", LOG_T("version", DCB_VERSION),
              LOG_T("address", options->bind_address), LOG_U("port", port),
              LOG_U("tls_port", tls_port), LOG_T("ae_title", options->ae_title),
              LOG_U("series", totals.series), LOG_U("instances", totals.instances),
              LOG_U("bad_files", totals.bad_files));
    access_warn_if_closed(options);
    supervisor_tell("READY=1\nSTATUS=serving %" PRIu64 " series, %" PRIu64 " instances",
                    totals.series, totals.instances);
    return 0;
}

/* What every association needs: the server's lock and the index. */
static void probe(void *context)
{
    const node_parts *parts = context;
    server_stats stats;
    index_totals totals;
    server_get_stats(parts->server, &stats);
    index_get_totals(parts->node.index, &totals, NULL);
}

/* Stopping takes as long as running operations may, and what the parts need beyond. */
static void tell_stopping(const scp_options *options)
{
    const uint64_t us = ((uint64_t)options->shutdown_timeout_s + 60) * 1000000;
    supervisor_tell("STOPPING=1\nSTATUS=finishing running operations\n"
                    "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nWATCHDOG_USEC=%" PRIu64,
                    us, us);
}

static int serve(scp_reload *reload, const scp_options *options)
{
    scp_error error = SCP_ERROR_INIT;
    stop_request stop = {.reload = reload};
    node_parts parts = {.node.settings = reload->settings};
    supervisor_watchdog *watchdog = NULL;
    log_configure(options->log_level, options->log_format);
    allow_open_files();
    keep_memory_together();
    if (watch_signals(&stop, &error) != 0) {
        fprintf(stderr, "dcbscp: %s\n", error.message);
        return EXIT_FAILED;
    }
    int status = EXIT_FAILED;
    if (start(&parts, options, &error) == 0) {
        atomic_store(&stop.serving, true);
        __atomic_store_n(&reload->tls, parts.node.tls, __ATOMIC_RELEASE);
        if (tell_ready(&parts, &error) == 0 &&
            supervisor_watch(&watchdog, probe, &parts, &error) == 0) {
            wait_for_stop(&stop);
            tell_stopping(options);
            status = EXIT_STOPPED;
        }
        supervisor_watch_end(watchdog);
    }
    stop_all(&parts);
    forget_signals(&stop);
    if (status == EXIT_STOPPED)
        log_event(LOG_INFO, "node.stopped", LOG_T("version", DCB_VERSION));
    else
        fprintf(stderr, "dcbscp: %s\n", error.message);
    return status;
}

/* The view lasts as long as the node: its options as at the start. */
static int run(int argc, char **argv, scp_options *options)
{
    scp_reload reload = {.argc = argc, .argv = argv};
    settings_view view = {0};
    if (settings_create(&reload.settings, options) != 0) {
        fputs("dcbscp: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    int status = serve(&reload, settings_look(&view, reload.settings));
    settings_drop(&view);
    settings_close(reload.settings);
    return status;
}

/* The options are good; are the files that they name? */
static int check(const scp_options *options)
{
    scp_error error = SCP_ERROR_INIT;
    ul_tls *tls;
    log_configure(LOG_ERROR, options->log_format);
    if (security_open(&tls, options, &error) != 0) {
        fprintf(stderr, "dcbscp: %s\n", error.message);
        return EXIT_USAGE;
    }
    ul_tls_close(tls);
    puts("dcbscp: the configuration is good");
    return EXIT_STOPPED;
}

int main(int argc, char **argv)
{
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (options_parse(&options, &action, argc, argv, &error) != 0) {
        fprintf(stderr, "dcbscp: %s\n", error.message);
        return EXIT_USAGE;
    }
    int status = EXIT_STOPPED;
    if (action == OPTIONS_HELP)
        options_print_usage();
    else if (action == OPTIONS_VERSION)
        puts("dcbscp " DCB_VERSION);
    else if (action == OPTIONS_CHECK)
        status = check(&options);
    else if (action == OPTIONS_PRINT)
        options_print(stdout, &options);
    else
        status = run(argc, argv, &options);
    options_free(&options);
    return status;
}
