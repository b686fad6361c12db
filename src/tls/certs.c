#include "tls/certs_internal.h"

#include "base/limits.h"
#include "tls/names.h"
#include "tls/self_signed.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A certificate is added in steps: its place in the list; the chain and key it takes over; what its
 * leaf says; a staple beside its file; then what the operator should know. A failure in between
 * leaves it in the list, where tls_certs_deinit finds it.
 */

enum { ARENA_MAX = 1 << 30, ARENA_BLOCK = 64 << 10 };

void
tls_certs_init(struct tls_certs *certs)
{
    *certs = (struct tls_certs){0};
    arena_init(&certs->arena, ARENA_MAX, ARENA_BLOCK);
}

void
tls_certs_deinit(struct tls_certs *certs)
{
    for (size_t i = 0; i < certs->count; i++) {
        struct tls_cert *cert = &certs->list[i];
        for (size_t k = 0; k < cert->chain_count; k++)
            CRYPTO_BUFFER_free(cert->chain[k]);
        free(cert->chain);
        EVP_PKEY_free(cert->key);
    }
    free(certs->list);
    arena_deinit(&certs->arena);
    *certs = (struct tls_certs){0};
}

/* --- what the leaf says --- */

void
tls_name_of_general(struct tls_name *out, const GENERAL_NAME *from)
{
    *out = (struct tls_name){.key = {0}};
    if (from->type == GEN_DNS)
        tls_name_of_dns(out, str_make((const char *)ASN1_STRING_get0_data(from->d.dNSName),
                                      (size_t)ASN1_STRING_length(from->d.dNSName)));
    else if (from->type == GEN_IPADD)
        tls_name_of_address(out, ASN1_STRING_get0_data(from->d.iPAddress),
                            (size_t)ASN1_STRING_length(from->d.iPAddress));
}

static int
add_name(struct tls_certs *certs, struct tls_cert *cert, const GENERAL_NAME *from)
{
    struct tls_name name;
    tls_name_of_general(&name, from);
    if (name.key.len == 0)
        return 0;
    cert->names[cert->name_count] = arena_copy(&certs->arena, name.key);
    return cert->names[cert->name_count++].ptr ? 0 : -1;
}

static int
read_names(struct tls_certs *certs, struct tls_cert *cert, const X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = names ? sk_GENERAL_NAME_num(names) : 0;
    cert->names = arena_alloc(&certs->arena, (count + 1) * sizeof *cert->names);
    int result = cert->names ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++)
        result = add_name(certs, cert, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return result;
}

int64_t
tls_seconds_of(const ASN1_TIME *time)
{
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool done = epoch && ASN1_TIME_diff(&days, &seconds, epoch, time);
    ASN1_TIME_free(epoch);
    return done ? (int64_t)days * 24 * 3600 + seconds : 0;
}

static int
read_leaf(struct tls_certs *certs, struct tls_cert *cert, struct error *error)
{
    X509 *leaf = X509_parse_from_buffer(cert->chain[0]);
    int result = -1;
    if (!leaf) {
        error_set(error, "%s: the first certificate in it cannot be read", cert->file);
    } else if (read_names(certs, cert, leaf) < 0) {
        error_set(error, "%s: no memory", cert->file);
    } else {
        cert->not_before_s = tls_seconds_of(X509_get0_notBefore(leaf));
        cert->not_after_s = tls_seconds_of(X509_get0_notAfter(leaf));
        result = 0;
    }
    X509_free(leaf);
    ERR_clear_error();
    return result;
}

EVP_PKEY *
tls_public_key_of(CRYPTO_BUFFER *leaf)
{
    X509 *cert = X509_parse_from_buffer(leaf);
    EVP_PKEY *key = cert ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    ERR_clear_error();
    return key;
}

/* --- the staple beside the file --- */

/* One whole DER SEQUENCE, as an OCSPResponse is. */
static bool
is_der_sequence(struct str s)
{
    CBS cbs, inner;
    CBS_init(&cbs, (const uint8_t *)s.ptr, s.len);
    return CBS_get_asn1(&cbs, &inner, CBS_ASN1_SEQUENCE) && CBS_len(&cbs) == 0;
}

/* example.pem -> example.ocsp; a name without a dot gets the ending. */
static struct str
ocsp_path(struct arena *arena, const char *file)
{
    struct str path = str_from_cstr(file);
    size_t slash = str_find_last_char(path, '/'), dot = str_find_last_char(path, '.');
    size_t name_at = slash < path.len ? slash + 1 : 0;
    struct str stem = dot < path.len && dot > name_at ? str_first(path, dot) : path;
    return arena_join(arena, stem, STR(".ocsp"));
}

