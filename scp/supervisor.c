/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor.c - sd_notify's datagrams, and the thread that sends them. */
#include "supervisor.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int send_to(const char *path, const char *text, size_t nbytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') /* Linux's abstract names begin with a NUL */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, text, nbytes, MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    const int trouble = errno;
    close(fd);
    errno = trouble;
    return sent == (ssize_t)nbytes ? 0 : -1;
}

void supervisor_tell(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == '\0')
        return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text)
        errno = EMSGSIZE;
    else if (send_to(path, text, (size_t)n) == 0)
        return;
    log_event(LOG_WARN, "supervisor.not_told", LOG_T("socket", path),
              LOG_T("reason", strerror(errno)));
}

/* ---- The watchdog ---------------------------------------------------------------------------- */

struct supervisor_watchdog {
    pthread_t thread;
    pthread_mutex_t lock; /* ending */
    pthread_cond_t changed;
    bool ending;
    uint64_t every_us;
    void (*probe)(void *context);
    void *context;
};

/* False: not asked for, or of another process than this one. */
static bool wanted_interval(uint64_t *microseconds)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    if (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid())
        return false;
    errno = 0;
    *microseconds = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *microseconds > 1 &&
           *microseconds / 1000000 < 366u * 86400u;
}

static struct timespec after_us(uint64_t microseconds)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const uint64_t ns = (uint64_t)t.tv_nsec + microseconds % 1000000 * 1000;
    t.tv_sec += (time_t)(microseconds / 1000000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

static void *give_signs_of_life(void *context)
{
    supervisor_watchdog *w = context;
    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        pthread_mutex_unlock(&w->lock);
        w->probe(w->context);
        supervisor_tell("WATCHDOG=1");
        const struct timespec next = after_us(w->every_us);
        pthread_mutex_lock(&w->lock);
        while (!w->ending && pthread_cond_timedwait(&w->changed, &w->lock, &next) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void watchdog_free(supervisor_watchdog *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int supervisor_watch(supervisor_watchdog **out, void (*probe)(void *context), void *context,
                     scp_error *error)
{
    uint64_t within_us;
    *out = NULL;
    if (!wanted_interval(&within_us))
        return 0;
    supervisor_watchdog *w = calloc(1, sizeof *w);
    if (w == NULL)
        return scp_fail(error, "out of memory");
    w->every_us = within_us / 2;
    w->probe = probe;
    w->context = context;
    steady_cond_init(&w->changed);
    pthread_mutex_init(&w->lock, NULL);
    int trouble = pthread_create(&w->thread, NULL, give_signs_of_life, w);
    if (trouble != 0) {
        watchdog_free(w);
        return scp_fail(error, "cannot start a thread: %s", strerror(trouble));
    }
    *out = w;
    return 0;
}

void supervisor_watch_end(supervisor_watchdog *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    watchdog_free(w);
}
