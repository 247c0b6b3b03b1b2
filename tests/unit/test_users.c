/* SPDX-License-Identifier: Apache-2.0 */
/* User Identity against a file: who is let in, in every mode; files that are wrong; how many tries
   an address has, and when again. */
#include "log.h"
#include "temp_dir.h"
#include "users.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* anna's passcode is "geheim" (yescrypt of low cost), bert's "sesam" (SHA-512 of low cost); gast
   has none. */
#define ANNA "anna:$y$j75$0fUFRLf36h0O9AJvjH2tw0$7jsl2stIby1MfMoSdhbBDGz6ZaQwLnEMxwqb1VUxP.8\n"
#define BERT                                                                                       \
    "bert:$6$rounds=1000$saltforbert$"                                                             \
    "1rFgVC6U.IwOT7EzXHXLt0B2bVZjwZFPmKGYrUm.sH8YJ6sFLlI4W5HOblQeKApf55KHTSx6C2sal1g30ONIC/\n"

static char *folder, *path;

static void put_file(const char *text)
{
    write_file(path, text, strlen(text));
}

static int set_up(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_TEXT);
    folder = temp_dir_create();
    path = path_join(folder, "users");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(path);
    temp_dir_remove(folder);
    return 0;
}

static ul_request request_of(uint8_t type, const char *name, const char *passcode)
{
    ul_request request = {.peer_address = "192.0.2.7"};
    request.identity.type = type;
    request.identity.answer_wanted = true;
    request.identity.usable = name != NULL;
    snprintf(request.identity.name, UL_USER_SIZE, "%s", name != NULL ? name : "");
    snprintf(request.identity.passcode, UL_PASSCODE_SIZE, "%s", passcode);
    return request;
}

static void test_who_is_let_in(void **state)
{
    (void)state;
    static const struct {
        identity_mode mode;
        uint8_t type;
        const char *name, *passcode;
        bool in;
        const char *user; /* "": nobody */
        const char *why;
    } cases[] = {
        {IDENTITY_REQUIRE, 2, "anna", "geheim", true, "anna", ""},
        {IDENTITY_REQUIRE, 2, "bert", "sesam", true, "bert", ""},
        {IDENTITY_REQUIRE, 2, "anna", "sesam", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 2, "anna", "", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 2, "anna", "geheim ", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 2, "Anna", "geheim", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 2, "carl", "geheim", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 2, NULL, "", false, "", "no text"},
        {IDENTITY_REQUIRE, 1, "anna", "", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 1, "carl", "", false, "", "wrong user or passcode"},
        {IDENTITY_REQUIRE, 1, "gast", "", true, "gast", ""},
        {IDENTITY_REQUIRE, 2, "gast", "whatever", true, "gast", ""},
        {IDENTITY_REQUIRE, 0, "", "", false, "", "none came"},
        {IDENTITY_REQUIRE, 3, "", "", false, "", "type 3 (Kerberos ticket) is not supported"},
        {IDENTITY_REQUIRE, 4, "", "", false, "", "SAML"},
        {IDENTITY_REQUIRE, 5, "", "", false, "", "JSON web token"},
        {IDENTITY_REQUIRE, 99, "", "", false, "", "type 99 (unknown)"},
        {IDENTITY_ACCEPT, 0, "", "", true, "", ""},
        {IDENTITY_ACCEPT, 3, "", "", true, "", ""},
        {IDENTITY_ACCEPT, 2, "anna", "geheim", true, "anna", ""},
        {IDENTITY_ACCEPT, 2, "anna", "wrong", false, "", "wrong user or passcode"},
        {IDENTITY_OFF, 2, "anna", "wrong", true, "", ""},
        {IDENTITY_OFF, 0, "", "", true, "", ""},
    };
    put_file("# people\n\n" ANNA "gast:\n" BERT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scp_users *users = users_create();
        scp_error why = SCP_ERROR_INIT;
        ul_request request = request_of(cases[i].type, cases[i].name, cases[i].passcode);
        static const char nothing[UL_PASSCODE_SIZE];
        const bool in = users_identify(users, &request, cases[i].mode, path, 1000, &why);
        if (in != cases[i].in)
            fail_msg("case %zu: %s", i, why.message);
        assert_string_equal(request.user, cases[i].user);
        assert_int_equal(request.identity.answer, cases[i].user[0] != '\0');
        if (strstr(why.message, cases[i].why) == NULL)
            fail_msg("case %zu: \"%s\"", i, why.message);
        assert_memory_equal(request.identity.passcode, nothing, sizeof nothing);
        users_close(users);
    }
}

