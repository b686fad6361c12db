/* A directory of certificates: all files are read first, then every chain looks for the key with
 * the public key of its leaf. Keys are found by the digest of their SubjectPublicKeyInfo, so that
 * thousands of files take no longer each than one.
 */
#include "tls/certs_internal.h"

#include "base/limits.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct dir_file {
    char *path;
    struct pem_content content;
    uint8_t key_digest[SHA256_DIGEST_LENGTH]; /* of content.key */
};

struct dir_scan {
    struct dir_file *files;
    size_t count, cap;
    const struct dir_file **keys; /* those with a key, in order of digest */
    size_t key_count;
};

static int
add_path(struct dir_scan *scan, const char *dir, const char *name, struct error *error)
{
    if (scan->count == scan->cap) {
        size_t cap = scan->cap ? 2 * scan->cap : 64;
        struct dir_file *files = realloc(scan->files, cap * sizeof *files);
        if (!files)
            return error_set(error, "--cert-dir %s: no memory", dir);
        scan->files = files;
        scan->cap = cap;
    }
    struct dir_file *file = &scan->files[scan->count];
    *file = (struct dir_file){0};
    if (asprintf(&file->path, "%s/%s", dir, name) < 0)
        return error_set(error, "--cert-dir %s: no memory", dir);
    scan->count++;
    return 0;
}

/* Dot files are an editor's or a mounted secret's own; staples are read beside certificates. */
static bool
is_wanted(const char *dir, const char *name)
{
    char path[SITE_PATH_MAX];
    struct stat info;
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    return name[0] != '.' && !str_ends_with(str_from_cstr(name), STR(".ocsp")) && len > 0 &&
           (size_t)len < sizeof path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static int
list_files(struct dir_scan *scan, const char *path, struct error *error)
{
    int result = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return error_set_errno(error, errno, "--cert-dir %s", path);
    for (const struct dirent *entry; result == 0 && (errno = 0, entry = readdir(dir));) {
        if (is_wanted(path, entry->d_name))
            result = add_path(scan, path, entry->d_name, error);
        if (scan->count > 2 * TLS_CERTS_MAX)
            result = error_set(error, "--cert-dir %s: more than %d files", path, 2 * TLS_CERTS_MAX);
    }
    if (result == 0 && errno != 0)
        result = error_set_errno(error, errno, "--cert-dir %s", path);
    closedir(dir);
    return result;
}

static int
compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct dir_file *)a)->path, ((const struct dir_file *)b)->path);
}

static int
compare_keys(const void *a, const void *b)
{
    const struct dir_file *x = *(const struct dir_file *const *)a;
    const struct dir_file *y = *(const struct dir_file *const *)b;
    return memcmp(x->key_digest, y->key_digest, sizeof x->key_digest);
}

/* Of the key as a SubjectPublicKeyInfo, whatever form it came in. */
static bool
digest_key(const EVP_PKEY *key, uint8_t out[SHA256_DIGEST_LENGTH])
{
    CBB cbb;
    uint8_t *der;
    size_t len;
    if (!CBB_init(&cbb, 512))
        return false;
    if (!EVP_marshal_public_key(&cbb, key) || !CBB_finish(&cbb, &der, &len)) {
        CBB_cleanup(&cbb);
        return false;
    }
    SHA256(der, len, out);
    OPENSSL_free(der);
    return true;
}

static int
read_files(struct dir_scan *scan, const struct tls_notes *notes, struct error *error)
{
    scan->keys = calloc(scan->count + 1, sizeof *scan->keys);
    if (!scan->keys)
        return error_set(error, "--cert-dir: no memory");
    for (size_t i = 0; i < scan->count; i++) {
        struct dir_file *file = &scan->files[i];
        if (pem_read(&file->content, file->path, TLS_CHAIN_MAX, error) < 0)
            return error_prefix(error, "--cert-dir");
        if (!file->content.key && file->content.cert_count == 0)
            tls_note(notes, true, "%s: neither a PEM certificate nor a key in it: left out",
                     file->path);
        if (file->content.key && digest_key(file->content.key, file->key_digest))
            scan->keys[scan->key_count++] = file;
    }
    qsort(scan->keys, scan->key_count, sizeof *scan->keys, compare_keys);
    return 0;
}

/* The key of a chain's leaf; borrowed. NULL: none of the files has it. */
static EVP_PKEY *
find_key(const struct dir_scan *scan, CRYPTO_BUFFER *leaf)
{
    struct dir_file wanted, *wanted_ptr = &wanted;
    const struct dir_file *const *found = NULL;
    EVP_PKEY *key = tls_public_key_of(leaf);
    if (key && digest_key(key, wanted.key_digest))
        found = bsearch(&wanted_ptr, scan->keys, scan->key_count, sizeof *scan->keys, compare_keys);
    EVP_PKEY_free(key);
    return found ? (*found)->content.key : NULL;
}

static int
add_chains(struct tls_certs *certs, struct dir_scan *scan, const char *dir,
           const struct tls_notes *notes, struct error *error)
{
    size_t before = certs->count;
    for (size_t i = 0; i < scan->count; i++) {
        struct dir_file *file = &scan->files[i];
        if (file->content.cert_count == 0)
            continue;
        EVP_PKEY *key = find_key(scan, file->content.certs[0]);
        if (!key)
            tls_note(notes, true,
                     "%s: no file of the directory has the certificate's key: left out",
                     file->path);
        else if (tls_certs_add(certs, file->path, &file->content, key, notes, error) < 0)
            return error_prefix(error, "--cert-dir");
    }
    if (certs->count > before)
        return 0;
    return error_set(error, "--cert-dir %s: no certificate with its key in it", dir);
}

static void
scan_deinit(struct dir_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        pem_deinit(&scan->files[i].content);
        free(scan->files[i].path);
    }
    free(scan->files);
    free(scan->keys);
}

int
tls_certs_add_dir(struct tls_certs *certs, const char *dir, const struct tls_notes *notes,
                  struct error *error)
{
    struct dir_scan scan = {0};
    int result = list_files(&scan, dir, error);
    if (result == 0) {
        if (scan.count)
            qsort(scan.files, scan.count, sizeof *scan.files, compare_paths);
        result = read_files(&scan, notes, error);
    }
    if (result == 0)
        result = add_chains(certs, &scan, dir, notes, error);
    scan_deinit(&scan);
    return result;
}
