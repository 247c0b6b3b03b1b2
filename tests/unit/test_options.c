/* SPDX-License-Identifier: Apache-2.0 */
/* test_options.c - defaults, precedence, conf/dcbscp.yaml, and every kind of wrong input with its
   line. */
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SHIPPED_FILE CONF_DIR "/dcbscp.yaml"

static char folder[] = "/tmp/test_options.XXXXXX";
static char path[64];

/* Words separated by spaces; "@" stands for the test's own file. */
static int parse(scp_options *options, options_action *action, const char *line, scp_error *error)
{
    char buffer[512];
    char program[] = "dcbscp";
    char *argv[32] = {program};
    int argc = 1;
    snprintf(buffer, sizeof buffer, "%s", line);
    char *rest = NULL;
    for (char *word = strtok_r(buffer, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = strcmp(word, "@") == 0 ? path : word;
    return options_parse(options, action, argc, argv, error);
}

static void write_file_bytes(const char *bytes, size_t nbytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, nbytes, file), nbytes);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *text)
{
    write_file_bytes(text, strlen(text));
}

static void parse_well(scp_options *options, const char *line)
{
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (parse(options, &action, line, &error) != 0)
        fail_msg("%s: %s", line, error.message);
    assert_int_equal(action, OPTIONS_RUN);
}

static void defaults(void **state)
{
    (void)state;
    scp_options options;
    parse_well(&options, "--archive /data/a/");
    assert_int_equal(options.narchives, 1);
    assert_string_equal(options.archives[0], "/data/a");
    assert_string_equal(options.state_dir, "/data/a/.dcbscp");
    assert_string_equal(options.bind_address, "127.0.0.1");
    assert_int_equal(options.port, 11112);
    assert_string_equal(options.ae_title, "DCBSCP");
    assert_int_equal(options.log_level, LOG_INFO);
    assert_int_equal(options.log_format, LOG_TEXT);
    assert_int_equal(options.max_associations, 256);
    assert_int_equal(options.max_pdu, 131072);
    assert_true(options.get_without_role);
    assert_int_equal(options.cache_mb, 256);
    options_free(&options);
}

static void command_line(void **state)
{
    (void)state;
    scp_options options;
    parse_well(&options, "--archive /a --archive=/b --state /s --bind :: --port 0 --ae-title X "
                         "--log-level debug --log-format json --port 104");
    assert_int_equal(options.narchives, 2);
    assert_string_equal(options.archives[1], "/b");
    assert_string_equal(options.state_dir, "/s");
    assert_string_equal(options.bind_address, "::");
    assert_int_equal(options.port, 104);
    assert_string_equal(options.ae_title, "X");
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_int_equal(options.log_format, LOG_JSON);
    options_free(&options);
}

static void file_and_precedence(void **state)
{
    (void)state;
    write_file("archives: [here, /there]\nport: 1\nae_title: ' FILE '\nget_without_role: false\n"
               "cache_mb: 0\n");
    scp_options options;
    parse_well(&options, "-c @ --port 2");
    char expected[64];
    snprintf(expected, sizeof expected, "%s/here", folder);
    assert_int_equal(options.narchives, 2);
    assert_string_equal(options.archives[0], expected);
    assert_string_equal(options.archives[1], "/there");
    assert_int_equal(options.port, 2);
    assert_string_equal(options.ae_title, "FILE");
    assert_false(options.get_without_role);
    assert_int_equal(options.cache_mb, 0);
    options_free(&options);

    parse_well(&options, "--archive /only -c @");
    assert_int_equal(options.narchives, 1);
    assert_string_equal(options.archives[0], "/only");
    assert_int_equal(options.port, 1);
    options_free(&options);
}

static void relative_archive_is_taken_from_the_working_folder(void **state)
{
    (void)state;
    char expected[4096 + 8];
    assert_non_null(getcwd(expected, 4096));
    strncat(expected, "/a/b", 5);
    scp_options options;
    parse_well(&options, "--archive a/b//");
    assert_string_equal(options.archives[0], expected);
    options_free(&options);
}

