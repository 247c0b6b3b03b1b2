/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c - what is bad changes nothing and says why. */
#include "reload.h"

#include "access.h"
#include "log.h"
#include "security.h"

static int read_again(scp_options *fresh, const scp_reload *reload, const scp_options *now,
                      scp_error *error)
{
    options_action action;
    char waiting[512];
    if (options_parse(fresh, &action, reload->argc, reload->argv, error) != 0)
        return -1;
    ul_tls *tls = __atomic_load_n(&reload->tls, __ATOMIC_ACQUIRE);
    if (options_keep_fixed(fresh, now, waiting, sizeof waiting, error) != 0 ||
        security_reload(tls, fresh, error) != 0) {
        options_free(fresh);
        return -1;
    }
    if (waiting[0] != '\0')
        log_event(LOG_WARN, "config.needs_restart", LOG_T("options", waiting),
                  LOG_T("reason", "these changed, and count only from the next start on"));
    return 0;
}

void reload_run(const scp_reload *reload)
{
    scp_options fresh;
    scp_error error = SCP_ERROR_INIT;
    settings_view view = {0};
    const scp_options *now = settings_look(&view, reload->settings);
    if (read_again(&fresh, reload, now, &error) != 0) {
        log_event(LOG_ERROR, "config.rejected", LOG_T("reason", error.message),
                  LOG_T("effect", "nothing changed"));
    } else {
        const log_level level = fresh.log_level;
        const log_format format = fresh.log_format;
        const uint32_t nrules = fresh.naccess, ndestinations = fresh.ndestinations;
        if (settings_replace(reload->settings, &fresh) != 0) {
            options_free(&fresh);
            log_event(LOG_ERROR, "config.rejected", LOG_T("reason", "out of memory"));
        } else {
            log_configure(level, format);
            access_warn_if_closed(settings_look(&view, reload->settings));
            log_event(LOG_INFO, "config.reloaded", LOG_U("access_rules", nrules),
                      LOG_U("destinations", ndestinations));
        }
    }
    settings_drop(&view);
}
