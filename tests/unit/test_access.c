/* SPDX-License-Identifier: Apache-2.0 */
/* test_access.c - rules and callers, and what is decided; addresses and ranges of them. */
#include "access.h"

#include "network_address.h"

#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every rule kind; "viewer" is a host at 10.9.0.1. */
static const char RULES[] =
    "[{name: banned, calling: [BAD*], allow: none},"
    " {name: CTs, calling: [CT1, 'CT?'], addresses: [10.1.0.0/16, '2001:db8::/32'],"
    "  allow: [echo, store]},"
    " {addresses: [viewer], allow: [echo, find, move], destinations: [WS1, 'RAD*']},"
    " {name: doctors, users: [dr*], allow: [find, get]},"
    " {name: certified, certificates: ['*O=Hospital*', '*.hospital.example'], encrypted: true,"
    "  allow: all},"
    " {name: test archive, called: [TEST], addresses: 127.0.0.1, allow: all}]";

static bool viewer_resolves(const char *host, const char *address)
{
    return strcmp(host, "viewer") == 0 && strcmp(address, "10.9.0.1") == 0;
}

static scp_options parse(const char *access, const char *bind_address)
{
    char *argv[] = {(char[]){"dcbscp"}, (char[]){"--archive"}, (char[]){"/a"},
                    (char[]){"--bind"}, strdup(bind_address),  NULL};
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    setenv("DCBSCP_ACCESS", access, 1);
    if (options_parse(&options, &action, 5, argv, &error) != 0)
        fail_msg("%s", error.message);
    unsetenv("DCBSCP_ACCESS");
    free(argv[4]);
    return options;
}

static void rules(void **state)
{
    (void)state;
    static const struct {
        access_caller caller;
        uint32_t rights;
        const char *text;
    } CASES[] = {
        {{"CT1", "DCBSCP", "10.1.255.1", NULL, {NULL}, 0, false},
         ACCESS_ECHO | ACCESS_STORE,
         "access rule 2 (CTs)"},
        {{"CT9", "DCBSCP", "2001:db8:1::1", "", {NULL}, 0, false},
         ACCESS_ECHO | ACCESS_STORE,
         "access rule 2 (CTs)"},
        {{"CT9", "DCBSCP", "10.2.0.1", NULL, {NULL}, 0, false}, 0, "no access rule matches"},
        {{"CT10", "DCBSCP", "10.1.0.1", NULL, {NULL}, 0, false}, 0, "no access rule matches"},
        {{"ct1", "DCBSCP", "10.1.0.1", NULL, {NULL}, 0, false}, 0, "no access rule matches"},
        {{"BADGUY", "TEST", "127.0.0.1", "dr house", {NULL}, 0, true}, 0, "access rule 1 (banned)"},
        {{"WS", "DCBSCP", "10.9.0.1", NULL, {NULL}, 0, false},
         ACCESS_ECHO | ACCESS_FIND | ACCESS_MOVE,
         "access rule 3"},
        {{"WS", "DCBSCP", "10.9.0.2", "drum", {NULL}, 0, false},
         ACCESS_FIND | ACCESS_GET,
         "access rule 4 (doctors)"},
        {{"WS", "DCBSCP", "10.9.0.2", "nurse", {NULL}, 0, false}, 0, "no access rule matches"},
        {{"WS", "DCBSCP", "10.9.0.2", NULL, {"CN=a,O=Hospital,C=CH", "a"}, 2, true},
         ACCESS_ALL,
         "access rule 5 (certified)"},
        {{"WS", "DCBSCP", "10.9.0.2", NULL, {"CN=a", "a", "pc.hospital.example"}, 3, true},
         ACCESS_ALL,
         "access rule 5 (certified)"},
        {{"WS", "DCBSCP", "10.9.0.2", NULL, {"CN=a,O=Hospital"}, 1, false},
         0,
         "no access rule matches"},
        {{"WS", "DCBSCP", "10.9.0.2", NULL, {"CN=a,O=Elsewhere"}, 1, true},
         0,
         "no access rule matches"},
        {{"WS", "DCBSCP", "10.9.0.2", NULL, {NULL}, 0, true}, 0, "no access rule matches"},
        {{"WS", "TEST", "127.0.0.1", NULL, {NULL}, 0, false},
         ACCESS_ALL,
         "access rule 6 (test archive)"},
        {{"WS", "TEST", "unknown", NULL, {NULL}, 0, false}, 0, "no access rule matches"},
        {{"WS", "DCBSCP", "127.0.0.1", NULL, {NULL}, 0, false}, 0, "no access rule matches"},
    };
    scp_options options = parse(RULES, "127.0.0.1");
    assert_int_equal(options.naccess, 6);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const access_decision decision =
            access_decide_with(&options, &CASES[i].caller, viewer_resolves);
        if (decision.rights != CASES[i].rights || strcmp(decision.text, CASES[i].text) != 0)
            fail_msg("case %zu: %02X by %s", i, decision.rights, decision.text);
    }
    options_free(&options);
}

