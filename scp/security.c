/* SPDX-License-Identifier: Apache-2.0 */
/* node_tls.c - see security.h. */
#include "security.h"

#include "log.h"

static ul_tls_options from(const scp_options *options)
{
    return (ul_tls_options){
        .profile = options->tls_profile,
        .certificate = options->tls_certificate,
        .key = options->tls_key,
        .key_password_file = options->tls_key_password_file,
        .ca_file = options->tls_ca_file,
        .ca_folder = options->tls_ca_folder,
        .crl_file = options->tls_crl_file,
        .client_certificates = options->tls_client_certificates,
        .accepts = options->tls_mode != UL_TLS_MODE_OFF,
    };
}

static bool has_secure_destination(const scp_options *options)
{
    for (uint32_t i = 0; i < options->ndestinations; i++) {
        if (options->destinations[i].tls)
            return true;
    }
    return false;
}

static int check_users(const scp_options *options, scp_error *error)
{
    uint32_t nusers;
    if (options->user_identity == IDENTITY_OFF)
        return 0;
    if (options->users_file == NULL)
        return scp_fail(error, "user_identity: users_file is needed, or say off");
    return users_check_file(options->users_file, &nusers, error);
}

int security_open(ul_tls **out, const scp_options *options, scp_error *error)
{
    const ul_tls_options tls = from(options);
    *out = NULL;
    if (check_users(options, error) != 0)
        return -1;
    const bool wanted =
        tls.accepts || has_secure_destination(options) || options->audit == AUDIT_TO_TLS;
    return wanted ? ul_tls_create(out, &tls, error) : 0;
}

int security_reload(ul_tls *tls, const scp_options *options, scp_error *error)
{
    const ul_tls_options anew = from(options);
    if (check_users(options, error) != 0)
        return -1;
    if (tls == NULL)
        return 0;
    if (ul_tls_reload(tls, &anew, error) != 0)
        return -1;
    log_event(LOG_INFO, "tls.reloaded",
              LOG_T("certificate", anew.certificate != NULL ? anew.certificate : ""));
    return 0;
}
