/* SPDX-License-Identifier: Apache-2.0 */
/* service_echo.c - C-ECHO (PS3.7 9.1.5, PS3.4 annex A): answers success, keeps nothing. */
#include "service.h"

#include <stdlib.h>

typedef struct echo {
    dimse_command response;
} echo;

static void *echo_start(const scp_node *node, const service_peer *peer,
                        const service_request *request)
{
    (void)node;
    (void)peer;
    echo *operation = malloc(sizeof *operation);
    if (operation != NULL)
        dimse_response_init(&operation->response, request->command, DIMSE_SUCCESS);
    return operation;
}

static service_step echo_next(void *operation, service_output *out)
{
    out->command = ((const echo *)operation)->response;
    return SERVICE_FINAL;
}

static void echo_describe(const void *operation, char *buffer, size_t size)
{
    (void)operation;
    if (size > 0)
        buffer[0] = '\0';
}

const service service_echo = {
    .name = "echo",
    .command_field = DIMSE_C_ECHO_RQ,
    .start = echo_start,
    .next = echo_next,
    .describe = echo_describe,
    .finish = free,
};