static void actions(void **state)
{
    (void)state;
    scp_options options;
    options_action action;
    assert_int_equal(parse(&options, &action, "--help", NULL), 0);
    assert_int_equal(action, OPTIONS_HELP);
    options_free(&options);
    assert_int_equal(parse(&options, &action, "--port 1 --version", NULL), 0);
    assert_int_equal(action, OPTIONS_VERSION);
    options_free(&options);
    assert_int_equal(parse(&options, &action, "--check-config --archive /a", NULL), 0);
    assert_int_equal(action, OPTIONS_CHECK);
    options_free(&options);
    assert_int_equal(parse(&options, &action, "--check-config --archive /a --port x", NULL), -1);
    assert_int_equal(parse(&options, &action, "--print-config", NULL), -1);
}

static char *printed(const scp_options *options)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    options_print(out, options);
    fclose(out);
    return text;
}

/* What is printed, read as a file, gives what was printed. */
static void print_config(void **state)
{
    (void)state;
    write_file("archives: [here, \"/q\\\"\\\\\\t\"]\nae_title: 'A: b'\nlog_level: debug\n"
               "get_without_role: false\n"
               "destinations:\n  - {ae_title: A, host: h, prefer: [HTJ2K, RLELossless]}\n"
               "  - {ae_title: B, host: peer, tls: true}\n");
    setenv("DCBSCP_CACHE_MB", "7", 1);
    scp_options options;
    parse_well(&options, "-c @ --port 2");
    unsetenv("DCBSCP_CACHE_MB");
    char *first = printed(&options), origin[160];
    options_free(&options);
    static const char *const LINES[] = {
        "port: 2 # --port\n", "cache_mb: 7 # DCBSCP_CACHE_MB\n", "max_pdu: 131072 # default\n",
        "  - ae_title: \"A\"\n    host: \"h\"\n    port: 104\n    tls: false\n",
        "# store: not set\n"};
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        if (strstr(first, LINES[i]) == NULL)
            fail_msg("no %s in %s", LINES[i], first);
    }
    snprintf(origin, sizeof origin, "log_level: debug # %s:3\n", path);
    assert_non_null(strstr(first, origin));

    write_file(first);
    parse_well(&options, "-c @");
    char *second = printed(&options), *a = first, *b = second, *rest_a, *rest_b;
    assert_string_equal(options.ae_title, "A: b");
    assert_string_equal(options.archives[1], "/q\"\\\t");
    assert_string_equal(options.destinations[0].prefer[1], "1.2.840.10008.1.2.5");
    options_free(&options);
    size_t nlines = 0;
    for (; (a = strtok_r(a, "\n", &rest_a)) != NULL; a = NULL, b = NULL, nlines++) {
        b = strtok_r(b, "\n", &rest_b);
        assert_non_null(b);
        const char *end_a = strstr(a, " #"), *end_b = strstr(b, " #");
        assert_int_equal(end_a != NULL, end_b != NULL);
        if (end_a != NULL)
            assert_int_equal(end_a - a, end_b - b);
        assert_int_equal(strncmp(a, b, end_a != NULL ? (size_t)(end_a - a) : strlen(a) + 1), 0);
    }
    assert_true(nlines > 30);
    free(first);
    free(second);
}