static void test_the_file_is_read_at_each_check(void **state)
{
    (void)state;
    scp_users *users = users_create();
    scp_error why = SCP_ERROR_INIT;
    ul_request request = request_of(2, "anna", "geheim");
    put_file(BERT);
    assert_false(users_identify(users, &request, IDENTITY_REQUIRE, path, 1, &why));
    put_file(ANNA);
    request = request_of(2, "anna", "geheim");
    assert_true(users_identify(users, &request, IDENTITY_REQUIRE, path, 2, &why));
    request = request_of(2, "anna", "geheim");
    assert_false(users_identify(users, &request, IDENTITY_REQUIRE, "/nowhere", 3, &why));
    assert_non_null(strstr(why.message, "cannot read /nowhere"));
    users_close(users);
}

static bool try_passcode(scp_users *users, const char *peer, const char *passcode, int64_t now_ms,
                         scp_error *why)
{
    ul_request request = request_of(2, "bert", passcode);
    snprintf(request.peer_address, sizeof request.peer_address, "%s", peer);
    return users_identify(users, &request, IDENTITY_REQUIRE, path, now_ms, why);
}

static void test_tries_are_counted(void **state)
{
    (void)state;
    scp_users *users = users_create();
    scp_error why = SCP_ERROR_INIT;
    put_file(BERT);
    /* A success forgets what was before it. */
    for (int i = 0; i < USERS_MOST_FAILURES - 1; i++)
        assert_false(try_passcode(users, "192.0.2.1", "x", 100, &why));
    assert_true(try_passcode(users, "192.0.2.1", "sesam", 100, &why));
    for (int i = 0; i < USERS_MOST_FAILURES; i++)
        assert_false(try_passcode(users, "192.0.2.1", "x", 200 + i, &why));
    assert_non_null(strstr(why.message, "wrong user"));
    /* Now even the right one is not looked at, for a minute from the first failure on. */
    assert_false(try_passcode(users, "192.0.2.1", "sesam", 300, &why));
    assert_non_null(strstr(why.message, "too many failures from 192.0.2.1"));
    assert_false(try_passcode(users, "192.0.2.1", "sesam", 199 + USERS_FAILURES_FOR_MS, &why));
    assert_true(try_passcode(users, "192.0.2.2", "sesam", 300, &why));
    assert_true(try_passcode(users, "192.0.2.1", "sesam", 200 + USERS_FAILURES_FOR_MS, &why));
    /* Of IPv6 a peer has a whole network. */
    for (int i = 0; i < USERS_MOST_FAILURES; i++) {
        char peer[46];
        snprintf(peer, sizeof peer, "2001:db8::%d", i);
        assert_false(try_passcode(users, peer, "x", 400, &why));
    }
    assert_false(try_passcode(users, "2001:db8::99", "sesam", 400, &why));
    assert_true(try_passcode(users, "2001:db8:0:1::99", "sesam", 400, &why));
    /* More addresses than are remembered: the oldest gives way, nothing breaks. */
    for (int i = 0; i < 600; i++) {
        ul_request request = request_of(2, NULL, "");
        snprintf(request.peer_address, sizeof request.peer_address, "198.51.%d.%d", i / 250,
                 i % 250);
        assert_false(users_identify(users, &request, IDENTITY_REQUIRE, path, 500 + i, &why));
    }
    assert_true(try_passcode(users, "192.0.2.1", "sesam", 2000, &why));
    users_close(users);
}

