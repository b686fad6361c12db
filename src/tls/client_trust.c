/* Whom a client trusts: certificates from bundles and directories, into one store.
 *
 * A file that was named must be right: a certificate in it that cannot be read is an error. What
 * the system brings is read as it is: of its hundred certificates one that this library finds too
 * odd is left out, and so are files of directories that hold none.
 */
#include "tls/client_internal.h"

#include "base/limits.h"
#include "tls/pem.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where systems keep theirs: Debian, Alpine; Fedora and its kin; others. The first counts. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

/* A certificate that is there already is not added again, and no error. */
static bool
add_cert(X509_STORE *store, CRYPTO_BUFFER *der)
{
    X509 *cert = X509_parse_from_buffer(der);
    bool done = cert && X509_STORE_add_cert(store, cert);
    X509_free(cert);
    ERR_clear_error();
    return done;
}

/* How many were added; those that cannot be read are left out. -1: error. */
static int
add_bundle(X509_STORE *store, const char *path, struct error *error)
{
    struct pem_content bundle;
    int count = 0;
    if (pem_read(&bundle, path, TLS_TRUSTED_MAX, error) < 0)
        return -1;
    for (size_t i = 0; i < bundle.cert_count; i++)
        count += add_cert(store, bundle.certs[i]);
    pem_deinit(&bundle);
    return count;
}

int
tls_trust_file(X509_STORE *store, const char *path, struct error *error)
{
    struct pem_content bundle;
    int result = 0;
    if (pem_read(&bundle, path, TLS_TRUSTED_MAX, error) < 0)
        return -1;
    if (bundle.cert_count == 0)
        result = error_set(error, "%s: no PEM certificate in it", path);
    for (size_t i = 0; i < bundle.cert_count && result == 0; i++) {
        if (!add_cert(store, bundle.certs[i]))
            result = error_set(error, "%s: certificate %zu in it cannot be read", path, i + 1);
    }
    pem_deinit(&bundle);
    return result;
}

/* --- directories --- */

/* The certificates of a file of a directory, if it is one with some. */
static int
add_entry(X509_STORE *store, const char *dir, const char *name)
{
    char path[SITE_PATH_MAX];
    struct error ignored;
    struct stat info;
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (name[0] == '.' || len < 0 || (size_t)len >= sizeof path || stat(path, &info) < 0 ||
        !S_ISREG(info.st_mode))
        return 0;
    int count = add_bundle(store, path, &ignored);
    return count > 0 ? count : 0;
}

/* As add_bundle. */
static int
add_dir(X509_STORE *store, const char *path, struct error *error)
{
    int count = 0, entry_count = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return error_set_errno(error, errno, "%s", path);
    for (const struct dirent *entry; count >= 0 && (errno = 0, entry = readdir(dir));) {
        if (++entry_count > TLS_TRUSTED_MAX)
            count = error_set(error, "%s: more than %d files", path, TLS_TRUSTED_MAX);
        else
            count += add_entry(store, path, entry->d_name);
    }
    if (count >= 0 && errno != 0)
        count = error_set_errno(error, errno, "%s", path);
    closedir(dir);
    return count;
}

/* A list of directories with ':'. As add_bundle. */
static int
add_dirs(X509_STORE *store, const char *list, struct error *error)
{
    struct str rest = str_from_cstr(list);
    int count = 0;
    while (rest.len) {
        char path[SITE_PATH_MAX];
        struct str one = str_cut(&rest, ':');
        if (one.len == 0)
            continue;
        if (one.len >= sizeof path)
            return error_set(error, "a path of %zu bytes", one.len);
        snprintf(path, sizeof path, "%.*s", STR_ARG(one));
        int more = add_dir(store, path, error);
        if (more < 0)
            return -1;
        count += more;
    }
    return count;
}

/* --- the system's --- */

static int
add_system_bundle(X509_STORE *store, struct error *error)
{
    for (size_t i = 0; i < sizeof system_bundles / sizeof system_bundles[0]; i++) {
        if (access(system_bundles[i], F_OK) == 0)
            return add_bundle(store, system_bundles[i], error);
    }
    return 0;
}

/* The value of a variable; NULL: not set, or empty. */
static const char *
variable(const char *name)
{
    const char *value = secure_getenv(name);
    return value && value[0] ? value : NULL;
}

int
tls_trust_system(X509_STORE *store, const char *option, struct error *error)
{
    const char *file = variable("SSL_CERT_FILE"), *dirs = variable("SSL_CERT_DIR");
    int of_file = 0, of_dirs = 0, of_system = 0;
    if (file && (of_file = add_bundle(store, file, error)) < 0)
        return error_prefix(error, "SSL_CERT_FILE");
    if (dirs && (of_dirs = add_dirs(store, dirs, error)) < 0)
        return error_prefix(error, "SSL_CERT_DIR");
    if (!(file && dirs) && (of_system = add_system_bundle(store, error)) < 0)
        return error_prefix(error, "CA certificates");
    if (of_file + of_dirs + of_system > 0)
        return 0;
    if (file || dirs)
        return error_set(error, "no CA certificates: none in what SSL_CERT_FILE and SSL_CERT_DIR "
                                "name, and none of the system");
    return error_set(error,
                     "no CA certificates: install the package ca-certificates, or name a bundle "
                     "with %s or SSL_CERT_FILE",
                     option);
}