static void wrong_command_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } CASES[] = {
        {"", "no archive given"},
        {"--archive", "--archive needs a value"},
        {"--archive /a -c", "-c needs a value"},
        {"--archive /a --archive /a/", "--archive: \"/a\" is given twice"},
        {"--archive /a --port 65536", "--port: expected a number from 0 to 65535, not \"65536\""},
        {"--archive /a --port -1", "--port: expected a number from 0 to 65535, not \"-1\""},
        {"--archive /a --port=", "--port: expected a number from 0 to 65535, not \"\""},
        {"--archive /a --port 99999999999999999999", "--port: expected a number"},
        {"--archive /a --port 1x", "--port: expected a number"},
        {"--archive /a --prot 1", "unknown option \"--prot\"; did you mean \"--port\"?"},
        {"--archive /a --aetitle=1", "unknown option \"--aetitle\"; did you mean \"--ae-title\"?"},
        {"--archive /a --zzzzzz", "unknown option \"--zzzzzz\"; see --help"},
        {"--archive /a -p 1", "unknown option \"-p\"; see --help"},
        {"--help=1", "--help takes no value"},
        {"--archive /a serve", "unexpected argument \"serve\""},
        {"--archive /a --ae-title 12345678901234567", "--ae-title: expected 1 to 16 ASCII"},
        {"--archive /a --ae-title A\\B", "--ae-title: expected 1 to 16 ASCII"},
        {"--archive /a --ae-title M\xc3\xbcller", "--ae-title: expected 1 to 16 ASCII"},
        {"--archive /a --bind localhost", "--bind: expected a numeric address"},
        {"--archive /a --log-level loud", "--log-level: expected error, warn, info or debug, not"},
        {"--archive /a --log-format xml", "--log-format: expected text or json, not \"xml\""},
        {"--archive=", "--archive: expected a folder, not an empty value"},
        {"-c /nowhere/at/all.yaml", "/nowhere/at/all.yaml: cannot open the configuration file"},
        {"-c /tmp", "/tmp: cannot read the configuration file"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        scp_options options;
        options_action action;
        scp_error error = SCP_ERROR_INIT;
        assert_int_equal(parse(&options, &action, CASES[i].line, &error), -1);
        if (strncmp(error.message, CASES[i].message, strlen(CASES[i].message)) != 0)
            fail_msg("\"%s\" gave \"%s\"", CASES[i].line, error.message);
        assert_null(strchr(error.message, '\n'));
    }
}