static int
read_ocsp(struct tls_certs *certs, struct tls_cert *cert, struct error *error)
{
    struct str bytes, path = ocsp_path(&certs->arena, cert->file);
    if (!path.ptr)
        return error_set(error, "%s: no memory", cert->file);
    if (access(path.ptr, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (pem_read_bytes(&bytes, path.ptr, TLS_OCSP_MAX, error) < 0)
        return -1;
    int result = 0;
    if (!is_der_sequence(bytes))
        result = error_set(error, "%s: not an OCSP response in DER", path.ptr);
    else if (!(cert->ocsp = arena_copy(&certs->arena, bytes)).ptr)
        result = error_set(error, "%s: no memory", path.ptr);
    free((char *)bytes.ptr);
    return result;
}

/* --- adding --- */

void
tls_note(const struct tls_notes *notes, bool is_warning, const char *format, ...)
{
    char line[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (notes->fn)
        notes->fn(notes->arg, is_warning, line);
}

void
tls_date_print(int64_t time_s, char out[static TLS_DATE_ROOM])
{
    struct tm tm;
    time_t time = (time_t)time_s;
    if (!gmtime_r(&time, &tm) || !strftime(out, TLS_DATE_ROOM, "%Y-%m-%d %H:%M UTC", &tm))
        snprintf(out, TLS_DATE_ROOM, "an unreadable date");
}

static void
note_validity(const struct tls_cert *cert, const struct tls_notes *notes)
{
    char date[TLS_DATE_ROOM];
    tls_date_print(cert->not_after_s, date);
    if (cert->not_after_s < notes->now_s)
        tls_note(notes, true, "%s: the certificate expired at %s", cert->file, date);
    else if (cert->not_after_s - notes->now_s < TLS_EXPIRY_WARNING_S)
        tls_note(notes, true, "%s: the certificate expires at %s", cert->file, date);
    tls_date_print(cert->not_before_s, date);
    if (cert->not_before_s > notes->now_s)
        tls_note(notes, true, "%s: the certificate is not valid before %s", cert->file, date);
    if (cert->name_count == 0)
        tls_note(notes, true,
                 "%s: the certificate has no subject alternative name; clients accept it "
                 "for none",
                 cert->file);
}

/* A place in the list, which takes the chain out of the content and a reference to the key. */
static struct tls_cert *
add_cert(struct tls_certs *certs, const char *file, struct pem_content *content, EVP_PKEY *key,
         struct error *error)
{
    if (certs->count == certs->cap) {
        size_t cap = certs->cap ? 2 * certs->cap : 8;
        struct tls_cert *list = realloc(certs->list, cap * sizeof *list);
        if (list) {
            certs->list = list;
            certs->cap = cap;
        }
    }
    struct str name = arena_copy(&certs->arena, str_from_cstr(file));
    if (!name.ptr || certs->count == certs->cap) {
        error_set(error, "%s: no memory", file);
        return NULL;
    }
    struct tls_cert *cert = &certs->list[certs->count++];
    *cert = (struct tls_cert){
        .file = name.ptr, .chain = content->certs, .chain_count = content->cert_count, .key = key};
    EVP_PKEY_up_ref(key);
    content->certs = NULL;
    content->cert_count = 0;
    return cert;
}

int
tls_certs_add(struct tls_certs *certs, const char *file, struct pem_content *content, EVP_PKEY *key,
              const struct tls_notes *notes, struct error *error)
{
    if (certs->count == TLS_CERTS_MAX)
        return error_set(error, "%s: more than %d certificates", file, TLS_CERTS_MAX);
    struct tls_cert *cert = add_cert(certs, file, content, key, error);
    if (!cert || read_leaf(certs, cert, error) < 0)
        return -1;
    if (file[0] && read_ocsp(certs, cert, error) < 0)
        return -1;
    if (file[0])
        note_validity(cert, notes);
    return 0;
}

static int
check_pair(const struct pem_content *certs, const char *cert_file, const EVP_PKEY *key,
           const char *key_file, struct error *error)
{
    if (certs->cert_count == 0)
        return error_set(error, "--cert %s: no PEM certificate in it", cert_file);
    if (!key)
        return error_set(error, "--key %s: no PEM private key in it", key_file);
    EVP_PKEY *public_key = tls_public_key_of(certs->certs[0]);
    if (!public_key)
        return error_set(error, "--cert %s: the first certificate in it cannot be read", cert_file);
    bool fits = EVP_PKEY_cmp(public_key, key) == 1;
    EVP_PKEY_free(public_key);
    if (fits)
        return 0;
    return error_set(error, "--key %s: not the key of the certificate in %s", key_file, cert_file);
}

int
tls_certs_add_pair(struct tls_certs *certs, const char *cert_file, const char *key_file,
                   const struct tls_notes *notes, struct error *error)
{
    struct pem_content chain, key = {0};
    if (pem_read(&chain, cert_file, TLS_CHAIN_MAX, error) < 0)
        return error_prefix(error, "--cert");
    bool is_same = strcmp(cert_file, key_file) == 0;
    int result = 0;
    if (!is_same && pem_read(&key, key_file, TLS_CHAIN_MAX, error) < 0)
        result = error_prefix(error, "--key");
    EVP_PKEY *private_key = is_same ? chain.key : key.key;
    if (result == 0)
        result = check_pair(&chain, cert_file, private_key, key_file, error);
    if (result == 0)
        result = tls_certs_add(certs, cert_file, &chain, private_key, notes, error);
    pem_deinit(&chain);
    pem_deinit(&key);
    return result;
}

static void
note_self_signed(const struct tls_cert *cert, const struct tls_notes *notes)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1], date[32];
    SHA256(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0]), digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    tls_date_print(cert->not_after_s, date);
    tls_note(
        notes, true,
        "SELF-SIGNED certificate for localhost, made for this run and good until %s: for tests "
        "only, no client trusts it; SHA-256 %s",
        date, hex);
}

int
tls_certs_add_self_signed(struct tls_certs *certs, const struct tls_notes *notes,
                          struct error *error)
{
    struct pem_content content = {0};
    EVP_PKEY *key = NULL;
    content.certs = malloc(sizeof *content.certs);
    if (!content.certs)
        return error_set(error, "self-signed certificate: no memory");
    if (tls_self_signed_make(&content.certs[0], &key, notes->now_s, error) < 0) {
        free(content.certs);
        return -1;
    }
    content.cert_count = 1;
    int result = tls_certs_add(certs, "", &content, key, notes, error);
    pem_deinit(&content);
    EVP_PKEY_free(key);
    if (result == 0)
        note_self_signed(&certs->list[certs->count - 1], notes);
    return result;
}
