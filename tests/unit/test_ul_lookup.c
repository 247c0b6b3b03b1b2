/* SPDX-License-Identifier: Apache-2.0 */
/* Host names: found, unknown, not answered in time, given up; no lookup holds its caller up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ul_lookup.h"

#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static sem_t held, entered;
static int wake_fd;

static int resolve(const char *host, const char *service, const struct addrinfo *hints,
                   struct addrinfo **out)
{
    if (strcmp(host, "unknown") == 0)
        return EAI_NONAME;
    if (strcmp(host, "slow") == 0) {
        sem_post(&entered);
        while (sem_wait(&held) != 0)
            ;
    }
    return getaddrinfo("127.0.0.2", service, hints, out);
}

static ul_io look_up(const char *host, int timeout_ms, struct addrinfo **out, scp_error *error)
{
    const ul_lookup_request request = {host, 104, timeout_ms, wake_fd, resolve};
    return ul_lookup(out, &request, error);
}

static void test_found(void **state)
{
    (void)state;
    static const char *const hosts[] = {"pacs", "127.0.0.2", "::1"};
    for (size_t i = 0; i < 3; i++) {
        struct addrinfo *found;
        scp_error error = SCP_ERROR_INIT;
        assert_int_equal(look_up(hosts[i], 60000, &found, &error), UL_IO_OK);
        assert_int_equal(found->ai_family, i < 2 ? AF_INET : AF_INET6);
        assert_int_equal(found->ai_socktype, SOCK_STREAM);
        if (i < 2) {
            const struct sockaddr_in *v4 = (const void *)found->ai_addr;
            assert_int_equal(ntohl(v4->sin_addr.s_addr), 0x7F000002);
            assert_int_equal(ntohs(v4->sin_port), 104);
        }
        freeaddrinfo(found);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    struct addrinfo *found;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(look_up("unknown", 60000, &found, &error), UL_IO_BROKEN);
    assert_null(found);
    assert_non_null(strstr(error.message, "host unknown cannot be found"));
}

/* Those that nobody waits for any more are bounded in number, and their places come back. */
static void test_slow(void **state)
{
    (void)state;
    struct addrinfo *found;
    scp_error error = SCP_ERROR_INIT;
    for (int i = 0; i < UL_LOOKUPS_MAX; i++) {
        assert_int_equal(look_up("slow", 1, &found, &error), UL_IO_TIMEOUT);
        assert_null(found);
    }
    for (int i = 0; i < UL_LOOKUPS_MAX; i++)
        assert_int_equal(sem_wait(&entered), 0);
    assert_int_equal(look_up("pacs", 60000, &found, &error), UL_IO_BROKEN);
    assert_non_null(strstr(error.message, "threads"));
    assert_int_equal(look_up("127.0.0.2", 60000, &found, &error), UL_IO_OK); /* needs no thread */
    freeaddrinfo(found);
    for (int i = 0; i < UL_LOOKUPS_MAX; i++)
        sem_post(&held);
    while (look_up("pacs", 60000, &found, &error) != UL_IO_OK)
        ; /* until one of them has ended */
    freeaddrinfo(found);
}

static void test_given_up(void **state)
{
    (void)state;
    struct addrinfo *found;
    scp_error error = SCP_ERROR_INIT;
    const uint64_t one = 1;
    assert_int_equal(write(wake_fd, &one, sizeof one), sizeof one);
    assert_int_equal(look_up("slow", 60000, &found, &error), UL_IO_WOKEN);
    assert_null(found);
    sem_post(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_given_up),
    };
    sem_init(&held, 0, 0);
    sem_init(&entered, 0, 0);
    wake_fd = eventfd(0, EFD_NONBLOCK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