static void wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message; /* the message after the file's name */
    } CASES[] = {
        {"prot: 1\n", ":1: unknown option \"prot\"; did you mean \"port\"?"},
        {"# x\nidle_timeout: 5\n", ":2: unknown option \"idle_timeout\"; did you mean "
                                   "\"idle_timeout_s\"?"},
        {"something_else: 1\n", ":1: unknown option \"something_else\""},
        {"port: 1\nport: 2\n", ":2: port: given a second time"},
        {"archives: [/a]\nae_title: X\narchives: [/b]\n", ":3: archives: given a second time"},
        {"port: [1]\n", ":1: port: expected one value, not a list or a record"},
        {"port:\n", ":1: port: expected a number from 0 to 65535, not \"\""},
        {"archives:\n  - /a\n  - /a\n", ":3: archives: \"/a\" is given twice"},
        {"archives:\n  - [/a]\n", ":2: archives: a list may hold plain values only"},
        {"port: {a: 1}\n", ":1: port: expected one value, not a list or a record"},
        {"- port\n", ":1: expected lines of the form"},
        {"port\n", ":1: expected lines of the form"},
        {"[a]: 1\n", ":1: expected an option's name"},
        {"port: &x 1\nmax_pdu: *x\n",
         ":1: max_pdu: expected a number from 4096 to 131072, not \"1\""},
        {"port: 1\n---\nport: 2\n", ":2: a second document begins here"},
        {"port: 'x\n", ":2: not valid YAML: "},
        {"port: 1\n  ae_title\n",
         ":1: port: expected a number from 0 to 65535, not \"1 ae_title\""},
        {"port: \x01\n", ": byte 6: not valid YAML: "},
        {"get_without_role: maybe\n", ":1: get_without_role: expected true or false, not"},
        {"max_pdu: 4095\n", ":1: max_pdu: expected a number from 4096 to 131072, not \"4095\""},
        {"log_level: \"in\\0fo\"\n", ":1: a value has a NUL character"},
        {"archives: &x [*x]\n", ":1: archives: a list may hold plain values only"},
        {"destinations: A\n", ":1: destinations, record 1: expected `name: value` lines"},
        {"destinations:\n  - ae_title: A\n    hots: b\n",
         ":3: destinations, record 1: unknown option \"hots\"; did you mean \"host\"?"},
        {"destinations:\n  - {ae_title: A, host: b}\n  - ae_title: B\n",
         ":3: destinations, record 2: host is missing"},
        {"destinations:\n  - ae_title: A\n    host: b\n    port: 0\n",
         ":4: destinations, record 1: port: expected a number from 1 to 65535, not \"0\""},
        {"destinations:\n  - ae_title: A\n    host: b\n    host: c\n",
         ":4: destinations, record 1: host: given a second time"},
        {"destinations: [{ae_title: A, host: b},\n {ae_title: A, host: c}]\n",
         ":2: destinations, record 2: \"A\" is given twice"},
        {"destinations: [{ae_title: A, host: 'b c'}]\n",
         ":1: destinations, record 1: host: expected a host's name, a numeric address or peer"},
        {"destinations: [{ae_title: A, host: b, associations: 9}]\n",
         ":1: destinations, record 1: associations: expected a number from 1 to 8"},
        {"destinations: [{ae_title: A, host: b, prefer: [HTJ2K, JPEG3000]}]\n",
         ":1: destinations, record 1: prefer: expected a transfer syntax, by UID or by a name"},
        {"destinations: [{ae_title: A, host: b, prefer: [RLELossless, 1.2.840.10008.1.2.5]}]\n",
         ":1: destinations, record 1: prefer: \"1.2.840.10008.1.2.5\" is given twice"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        write_file(CASES[i].text);
        scp_options options;
        options_action action;
        scp_error error = SCP_ERROR_INIT;
        assert_int_equal(parse(&options, &action, "--archive /a -c @", &error), -1);
        assert_int_equal(strncmp(error.message, path, strlen(path)), 0);
        const char *message = error.message + strlen(path);
        if (strncmp(message, CASES[i].message, strlen(CASES[i].message)) != 0)
            fail_msg("%s gave \"%s\"", CASES[i].text, error.message);
    }
}

static void destinations(void **state)
{
    (void)state;
    write_file("destinations:\n"
               "  - ae_title: WS1\n"
               "    host: ws1.hospital.example\n"
               "  - {ae_title: ' WS 2 ', host: 10.0.0.7, port: 11112, tls: true, associations: 8,\n"
               "     retries: 0, only_self: true, prefer: [htj2klossless, 1.2.840.10008.1.2.1]}\n"
               "  - {ae_title: WS3, host: peer}\n"
               "  - {ae_title: WS4, host: 'fd00::4', prefer: RLELossless}\n");
    scp_options options;
    parse_well(&options, "--archive /a -c @");
    assert_int_equal(options.ndestinations, 4);
    const scp_destination *d = options.destinations;
    assert_string_equal(d[0].ae_title, "WS1");
    assert_string_equal(d[0].host, "ws1.hospital.example");
    assert_int_equal(d[0].port, 104);
    assert_int_equal(d[0].associations, 1);
    assert_int_equal(d[0].retries, 1);
    assert_false(d[0].tls || d[0].only_self);
    assert_int_equal(d[0].nprefer, 0);
    assert_string_equal(d[1].ae_title, "WS 2");
    assert_int_equal(d[1].port, 11112);
    assert_int_equal(d[1].associations, 8);
    assert_int_equal(d[1].retries, 0);
    assert_true(d[1].tls && d[1].only_self);
    assert_int_equal(d[1].nprefer, 2);
    assert_string_equal(d[1].prefer[0], "1.2.840.10008.1.2.4.201");
    assert_string_equal(d[1].prefer[1], "1.2.840.10008.1.2.1");
    assert_string_equal(d[2].host, DESTINATION_PEER);
    assert_string_equal(d[3].host, "fd00::4");
    assert_string_equal(d[3].prefer[0], "1.2.840.10008.1.2.5");
    options_free(&options);

    /* The command line takes the place of the file's whole list. */
    parse_well(&options, "--archive /a -c @ --destination {ae_title:\tX,host:\th} "
                         "--destination {ae_title:\tY,host:\th}");
    assert_int_equal(options.ndestinations, 2);
    assert_string_equal(options.destinations[1].ae_title, "Y");
    options_free(&options);
}