typedef struct many {
    scp_users *users;
    unsigned let_in, turned_away; /* atomic */
} many;

static void *one_of_many(void *context)
{
    many *m = context;
    scp_error why = SCP_ERROR_INIT;
    if (try_passcode(m->users, "192.0.2.3", "sesam", 1, &why))
        __atomic_add_fetch(&m->let_in, 1, __ATOMIC_RELAXED);
    else if (strstr(why.message, "others are being checked") != NULL)
        __atomic_add_fetch(&m->turned_away, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void test_few_checks_at_a_time(void **state)
{
    (void)state;
    enum { THREADS = 32 };
    many m = {.users = users_create()};
    pthread_t threads[THREADS];
    scp_error why = SCP_ERROR_INIT;
    put_file(BERT);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, &m), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(m.let_in >= USERS_MOST_CHECKS);
    assert_int_equal(m.let_in + m.turned_away, THREADS);
    assert_true(try_passcode(m.users, "192.0.2.3", "sesam", 1, &why));
    users_close(m.users);
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said; /* NULL: good */
    } cases[] = {
        {ANNA BERT "gast:\n", NULL},
        {"", NULL},
        {"gast:", NULL}, /* a last line without end */
        {ANNA "bert\n", ":2: expected NAME:HASH"},
        {"bert:secret\n", ":1: the hash of user \"bert\" is none"},
        {"bert:$1$abc$BXBqpb9BZcZhXLgbee.0s/\n", ":1: the hash"}, /* MD5 */
        {":whatever\n", ":1: a user name has 1 to"},
        {"a\tb:\n", "no control character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t nusers;
        scp_error error = SCP_ERROR_INIT;
        put_file(cases[i].text);
        const int result = users_check_file(path, &nusers, &error);
        assert_int_equal(result, cases[i].said == NULL ? 0 : -1);
        if (cases[i].said != NULL && strstr(error.message, cases[i].said) == NULL)
            fail_msg("case %zu: \"%s\"", i, error.message);
        if (i == 0)
            assert_int_equal(nusers, 3);
    }
    char longest[700];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    uint32_t nusers;
    scp_error error = SCP_ERROR_INIT;
    put_file(longest);
    assert_int_equal(users_check_file(path, &nusers, &error), -1);
    assert_non_null(strstr(error.message, "a line of over"));
    put_file(BERT BERT);
    ul_request request = request_of(2, "bert", "sesam");
    scp_users *users = users_create();
    assert_false(users_identify(users, &request, IDENTITY_REQUIRE, path, 1, &error));
    assert_non_null(strstr(error.message, "is there twice"));
    users_close(users);
}

static void test_lines_that_we_make(void **state)
{
    (void)state;
    char line[512], other[512];
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(users_make_line(line, sizeof line, "Łucja Nowak", "pas:kod", &error), 0);
    assert_int_equal(users_make_line(other, sizeof other, "Łucja Nowak", "pas:kod", &error), 0);
    assert_string_not_equal(line, other); /* salted */
    put_file(line);
    scp_users *users = users_create();
    ul_request request = request_of(2, "Łucja Nowak", "pas:kod");
    assert_true(users_identify(users, &request, IDENTITY_REQUIRE, path, 1, &error));
    users_close(users);
    assert_int_equal(users_make_line(line, sizeof line, "a:b", "x", &error), -1);
    assert_int_equal(users_make_line(line, sizeof line, "#a", "x", &error), -1);
    assert_int_equal(users_make_line(line, sizeof line, "", "x", &error), -1);
    assert_int_equal(users_make_line(line, sizeof line, "a", "", &error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_let_in),
        cmocka_unit_test(test_the_file_is_read_at_each_check),
        cmocka_unit_test(test_tries_are_counted),
        cmocka_unit_test(test_few_checks_at_a_time),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_lines_that_we_make),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
