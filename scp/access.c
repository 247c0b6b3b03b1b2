/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - the rules of access.h.
 *
 * Invariant: rights come from a rule alone (or from there being none on loopback); whatever cannot
 * be told of a caller (an address that is none, a host that does not resolve) matches nothing.
 */
#include "access.h"

#include "log.h"
#include "match_text.h"
#include "network_address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool matches_pattern(const char *pattern, const char *text)
{
    return match_wildcards(pattern, strlen(pattern), text, strlen(text));
}

/* An empty list asks for nothing. */
static bool matches_any(char *const *patterns, uint32_t npatterns, const char *text)
{
    bool found = npatterns == 0;
    for (uint32_t i = 0; i < npatterns && !found; i++)
        found = matches_pattern(patterns[i], text);
    return found;
}

static bool matches_certificate(const scp_access_rule *rule, const access_caller *caller)
{
    bool found = rule->ncertificates == 0;
    for (uint32_t i = 0; i < caller->nnames && !found; i++)
        found = matches_any(rule->certificates, rule->ncertificates, caller->names[i]);
    return found;
}

static bool matches_user(const scp_access_rule *rule, const access_caller *caller)
{
    if (rule->nusers == 0)
        return true;
    return caller->user != NULL && caller->user[0] != '\0' &&
           matches_any(rule->users, rule->nusers, caller->user);
}

/* The resolver last: it may take time. */
static bool matches_address(const scp_access_rule *rule, const access_caller *caller,
                            access_resolver resolves_to)
{
    bool found = rule->naddresses == 0;
    for (uint32_t i = 0; i < rule->naddresses && !found; i++)
        found = network_holds(rule->addresses[i], caller->address);
    for (uint32_t i = 0; i < rule->naddresses && !found; i++)
        found = !network_is_numeric(rule->addresses[i]) &&
                resolves_to(rule->addresses[i], caller->address);
    return found;
}

static bool matches(const scp_access_rule *rule, const access_caller *caller,
                    access_resolver resolves_to)
{
    return (!rule->encrypted || caller->is_encrypted) &&
           matches_any(rule->calling, rule->ncalling, caller->calling_ae_title) &&
           matches_any(rule->called, rule->ncalled, caller->called_ae_title) &&
           matches_user(rule, caller) && matches_certificate(rule, caller) &&
           matches_address(rule, caller, resolves_to);
}

bool access_is_closed(const scp_options *options)
{
    return options->naccess == 0 && !network_is_loopback(options->bind_address);
}

void access_warn_if_closed(const scp_options *options)
{
    if (access_is_closed(options))
        log_event(LOG_WARN, "access.closed", LOG_T("address", options->bind_address),
                  LOG_T("reason", "every association is refused: the node listens beyond loopback "
                                  "and has no access rules"),
                  LOG_T("write", "access: [{addresses: [10.0.0.0/8], allow: [echo, find, get]}]"));
}

access_decision access_decide_with(const scp_options *options, const access_caller *caller,
                                   access_resolver resolves_to)
{
    access_decision decision = {0};
    for (uint32_t i = 0; i < options->naccess; i++) {
        const scp_access_rule *rule = &options->access[i];
        if (!matches(rule, caller, resolves_to))
            continue;
        decision.rights = rule->rights;
        decision.rule = rule;
        if (rule->name != NULL)
            snprintf(decision.text, sizeof decision.text, "access rule %u (%.64s)", (unsigned)i + 1,
                     rule->name);
        else
            snprintf(decision.text, sizeof decision.text, "access rule %u", (unsigned)i + 1);
        return decision;
    }
    if (options->naccess != 0) {
        snprintf(decision.text, sizeof decision.text, "no access rule matches");
    } else if (access_is_closed(options)) {
        snprintf(decision.text, sizeof decision.text,
                 "there are no access rules, and the node listens beyond loopback");
    } else {
        decision.rights = ACCESS_ALL;
        snprintf(decision.text, sizeof decision.text, "no access rules, on loopback");
    }
    return decision;
}

static bool system_resolves_to(const char *host, const char *address)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool is_one = false;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *at = found; at != NULL && !is_one; at = at->ai_next) {
        char text[NI_MAXHOST];
        is_one = getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
                             NI_NUMERICHOST) == 0 &&
                 network_holds(text, address);
    }
    freeaddrinfo(found);
    return is_one;
}

access_decision access_decide(const scp_options *options, const access_caller *caller)
{
    return access_decide_with(options, caller, system_resolves_to);
}

bool access_may_send_to(const access_decision *decision, const char *destination_ae_title)
{
    if ((decision->rights & ACCESS_MOVE) == 0)
        return false;
    return decision->rule == NULL ||
           matches_any(decision->rule->destinations, decision->rule->ndestinations,
                       destination_ae_title);
}