static void titles(void **state)
{
    (void)state;
    write_file("archives: [/a]\nstore: /a/in\n"
               "titles:\n  - {ae_title: R-1, archives: [r, /s], store: /s/in}\n"
               "  - {ae_title: 'A/..', store: /t, state_dir: /state}\n");
    scp_options options;
    parse_well(&options, "-c @");
    char expected[64];
    snprintf(expected, sizeof expected, "%s/r", folder);
    assert_int_equal(options.ntitles, 2);
    assert_string_equal(options.titles[0].archives[0], expected);
    assert_int_equal(options.titles[0].narchives, 2); /* the store lies in one */
    assert_string_equal(options.titles[0].state_dir, "/a/.dcbscp/title-R%2D1");
    assert_int_equal(options.titles[1].narchives, 1);
    assert_string_equal(options.titles[1].archives[0], "/t");
    assert_string_equal(options.titles[1].state_dir, "/state");
    options_free(&options);
    parse_well(&options, "--archive /a --title {ae_title:\tA/..,archives:\t/b}");
    assert_string_equal(options.titles[0].state_dir, "/a/.dcbscp/title-A%2F%2E%2E");
    options_free(&options);

    static const struct {
        const char *text, *message;
    } CASES[] = {
        {"titles: [{ae_title: A}]\n", "titles: A has neither archives nor a store"},
        {"titles: [{ae_title: DCBSCP, archives: [/b]}]\n", "titles: DCBSCP is the node's own"},
        {"store: /in\ntitles: [{ae_title: A, store: /in}]\n",
         "titles: DCBSCP and A have the same store, /in"},
        {"titles: [{ae_title: A, store: /in}, {ae_title: B, store: /in/}]\n",
         "titles: A and B have the same store, /in"},
        {"titles: [{ae_title: A, archives: /b, state_dir: /a/.dcbscp}]\n",
         "titles: DCBSCP and A have the same state_dir, /a/.dcbscp"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        options_action action;
        scp_error error = SCP_ERROR_INIT;
        write_file(CASES[i].text);
        assert_int_equal(parse(&options, &action, "--archive /a -c @", &error), -1);
        if (strncmp(error.message, CASES[i].message, strlen(CASES[i].message)) != 0)
            fail_msg("%s gave \"%s\"", CASES[i].text, error.message);
    }
}

static void environment(void **state)
{
    (void)state;
    scp_options options;
    write_file("port: 1\nae_title: FILE\narchives: [/file]\ncache_mb: 7\n");
    setenv("DCBSCP_CONFIG", path, 1);
    setenv("DCBSCP_PORT", "2", 1);
    setenv("DCBSCP_AE_TITLE", "A: b", 1);
    setenv("DCBSCP_ARCHIVES", "[/x, here]", 1);
    setenv("DCBSCP_DESTINATIONS", "[{ae_title: A, host: h}, {ae_title: B, host: h}]", 1);
    setenv("DCBSCP_SERVICE_HOST", "10.0.0.1", 1);
    setenv("DCBSCP_PORT_11112_TCP_ADDR", "10.0.0.1", 1);
    parse_well(&options, "--ae-title LINE");
    char expected[4096 + 8];
    assert_non_null(getcwd(expected, 4096));
    strncat(expected, "/here", 6);
    assert_int_equal(options.port, 2);
    assert_string_equal(options.ae_title, "LINE");
    assert_int_equal(options.cache_mb, 7);
    assert_int_equal(options.narchives, 2);
    assert_string_equal(options.archives[1], expected);
    assert_int_equal(options.ndestinations, 2);
    assert_string_equal(options.destinations[1].ae_title, "B");
    options_free(&options);
    setenv("DCBSCP_PORT", "tcp://10.0.0.1:11112", 1); /* Kubernetes' */
    parse_well(&options, "");
    assert_int_equal(options.port, 1);
    assert_string_equal(options.ae_title, "A: b");
    options_free(&options);
    static const char *const VARIABLES[] = {"DCBSCP_CONFIG",
                                            "DCBSCP_PORT",
                                            "DCBSCP_AE_TITLE",
                                            "DCBSCP_ARCHIVES",
                                            "DCBSCP_DESTINATIONS",
                                            "DCBSCP_SERVICE_HOST",
                                            "DCBSCP_PORT_11112_TCP_ADDR"};
    for (size_t i = 0; i < sizeof VARIABLES / sizeof VARIABLES[0]; i++)
        unsetenv(VARIABLES[i]);
}

static void wrong_variables(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *message;
    } CASES[] = {
        {"DCBSCP_PROT", "1", "DCBSCP_PROT: unknown option \"prot\"; did you mean \"port\"?"},
        {"DCBSCP_PORT", "x", "DCBSCP_PORT: expected a number from 0 to 65535, not \"x\""},
        {"DCBSCP_PORT", "[1]", "DCBSCP_PORT: expected a number from 0 to 65535, not \"[1]\""},
        {"DCBSCP_ARCHIVES", "[/a", "DCBSCP_ARCHIVES: not valid YAML: "},
        {"DCBSCP_ARCHIVES", "", "DCBSCP_ARCHIVES: expected a folder, not an empty value"},
        {"DCBSCP_DESTINATIONS", "[{ae_title: A, host: b}, {ae_title: B}]",
         "DCBSCP_DESTINATIONS, record 2: host is missing"},
        {"DCBSCP_DESTINATIONS", "{ae_title: A, host: b, pot: 1}",
         "DCBSCP_DESTINATIONS, record 1: unknown option \"pot\"; did you mean \"port\"?"},
        {"DCBSCP_CONFIG", "/nowhere.yaml", "/nowhere.yaml: cannot open the configuration file"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        scp_options options;
        options_action action;
        scp_error error = SCP_ERROR_INIT;
        setenv(CASES[i].name, CASES[i].value, 1);
        assert_int_equal(parse(&options, &action, "--archive /a", &error), -1);
        unsetenv(CASES[i].name);
        if (strncmp(error.message, CASES[i].message, strlen(CASES[i].message)) != 0)
            fail_msg("%s=%s gave \"%s\"", CASES[i].name, CASES[i].value, error.message);
    }
}

static void a_file_over_the_limit_is_refused(void **state)
{
    (void)state;
    size_t nbytes = (1u << 20) + 1;
    char *bytes = malloc(nbytes);
    assert_non_null(bytes);
    memset(bytes, '\n', nbytes);
    write_file_bytes(bytes, nbytes);
    free(bytes);
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(parse(&options, &action, "--archive /a -c @", &error), -1);
    assert_non_null(strstr(error.message, "more than 1048576 bytes"));
}

/* The shipped file as it stands gives the defaults. */
static void shipped_file_holds_the_defaults(void **state)
{
    (void)state;
    scp_options file, plain;
    parse_well(&file, "--archive /a -c " SHIPPED_FILE);
    parse_well(&plain, "--archive /a");
    char *of_file = printed(&file), *of_plain = printed(&plain), *a = of_file, *b = of_plain;
    while (*a != '\0' && *b != '\0') {
        const size_t n = strcspn(a, "#\n"), m = strcspn(b, "#\n");
        if (n != m || strncmp(a, b, n) != 0)
            fail_msg("conf/dcbscp.yaml has %.*s, the default is %.*s", (int)n, a, (int)m, b);
        a += strcspn(a, "\n") + 1;
        b += strcspn(b, "\n") + 1;
    }
    assert_int_equal(*a, *b);
    free(of_file);
    free(of_plain);
    options_free(&file);
    options_free(&plain);
}

/* What is commented out in the shipped file is good as it stands, once it is not. */
static void shipped_examples_are_good(void **state)
{
    (void)state;
    FILE *file = fopen(SHIPPED_FILE, "rb");
    assert_non_null(file);
    char line[256], text[1 << 14] = "";
    size_t nexamples = 0, n = 0;
    bool within = false;
    while (fgets(line, sizeof line, file) != NULL) {
        bool begins = false;
        for (size_t i = 0; options_name(i) != NULL && !begins; i++) {
            const size_t length = strlen(options_name(i));
            begins = strncmp(line, "# ", 2) == 0 && line[2 + length] == ':' &&
                     strncmp(line + 2, options_name(i), length) == 0;
        }
        within = begins || (within && strncmp(line, "#  ", 3) == 0);
        nexamples += begins;
        if (within)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", line + 2);
    }
    fclose(file);
    assert_true(nexamples >= 5 && n < sizeof text);
    write_file(text);
    scp_options options;
    parse_well(&options, "-c @");
    assert_true(options.naccess == 4 && options.ndestinations == 1 && options.narchives == 1);
    assert_int_equal(options.ntitles, 1);
    assert_string_equal(options.access[2].destinations[0], "WS*");
    options_free(&options);
}

/* Every option of the table stands in the shipped file, at the start of a line or commented out;
   the paragraph before it says where a change waits for the next start. */
static void shipped_file_is_complete(void **state)
{
    (void)state;
    FILE *file = fopen(SHIPPED_FILE, "rb");
    assert_non_null(file);
    static char text[1 << 16];
    size_t nbytes = fread(text + 1, 1, sizeof text - 2, file);
    fclose(file);
    assert_true(nbytes > 0);
    text[0] = '\n';
    size_t count = 0;
    for (; options_name(count) != NULL; count++) {
        char active[64], commented[64];
        snprintf(active, sizeof active, "\n%s:", options_name(count));
        snprintf(commented, sizeof commented, "\n# %s:", options_name(count));
        const char *at =
            strstr(text, active) != NULL ? strstr(text, active) : strstr(text, commented);
        if (at == NULL)
            fail_msg("conf/dcbscp.yaml lacks %s", options_name(count));
        const char *begin = at;
        while (begin > text && strncmp(begin, "\n\n", 2) != 0)
            begin--;
        const char *mark = strstr(begin, "(restart)");
        if ((mark != NULL && mark < at) == options_reloads(count))
            fail_msg("conf/dcbscp.yaml: %s: is it marked (restart) as the table has it?",
                     options_name(count));
    }
    assert_true(count >= 16);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/conf.yaml", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(command_line),
        cmocka_unit_test(file_and_precedence),
        cmocka_unit_test(relative_archive_is_taken_from_the_working_folder),
        cmocka_unit_test(actions),
        cmocka_unit_test(print_config),
        cmocka_unit_test(wrong_command_lines),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(destinations),
        cmocka_unit_test(titles),
        cmocka_unit_test(environment),
        cmocka_unit_test(wrong_variables),
        cmocka_unit_test(a_file_over_the_limit_is_refused),
        cmocka_unit_test(shipped_file_holds_the_defaults),
        cmocka_unit_test(shipped_file_is_complete),
        cmocka_unit_test(shipped_examples_are_good),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
