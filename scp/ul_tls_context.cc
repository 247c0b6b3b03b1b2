/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_tls_context.cc - ul_tls.h on DcmTLSTransportLayer, which knows DICOM's profiles; its OpenSSL
 * context is then filled by ul_tls_files.c and given to connections.
 *
 * An OpenSSL context is counted by the connections made of it: a reload frees the old one when its
 * last connection ends. No exception leaves this file.
 */
#include "ul_tls_session.h"

#include "ul_tls_files.h"

#include "dcmtk/config/osconfig.h" /* DCMTK wants it first */
#include "dcmtk/dcmtls/tlslayer.h"

#include <memory>
#include <mutex>
#include <openssl/ssl.h>

namespace
{

/* Since 3.6.8, with RFC 8996. */
#if PACKAGE_VERSION_NUMBER >= 368
const bool has_2021 = true;
const DcmTLSSecurityProfile profile_2021 = TSP_Profile_BCP_195_RFC_8996;
#else
const bool has_2021 = false;
const DcmTLSSecurityProfile profile_2021 = TSP_Profile_BCP195_ND;
#endif

struct contexts {
    DcmTLSTransportLayer acceptor, requestor;
};

DcmTLSSecurityProfile dcmtk_profile(ul_tls_profile profile)
{
    switch (profile) {
    case UL_TLS_BCP195_ND:
        return TSP_Profile_BCP195_ND;
    case UL_TLS_BCP195_EXTENDED:
        return TSP_Profile_BCP195_Extended;
    case UL_TLS_BCP195:
    case UL_TLS_BCP195_2021:
    default:
        return profile_2021; /* or, before it was there, the non-downgrading one */
    }
}

int set_profile(DcmTLSTransportLayer *layer, ul_tls_profile profile, scp_error *error)
{
    if (profile == UL_TLS_BCP195_2021 && !has_2021)
        return scp_fail(
            error, "tls_profile: bcp195-2021 needs DCMTK 3.6.8 or newer, this is " PACKAGE_VERSION);
    OFCondition condition = layer->setTLSProfile(dcmtk_profile(profile));
    if (condition.good())
        condition = layer->activateCipherSuites();
    if (condition.bad())
        return scp_fail(error, "tls_profile: %s", condition.text());
    return 0;
}

void harden(SSL_CTX *context)
{
    /* Whatever the profile says of the past. */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    /* No session outlives its connection: a certificate is looked at each time. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_dh_auto(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
}

int fill(DcmTLSTransportLayer *layer, const ul_tls_options *options, bool accepts, scp_error *error)
{
    static const int verify[] = {SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, SSL_VERIFY_PEER,
                                 SSL_VERIFY_NONE};
    SSL_CTX *context = layer->getNativeHandle();
    if (context == nullptr)
        return scp_fail(error, "OpenSSL cannot be set up");
    ul_tls_options mine = *options;
    mine.accepts = accepts;
    harden(context);
    if (set_profile(layer, options->profile, error) != 0 ||
        ul_tls_load_trust(context, &mine, error) != 0 ||
        ul_tls_load_identity(context, &mine, error) != 0)
        return -1;
    SSL_CTX_set_verify(context, accepts ? verify[options->client_certificates] : SSL_VERIFY_PEER,
                       nullptr);
    return 0;
}

std::shared_ptr<contexts> make_contexts(const ul_tls_options *options, scp_error *error)
{
    static std::once_flag once;
    std::call_once(once, DcmTLSTransportLayer::initializeOpenSSL);
    auto made = std::make_shared<contexts>();
    made->requestor = DcmTLSTransportLayer(NET_REQUESTOR, nullptr, OFFalse);
    if (fill(&made->requestor, options, false, error) != 0)
        return nullptr;
    if (!options->accepts)
        return made;
    made->acceptor = DcmTLSTransportLayer(NET_ACCEPTOR, nullptr, OFFalse);
    return fill(&made->acceptor, options, true, error) == 0 ? made : nullptr;
}

} // namespace

struct ul_tls {
    std::mutex lock; /* now */
    std::shared_ptr<contexts> now;
};

int ul_tls_create(ul_tls **out, const ul_tls_options *options, scp_error *error)
try {
    *out = nullptr;
    auto made = make_contexts(options, error);
    if (made == nullptr)
        return -1;
    auto *tls = new ul_tls();
    tls->now = made;
    *out = tls;
    return 0;
} catch (...) {
    return scp_fail(error, "out of memory");
}

int ul_tls_reload(ul_tls *tls, const ul_tls_options *options, scp_error *error)
try {
    auto made = make_contexts(options, error);
    if (made == nullptr)
        return -1;
    std::lock_guard<std::mutex> guard(tls->lock);
    tls->now.swap(made);
    return 0;
} catch (...) {
    return scp_fail(error, "out of memory");
}

void ul_tls_close(ul_tls *tls)
{
    delete tls;
}

ul_ssl *ul_tls_ssl(ul_tls *tls, bool accepts)
try {
    std::shared_ptr<contexts> now;
    {
        std::lock_guard<std::mutex> guard(tls->lock);
        now = tls->now;
    }
    SSL_CTX *context = accepts ? now->acceptor.getNativeHandle() : now->requestor.getNativeHandle();
    return context != nullptr ? SSL_new(context) : nullptr;
} catch (...) {
    return nullptr;
}