static void destinations(void **state)
{
    (void)state;
    scp_options options = parse(RULES, "127.0.0.1");
    const access_caller viewer = {"WS", "DCBSCP", "10.9.0.1", NULL, {NULL}, 0, false};
    const access_caller doctor = {"WS", "DCBSCP", "10.9.0.2", "dr", {NULL}, 0, false};
    const access_caller local = {"WS", "TEST", "127.0.0.1", NULL, {NULL}, 0, false};
    access_decision decision = access_decide_with(&options, &viewer, viewer_resolves);
    assert_true(access_may_send_to(&decision, "WS1"));
    assert_true(access_may_send_to(&decision, "RADIO"));
    assert_false(access_may_send_to(&decision, "WS2"));
    decision = access_decide_with(&options, &doctor, viewer_resolves);
    assert_false(access_may_send_to(&decision, "WS1"));
    decision = access_decide_with(&options, &local, viewer_resolves);
    assert_true(access_may_send_to(&decision, "ANY"));
    options_free(&options);
}

/* Everything on loopback, nothing beyond, until there are rules. */
static void without_rules(void **state)
{
    (void)state;
    static const struct {
        const char *bind_address;
        bool open;
    } CASES[] = {
        {"127.0.0.1", true}, {"127.8.0.1", true}, {"::1", true},  {"0.0.0.0", false},
        {"::", false},       {"10.0.0.1", false}, {"::2", false}, {"::ffff:127.0.0.1", true}};
    const access_caller caller = {"WS", "DCBSCP", "127.0.0.1", NULL, {NULL}, 0, false};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        scp_options options = parse("[]", CASES[i].bind_address);
        access_decision decision = access_decide(&options, &caller);
        assert_int_equal(decision.rights, CASES[i].open ? ACCESS_ALL : 0);
        assert_int_equal(access_is_closed(&options), !CASES[i].open);
        assert_int_equal(access_may_send_to(&decision, "X"), CASES[i].open);
        options_free(&options);
        options = parse("{allow: find}", CASES[i].bind_address);
        decision = access_decide(&options, &caller);
        assert_int_equal(decision.rights, ACCESS_FIND);
        assert_false(access_is_closed(&options));
        options_free(&options);
    }
}

/* The system's resolver knows this one without any network, where it knows any. */
static void host_names(void **state)
{
    (void)state;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_INET};
    if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
        skip();
    freeaddrinfo(found);
    scp_options options = parse("[{addresses: [localhost], allow: get}]", "0.0.0.0");
    access_caller caller = {"WS", "DCBSCP", "127.0.0.1", NULL, {NULL}, 0, false};
    assert_int_equal(access_decide(&options, &caller).rights, ACCESS_GET);
    caller.address = "192.0.2.1";
    assert_int_equal(access_decide(&options, &caller).rights, 0);
    options_free(&options);
}

