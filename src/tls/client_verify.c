/* Whether to believe a server: the library builds and checks the chain; what it leaves to its users
 * is done here: how strong the signatures are, and for whom the certificate is.
 */
#include "tls/client_internal.h"

#include "base/buf.h"
#include "base/limits.h"
#include "tls/certs_internal.h"
#include "tls/names.h"
#include "tls/stream_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>

enum { RSA_BITS_MIN = 2048, NAMES_SHOWN = 3, NAMES_TEXT_MAX = 1024, SUBJECT_ROOM = 160 };

/* --- for people --- */

/* A distinguished name in the form of RFC 4514, cut; what is not printable ASCII is escaped. */
static const char *
print_subject(const X509_NAME *name, char out[static SUBJECT_ROOM])
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *text = NULL;
    size_t len = 0;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
        BIO_mem_contents(bio, &text, &len);
    snprintf(out, SUBJECT_ROOM, "%.*s", (int)(len < SUBJECT_ROOM ? len : SUBJECT_ROOM),
             len ? (const char *)text : "");
    BIO_free(bio);
    return out;
}

/* What a verification that ended with `code` was about. */
struct finding {
    int code;  /* X509_V_ERR_* */
    int depth; /* 0: the server's own certificate */
    char subject[SUBJECT_ROOM], issuer[SUBJECT_ROOM];
    char from[TLS_DATE_ROOM], to[TLS_DATE_ROOM];
};

static void
take_finding(struct finding *finding, X509_STORE_CTX *verification)
{
    const X509 *cert = X509_STORE_CTX_get_current_cert(verification);
    *finding = (struct finding){
        .code = X509_STORE_CTX_get_error(verification),
        .depth = X509_STORE_CTX_get_error_depth(verification),
    };
    if (!cert)
        return;
    print_subject(X509_get_subject_name(cert), finding->subject);
    print_subject(X509_get_issuer_name(cert), finding->issuer);
    tls_date_print(tls_seconds_of(X509_get0_notBefore(cert)), finding->from);
    tls_date_print(tls_seconds_of(X509_get0_notAfter(cert)), finding->to);
}

/* Says what the library found. The beginnings of the lines are those that people know from other
 * programs. */
static void
explain_chain(struct tls_client_side *side, const struct finding *found)
{
    const char *of = found->depth ? " of CA " : "", *whose = found->depth ? found->subject : "";
    switch (found->code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        tls_client_fail(side, TLS_CLIENT_FAILURE_VALIDITY, "certificate%s%s has expired at %s", of,
                        whose, found->to);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        tls_client_fail(side, TLS_CLIENT_FAILURE_VALIDITY, "certificate%s%s is not valid before %s",
                        of, whose, found->from);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        tls_client_fail(side, TLS_CLIENT_FAILURE_UNTRUSTED, "self-signed certificate: %s",
                        found->subject);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        tls_client_fail(side, TLS_CLIENT_FAILURE_UNTRUSTED,
                        "self-signed certificate in certificate chain: CA %s is not trusted",
                        found->subject);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        tls_client_fail(side, TLS_CLIENT_FAILURE_UNTRUSTED,
                        "unable to get local issuer certificate: %s is neither trusted nor sent "
                        "by the server",
                        found->issuer);
        break;
    default:
        tls_client_fail(side, TLS_CLIENT_FAILURE_CERTIFICATE, "certificate%s%s: %s", of, whose,
                        X509_verify_cert_error_string(found->code));
    }
}

/* --- how strong --- */

static bool
signature_is_weak(const X509 *cert)
{
    int digest;
    return OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL) &&
           (digest == NID_sha1 || digest == NID_md5 || digest == NID_md5_sha1);
}

static bool
key_is_weak(X509 *cert)
{
    EVP_PKEY *key = X509_get_pubkey(cert);
    bool is_weak = key && EVP_PKEY_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) < RSA_BITS_MIN;
    EVP_PKEY_free(key);
    return is_weak;
}

/* The last one of a chain is trusted for itself, whatever it was signed with. */
static bool
is_strong(struct tls_client_side *side, const STACK_OF(X509) * chain)
{
    char subject[SUBJECT_ROOM];
    for (size_t i = 0; i + 1 < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        bool weak_key = key_is_weak(cert);
        if (!weak_key && !signature_is_weak(cert))
            continue;
        tls_client_fail(side, TLS_CLIENT_FAILURE_CERTIFICATE, "certificate %s has a weak %s",
                        print_subject(X509_get_subject_name(cert), subject),
                        weak_key ? "key: RSA of less than 2048 bits" : "signature: SHA-1 or MD5");
        return false;
    }
    return true;
}

/* --- for whom --- */

/* A star for all names of a top-level domain is a mistake, or worse. */
static bool
is_too_wide(struct str key)
{
    return str_starts_with(key, STR("*.")) && str_find_char(str_skip(key, 2), '.') == key.len - 2;
}

static void
add_to_list(struct buf *list, unsigned *count, struct str key)
{
    if ((*count)++ >= NAMES_SHOWN)
        return;
    if (list->len)
        buf_append(list, STR(", "));
    buf_append(list, key);
}

/* Whether the certificate is for the host; else `list` gets the first of those that it is for. */
static bool
covers(const X509 *leaf, const struct tls_name *host, struct buf *list, unsigned *count)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (size_t i = 0; !found && i < (names ? sk_GENERAL_NAME_num(names) : 0); i++) {
        struct tls_name name;
        tls_name_of_general(&name, sk_GENERAL_NAME_value(names, i));
        if (name.key.len == 0)
            continue;
        found = tls_name_matches(name.key, host) && !is_too_wide(name.key);
        add_to_list(list, count, name.key);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return found;
}

static bool
is_for_host(struct tls_client_side *side, const X509 *leaf)
{
    struct tls_name host;
    struct buf list;
    unsigned count = 0;
    tls_name_of_host(&host, side->host);
    buf_init(&list, NAMES_TEXT_MAX);
    bool found = covers(leaf, &host, &list, &count);
    if (!found && count == 0)
        tls_client_fail(side, TLS_CLIENT_FAILURE_NAME,
                        "certificate is for no name or address, so not for %.*s",
                        STR_ARG(side->host));
    else if (!found && count > NAMES_SHOWN)
        tls_client_fail(side, TLS_CLIENT_FAILURE_NAME,
                        "certificate is for %.*s and %u more, not %.*s", STR_ARG(buf_str(&list)),
                        count - NAMES_SHOWN, STR_ARG(side->host));
    else if (!found)
        tls_client_fail(side, TLS_CLIENT_FAILURE_NAME, "certificate is for %.*s, not %.*s",
                        STR_ARG(buf_str(&list)), STR_ARG(side->host));
    buf_deinit(&list);
    return found;
}

/* --- all of it --- */

int
tls_client_verify(X509_STORE_CTX *verification, void *arg)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_client_side *side = ((struct tls_stream *)SSL_get_app_data(ssl))->client;
    if (X509_verify_cert(verification) != 1) {
        struct finding finding;
        take_finding(&finding, verification);
        explain_chain(side, &finding);
        return 0;
    }
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(verification);
    if (!is_strong(side, chain)) {
        X509_STORE_CTX_set_error(verification, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    if (!is_for_host(side, sk_X509_value(chain, 0))) {
        X509_STORE_CTX_set_error(verification, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    return 1;
}
