/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_echo.c - asks a node for C-ECHO: does it serve? The health check of the container. */
#include "dcbtool.h"

#include "dimse_message.h"
#include "dimse_status.h"
#include "sop_classes.h"
#include "ul_connect.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTEXT_ID = 1, MAX_PDU = 16384 };

typedef struct echo_target {
    const char *host, *port_text;
    uint16_t port;
    const char *called, *calling;
    int timeout_ms;
} echo_target;

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int fail(const echo_target *target, const char *why)
{
    return dcbtool_failed("%s:%s: %s", target->host, target->port_text, why);
}

/* ---- The message and its answer -------------------------------------------------------------- */

static bool send_echo(ul_connection *connection, scp_error *error)
{
    uint8_t bytes[DIMSE_COMMAND_MAX];
    dimse_command command = {.present = DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_DATA_SET_TYPE,
                             .command_field = DIMSE_C_ECHO_RQ,
                             .message_id = 1,
                             .data_set_type = DIMSE_NO_DATA_SET};
    snprintf(command.affected_sop_class_uid, sizeof command.affected_sop_class_uid, "%s",
             UID_VERIFICATION);
    const size_t n = dimse_command_encode(bytes, sizeof bytes, &command);
    return ul_connection_send(connection, CONTEXT_ID, bytes, n, NULL, 0, error) == UL_OK;
}

/* One response, which may come in several PDVs. */
static bool receive_response(dimse_command *response, ul_connection *connection, int timeout_ms,
                             scp_error *error)
{
    uint8_t bytes[DIMSE_COMMAND_MAX];
    size_t n = 0;
    ul_pdv pdv = {0};
    while (!pdv.is_last) {
        const ul_result result = ul_connection_read_pdv(connection, &pdv, timeout_ms, error);
        if (result == UL_TIMEOUT)
            scp_fail(error, "no answer within %d s", timeout_ms / 1000);
        else if (result == UL_RELEASED)
            scp_fail(error, "it ended the association instead of answering");
        if (result != UL_OK)
            return false;
        if (!pdv.is_command || pdv.nbytes > sizeof bytes - n) {
            scp_fail(error, "what it answers is no C-ECHO response");
            return false;
        }
        memcpy(bytes + n, pdv.bytes, pdv.nbytes);
        n += pdv.nbytes;
    }
    return dimse_command_decode(response, bytes, n, error) == 0;
}

static int ask(const echo_target *target, ul_connection *connection, double began)
{
    scp_error error = SCP_ERROR_INIT;
    dimse_command response;
    char why[80];
    if (!send_echo(connection, &error) ||
        !receive_response(&response, connection, target->timeout_ms, &error))
        return fail(target, error.message);
    if (response.command_field != (DIMSE_C_ECHO_RQ | DIMSE_RESPONSE))
        return fail(target, "what it answers is no C-ECHO response");
    if (response.status != DIMSE_SUCCESS) {
        snprintf(why, sizeof why, "C-ECHO is answered with status %04X", response.status);
        return fail(target, why);
    }
    printf("%s at %s:%s answers, %.1f ms\n", target->called, target->host, target->port_text,
           now_ms() - began);
    return DCBTOOL_OK;
}

/* ---- The association ------------------------------------------------------------------------- */

static int echo(const echo_target *target)
{
    static char syntax[][UL_UID_SIZE] = {UID_IMPLICIT_LE};
    ul_context context = {.id = CONTEXT_ID, .abstract_syntax = UID_VERIFICATION};
    ul_request request = {.application_context = UID_APPLICATION_CONTEXT};
    const ul_target where = {.host = target->host,
                             .port = target->port,
                             .connect_timeout_ms = target->timeout_ms,
                             .io_timeout_ms = target->timeout_ms,
                             .max_pdu = MAX_PDU};
    ul_connect_fault fault = {0};
    context.nsyntaxes = 1;
    context.syntaxes = syntax;
    request.ncontexts = 1;
    request.contexts = &context;
    snprintf(request.calling_ae_title, sizeof request.calling_ae_title, "%s", target->calling);
    snprintf(request.called_ae_title, sizeof request.called_ae_title, "%s", target->called);

    const double began = now_ms();
    ul_connection *connection = ul_connection_create();
    if (connection == NULL)
        return dcbtool_failed("out of memory");
    int status;
    if (!ul_connection_open(connection, &where, &request, &fault))
        status = fail(target, fault.message.message);
    else if (context.result != 0)
        status = fail(target, "it does not offer C-ECHO");
    else
        status = ask(target, connection, began);
    ul_connection_release(connection, target->timeout_ms);
    ul_connection_close(connection);
    return status;
}

/* ---- The command line ------------------------------------------------------------------------ */

static bool parse_number(unsigned long *out, const char *text, unsigned long from, unsigned long to)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= from &&
           *out <= to;
}

static int check_title(const char *flag, const char *title)
{
    const size_t n = strlen(title);
    if (n >= 1 && n < UL_AE_TITLE_SIZE && title[strspn(title, " ")] != '\0')
        return DCBTOOL_OK;
    return dcbtool_usage_error("echo: %s expects 1 to 16 characters, not \"%.40s\"", flag, title);
}

/* The node's own settings, where this runs beside it. What Kubernetes makes of a service of that
   name, DCBSCP_PORT=tcp://10.0.0.1:11112, is none. */
static void take_environment(echo_target *out)
{
    unsigned long number;
    const char *port = getenv("DCBSCP_PORT"), *title = getenv("DCBSCP_AE_TITLE");
    if (port != NULL && parse_number(&number, port, 1, UINT16_MAX))
        out->port_text = port;
    if (title != NULL && title[0] != '\0')
        out->called = title;
}

static int parse_arguments(echo_target *out, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"called", required_argument, NULL, 'c'},
                                            {"calling", required_argument, NULL, 'a'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    unsigned long number;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", OPTIONS, NULL)) != -1;) {
        if (option == ':')
            return dcbtool_usage_error("echo: %.40s needs a value; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == '?')
            return dcbtool_usage_error("echo: unknown option \"%.40s\"; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == 'c')
            out->called = optarg;
        else if (option == 'a')
            out->calling = optarg;
        else if (!parse_number(&number, optarg, 1, 3600))
            return dcbtool_usage_error("echo: --timeout expects seconds, 1 to 3600, not \"%.40s\"",
                                       optarg);
        else
            out->timeout_ms = (int)number * 1000;
    }
    if (argc - optind > 2)
        return dcbtool_usage_error("echo: expected a host and a port; see dcbtool --help");
    if (optind < argc)
        out->host = argv[optind];
    if (optind + 1 < argc)
        out->port_text = argv[optind + 1];
    if (!parse_number(&number, out->port_text, 1, UINT16_MAX))
        return dcbtool_usage_error("echo: expected a port, 1 to 65535, not \"%.40s\"",
                                   out->port_text);
    out->port = (uint16_t)number;
    if (check_title("--called", out->called) != DCBTOOL_OK ||
        check_title("--calling", out->calling) != DCBTOOL_OK)
        return DCBTOOL_USAGE;
    return DCBTOOL_OK;
}

int dcbtool_echo(int argc, char **argv)
{
    echo_target target = {.host = "127.0.0.1",
                          .port_text = "11112",
                          .called = "DCBSCP",
                          .calling = "DCBTOOL",
                          .timeout_ms = 5000};
    take_environment(&target);
    const int status = parse_arguments(&target, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    return status == DCBTOOL_OK ? echo(&target) : status;
}
