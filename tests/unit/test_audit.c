/* SPDX-License-Identifier: Apache-2.0 */
/* Audit messages of hostile text, the studies of a transfer, syslog heads, and a trail whose server
   is away: it holds up nobody, and counts what it drops. */
#include "audit_message.h"
#include "audit_sink.h"
#include "log.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static const audit_source SOURCE = {"DCBSCP", "10.0.0.1", 77};

static char *message_of(const audit_event *event, const audit_patient *patients)
{
    text_buffer out = TEXT_BUFFER_INIT;
    audit_message_put(&out, event, &SOURCE, patients);
    assert_false(out.failed);
    return out.bytes;
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in %s", part, text);
}

static void test_text_stays_text(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *becomes;
    } cases[] = {
        {"a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c'"},
        {"tab\there\r\n\x01\x7f", "tabhere"},
        {"\xc5\x81ucja \xe5\xb1\xb1 \xf0\x9f\xa9\xba",
         "\xc5\x81ucja \xe5\xb1\xb1 \xf0\x9f\xa9\xba"},
        {"\xff\xc0\x80 \xed\xa0\x80 \xc5", "??? ??? ?"},
        {"\xef\xbf\xbe\xf4\x90\x80\x80", "???????"},
        {"]]></EventOutcomeDescription>", "]]&gt;&lt;/EventOutcomeDescription&gt;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        audit_event event = {.kind = AUDIT_REFUSED, .outcome = 8, .address = "10.0.0.9"};
        char part[128];
        snprintf(event.reason, sizeof event.reason, "%s", cases[i].reason);
        snprintf(part, sizeof part, "<EventOutcomeDescription>%s</EventOutcomeDescription>",
                 cases[i].becomes);
        char *text = message_of(&event, NULL);
        expect(text, part);
        free(text);
    }
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "><"},        {"f", ">Zg==<"},        {"fo", ">Zm8=<"},
        {"foo", ">Zm9v<"}, {"foob", ">Zm9vYg==<"}, {"\xff\xfe\xfd", ">//79<"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char part[64];
        audit_event event = {.kind = AUDIT_QUERY,
                             .query = (uint8_t *)(uintptr_t)cases[i][0],
                             .query_nbytes = strlen(cases[i][0])};
        snprintf(part, sizeof part, "<ParticipantObjectQuery%s/ParticipantObjectQuery>",
                 cases[i][1]);
        char *text = message_of(&event, NULL);
        expect(text, part);
        free(text);
    }
}

static void test_studies(void **state)
{
    (void)state;
    audit_event event = {.kind = AUDIT_TRANSFERRED, .calling = "WS", .destination = "PACS2"};
    audit_studies_add(&event.studies, "1.1", "1.5.1");
    audit_studies_add(&event.studies, "1.1", "1.5.2");
    audit_studies_add(&event.studies, "1.1", "1.5.1");
    audit_studies_add(&event.studies, "1.2", "1.5.1");
    audit_studies_add(&event.studies, "1.3", "1.5.1");
    assert_int_equal(event.studies.count, 4);
    const audit_patient patients[] = {{"P1", "A^B"}, {"P1", "A^B"}, {"P1", "A^B"}, {"P2", ""}};
    char *text = message_of(&event, patients);
    expect(text, "ParticipantObjectID=\"1.1\"");
    expect(text, "<SOPClass UID=\"1.5.1\" NumberOfInstances=\"2\"/>"
                 "<SOPClass UID=\"1.5.2\" NumberOfInstances=\"1\"/>");
    expect(text, "UserID=\"PACS2\"");
    const char *first = strstr(text, "\"P1\"");
    assert_non_null(first);
    assert_null(strstr(first + 1, "\"P1\"")); /* once for all his studies */
    expect(text, "ParticipantObjectID=\"P2\"");
    free(text);

    audit_studies copy;
    for (int i = 0; i < AUDIT_STUDIES_MAX; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "2.%d", i);
        audit_studies_add(&event.studies, uid, "1.5.1");
    }
    assert_int_equal(event.studies.count, AUDIT_STUDIES_MAX);
    assert_int_equal(event.studies.nleft_out, 4);
    audit_studies_copy(&copy, &event.studies);
    assert_int_equal(copy.count, AUDIT_STUDIES_MAX);
    assert_int_equal(copy.nleft_out, 4);
    assert_string_equal(copy.items[3].study_uid, "1.3");
    audit_studies_clear(&copy);
    audit_studies_clear(&event.studies);
}

static void test_syslog_heads(void **state)
{
    (void)state;
    char head[512];
    const struct timespec time = {1764000000, 7000000};
    audit_sink_head(head, "pacs", 42, 1000, false, &time);
    assert_string_equal(
        head, "<85>1 2025-11-24T16:00:00.007Z pacs dcbscp 42 DICOM+RFC3881 - \xef\xbb\xbf");
    const size_t n = strlen(head) + 1000;
    char counted[600];
    snprintf(counted, sizeof counted, "%zu %s", n, head);
    audit_sink_head(head, "pacs", 42, 1000, true, &time);
    assert_string_equal(head, counted);
}

/* A port that takes connections into its backlog and never reads from them. */
static void test_nobody_waits_for_a_dead_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);

    static char host[] = "127.0.0.1", title[] = "DCBSCP";
    const scp_options options = {.audit = AUDIT_TO_TCP,
                                 .audit_host = host,
                                 .audit_port = ntohs(address.sin_port),
                                 .ae_title = title,
                                 .bind_address = host};
    scp_node node = {.options = &options};
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(audit_open(&node.audit, &node, &error), 0);
    /* More than the queue and both sockets' buffers hold. */
    enum { EVENTS = AUDIT_QUEUE_MAX + 20000 };
    for (int i = 0; i < EVENTS; i++) {
        audit_event *event = audit_event_new(&node, AUDIT_QUERY, NULL);
        assert_non_null(event);
        event->query = calloc(1, 4096);
        event->query_nbytes = 4096;
        audit_submit(node.audit, event);
    }
    const uint64_t ndropped = audit_ndropped(node.audit);
    assert_true(ndropped > 0);
    assert_true(ndropped < EVENTS);
    audit_close(node.audit); /* within a few seconds, whatever the server does */
    close(fd);
}

static void test_off(void **state)
{
    (void)state;
    const scp_options options = {.audit = AUDIT_OFF};
    scp_node node = {.options = &options};
    assert_int_equal(audit_open(&node.audit, &node, NULL), 0);
    assert_null(node.audit);
    assert_null(audit_event_new(&node, AUDIT_QUERY, NULL));
    audit_submit(node.audit, NULL);
    audit_tell(&node, AUDIT_STARTED, NULL, "");
    assert_int_equal(audit_ndropped(node.audit), 0);
    audit_close(node.audit);
}

static int set_up(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_TEXT);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays_text),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_studies),
        cmocka_unit_test(test_syslog_heads),
        cmocka_unit_test(test_nobody_waits_for_a_dead_server),
        cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