static void wrong_rules(void **state)
{
    (void)state;
    static const struct {
        const char *access, *message;
    } CASES[] = {
        {"{calling: A}", "DCBSCP_ACCESS, record 1: allow is missing"},
        {"{calling: [], allow: all}",
         "DCBSCP_ACCESS, record 1: calling: an empty list; leave it out"},
        {"{addresses: [], allow: all}", "DCBSCP_ACCESS, record 1: addresses: an empty list"},
        {"{allow: [find, query]}",
         "DCBSCP_ACCESS, record 1: allow: expected echo, find, get, move, store, all or none, not"},
        {"{adresses: 10.0.0.0/8, allow: all}",
         "DCBSCP_ACCESS, record 1: unknown option \"adresses\"; did you mean \"addresses\"?"},
        {"{addresses: 10.1.0.0/8, allow: all}",
         "DCBSCP_ACCESS, record 1: addresses: \"10.1.0.0/8\" does not begin a range of that "
         "length; "
         "did you mean 10.0.0.0/8?"},
        {"{addresses: '2001:db8::1/64', allow: all}",
         "DCBSCP_ACCESS, record 1: addresses: \"2001:db8::1/64\" does not begin a range of that "
         "length; did you mean 2001:db8::/64?"},
        {"{addresses: 10.0.0.0/33, allow: all}",
         "DCBSCP_ACCESS, record 1: addresses: expected an address or a range such as"},
        {"{addresses: 300.0.0.1, allow: all}",
         "DCBSCP_ACCESS, record 1: addresses: expected an address or a range such as"},
        {"{addresses: 'a b', allow: all}",
         "DCBSCP_ACCESS, record 1: addresses: expected an address, a range such as"},
        {"{calling: \"A\\tB\", allow: all}", "DCBSCP_ACCESS, record 1: calling: expected 1 to 255"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *argv[] = {(char[]){"dcbscp"}, (char[]){"--archive"}, (char[]){"/a"}, NULL};
        scp_options options;
        options_action action;
        scp_error error = SCP_ERROR_INIT;
        setenv("DCBSCP_ACCESS", CASES[i].access, 1);
        assert_int_equal(options_parse(&options, &action, 3, argv, &error), -1);
        unsetenv("DCBSCP_ACCESS");
        if (strncmp(error.message, CASES[i].message, strlen(CASES[i].message)) != 0)
            fail_msg("%s gave \"%s\"", CASES[i].access, error.message);
    }
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool holds;
    } CASES[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::a00:1", false},
        {"10.0.0.4/30", "10.0.0.7", true},
        {"10.0.0.4/30", "10.0.0.8", false},
        {"10.0.0.4/31", "10.0.0.6", false},
        {"10.0.0.4", "10.0.0.4", true},
        {"10.0.0.4", "10.0.0.5", false},
        {"10.0.0.4/32", "10.0.0.5", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "fe80::1", true},
        {"::/0", "10.0.0.1", true},
        {"fe80::/10", "fe80::1%eth0", true},
        {"fe80::/10", "fec0::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1", "2001:DB8:0:0::1", true},
        {"10.0.0.0/8", "unknown", false},
        {"10.0.0.0/8", "", false},
        {"nonsense", "10.0.0.1", false},
        {"10.0.0.0/", "10.0.0.0", false},
        {"10.0.0.0/8x", "10.0.0.0", false},
        {"10.0.0.0/-1", "10.0.0.0", false},
        {"10.0.0.0/4294967304", "10.0.0.0", false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        if (network_holds(CASES[i].network, CASES[i].address) != CASES[i].holds)
            fail_msg("%s holds %s: %d", CASES[i].network, CASES[i].address, !CASES[i].holds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),         cmocka_unit_test(destinations),
        cmocka_unit_test(without_rules), cmocka_unit_test(host_names),
        cmocka_unit_test(wrong_rules),   cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
