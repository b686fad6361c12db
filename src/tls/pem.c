#include "tls/pem.h"

#include "base/limits.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/pool.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RSA_BITS_MIN = 2048 };

static int
read_all(int fd, char *text, size_t len, const char *path, struct error *error)
{
    for (size_t at = 0; at < len;) {
        ssize_t count = read(fd, text + at, len - at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, errno, "%s", path);
        if (count == 0)
            return error_set(error, "%s: became shorter while it was read", path);
        at += (size_t)count;
    }
    return 0;
}

int
pem_read_bytes(struct str *out, const char *path, size_t max, struct error *error)
{
    struct stat info;
    char *text = NULL;
    int result = -1;
    /* Without O_NONBLOCK a pipe in its place would stop the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(error, errno, "%s", path);
    if (fstat(fd, &info) < 0) {
        error_set_errno(error, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        error_set(error, "%s: not a regular file", path);
        goto out;
    }
    if ((uint64_t)info.st_size > max) {
        error_set(error, "%s: %lld bytes, at most %zu are read", path, (long long)info.st_size,
                  max);
        goto out;
    }
    text = malloc((size_t)info.st_size + 1);
    if (!text)
        error_set(error, "%s: no memory", path);
    else
        result = read_all(fd, text, (size_t)info.st_size, path, error);
    *out = str_make(text, (size_t)info.st_size);
out:
    if (result < 0)
        free(text);
    close(fd);
    return result;
}

static int
check_key(EVP_PKEY *key, const char *path, struct error *error)
{
    int id = EVP_PKEY_id(key);
    if (id == EVP_PKEY_RSA) {
        int bits = EVP_PKEY_bits(key);
        if (bits >= RSA_BITS_MIN)
            return 0;
        return error_set(error, "%s: an RSA key of %d bits; at least %d are needed", path, bits,
                         RSA_BITS_MIN);
    }
    if (id == EVP_PKEY_EC) {
        int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
        if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1)
            return 0;
    }
    if (id == EVP_PKEY_ED25519)
        return 0;
    return error_set(error, "%s: not a key for TLS: RSA, EC (P-256, P-384, P-521) or Ed25519",
                     path);
}

struct block {
    char *name, *header;
    uint8_t *data;
    long len;
};

static int
add_key(struct pem_content *content, const struct block *block, const char *path,
        struct error *error)
{
    const uint8_t *in = block->data;
    if (str_eq(str_from_cstr(block->name), STR("ENCRYPTED PRIVATE KEY")) ||
        strstr(block->header, "ENCRYPTED"))
        return error_set(error, "%s: the private key is encrypted; tarn cannot ask for a password",
                         path);
    if (content->key)
        return error_set(error, "%s: more than one private key", path);
    content->key = d2i_AutoPrivateKey(NULL, &in, block->len);
    if (!content->key)
        return error_set(error, "%s: not a private key that can be read", path);
    return check_key(content->key, path, error);
}

static int
add_cert(struct pem_content *content, const struct block *block, size_t cert_max, const char *path,
         struct error *error)
{
    if (content->cert_count == cert_max)
        return error_set(error, "%s: more than %zu certificates", path, cert_max);
    CRYPTO_BUFFER *cert = CRYPTO_BUFFER_new(block->data, (size_t)block->len, NULL);
    CRYPTO_BUFFER **certs =
        cert ? realloc(content->certs, (content->cert_count + 1) * sizeof *certs) : NULL;
    if (!certs) {
        CRYPTO_BUFFER_free(cert);
        return error_set(error, "%s: no memory", path);
    }
    content->certs = certs;
    content->certs[content->cert_count++] = cert;
    return 0;
}

static int
add_block(struct pem_content *content, const struct block *block, size_t cert_max, const char *path,
          struct error *error)
{
    struct str name = str_from_cstr(block->name);
    if (str_eq(name, STR("CERTIFICATE")) || str_eq(name, STR("X509 CERTIFICATE")))
        return add_cert(content, block, cert_max, path, error);
    if (str_ends_with(name, STR("PRIVATE KEY")) && !str_starts_with(name, STR("ECH ")))
        return add_key(content, block, path, error);
    return 0;
}

static int
read_blocks(struct pem_content *content, BIO *bio, size_t cert_max, const char *path,
            struct error *error)
{
    struct block block;
    while (PEM_read_bio(bio, &block.name, &block.header, &block.data, &block.len)) {
        int result = add_block(content, &block, cert_max, path, error);
        OPENSSL_free(block.name);
        OPENSSL_free(block.header);
        OPENSSL_free(block.data);
        if (result < 0)
            return result;
    }
    uint32_t why = ERR_peek_last_error();
    if (ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE)
        return 0;
    return error_set(error, "%s: a damaged PEM block", path);
}

int
pem_read(struct pem_content *out, const char *path, size_t cert_max, struct error *error)
{
    struct str text;
    *out = (struct pem_content){0};
    if (pem_read_bytes(&text, path, TLS_FILE_MAX, error) < 0)
        return -1;
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    int result = bio ? read_blocks(out, bio, cert_max, path, error)
                     : error_set(error, "%s: no memory", path);
    BIO_free(bio);
    ERR_clear_error();
    OPENSSL_cleanse((char *)text.ptr, text.len);
    free((char *)text.ptr);
    if (result < 0)
        pem_deinit(out);
    return result;
}

void
pem_deinit(struct pem_content *content)
{
    for (size_t i = 0; i < content->cert_count; i++)
        CRYPTO_BUFFER_free(content->certs[i]);
    free(content->certs);
    EVP_PKEY_free(content->key);
    *content = (struct pem_content){0};
}
