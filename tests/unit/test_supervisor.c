/* SPDX-License-Identifier: Apache-2.0 */
/* What is told to systemd: datagrams, read here from a socket of our own. */
#include "supervisor.h"

#include "log.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    const size_t n = strlen(address.sun_path);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char received[600];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 60000), 1);
    ssize_t n = recv(fd, received, sizeof received - 1, 0);
    assert_true(n > 0);
    received[n] = '\0';
    assert_string_equal(received, text);
}

static void expect_nothing(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_tells(void **state)
{
    (void)state;
    char *folder = temp_dir_create(), name[200];
    snprintf(name, sizeof name, "%s/notify", folder);
    int fd = listen_at(name);
    supervisor_tell("READY=1\nSTATUS=%d instances", 74);
    expect(fd, "READY=1\nSTATUS=74 instances");
    close(fd);
    supervisor_tell("STOPPING=1"); /* nobody is there any more: a line in the log */
    temp_dir_remove(folder);

    snprintf(name, sizeof name, "@dcbscp-test-%ld", (long)getpid());
    fd = listen_at(name);
    supervisor_tell("STOPPING=1");
    expect(fd, "STOPPING=1");

    /* Too long, no name, a name that is none: nothing goes anywhere. */
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    supervisor_tell("STATUS=%s", longest);
    setenv("NOTIFY_SOCKET", "relative", 1);
    supervisor_tell("STOPPING=1");
    setenv("NOTIFY_SOCKET", longest, 1);
    supervisor_tell("STOPPING=1");
    unsetenv("NOTIFY_SOCKET");
    supervisor_tell("STOPPING=1");
    expect_nothing(fd);
    close(fd);
}

typedef struct gate {
    sem_t entered, leave;
} gate;

static void pass_gate(void *context)
{
    gate *g = context;
    sem_post(&g->entered);
    while (sem_wait(&g->leave) != 0)
        ;
}

static void test_watchdog(void **state)
{
    (void)state;
    scp_error error = SCP_ERROR_INIT;
    supervisor_watchdog *watchdog;
    gate g;
    char name[64];
    sem_init(&g.entered, 0, 0);
    sem_init(&g.leave, 0, 0);
    snprintf(name, sizeof name, "@dcbscp-watch-%ld", (long)getpid());
    int fd = listen_at(name);
    snprintf(name, sizeof name, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", name, 1);
    setenv("WATCHDOG_USEC", "2000", 1);
    assert_int_equal(supervisor_watch(&watchdog, pass_gate, &g, &error), 0);
    assert_non_null(watchdog);
    for (int i = 0; i < 3; i++) {
        sem_wait(&g.entered);
        expect_nothing(fd); /* a probe that hangs gives no sign of life */
        sem_post(&g.leave);
        expect(fd, "WATCHDOG=1");
    }
    /* It may be within its probe once more, or not. */
    sem_post(&g.leave);
    supervisor_watch_end(watchdog);
    close(fd);
    sem_destroy(&g.entered);
    sem_destroy(&g.leave);
}

static void test_watchdog_not_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *microseconds, *pid;
    } cases[] = {{NULL, NULL},  {"", NULL},   {"0", NULL},      {"1", NULL},
                 {"-5", NULL},  {"5x", NULL}, {"2000000", "1"}, {"99999999999999999999999", NULL},
                 {"5 6", NULL}, {" 5", NULL}, {"2000000", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scp_error error = SCP_ERROR_INIT;
        supervisor_watchdog *watchdog;
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (cases[i].microseconds != NULL)
            setenv("WATCHDOG_USEC", cases[i].microseconds, 1);
        if (cases[i].pid != NULL)
            setenv("WATCHDOG_PID", cases[i].pid, 1);
        assert_int_equal(supervisor_watch(&watchdog, pass_gate, NULL, &error), 0);
        assert_null(watchdog);
    }
    supervisor_watch_end(NULL);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tells),
                                       cmocka_unit_test(test_watchdog),
                                       cmocka_unit_test(test_watchdog_not_asked_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
