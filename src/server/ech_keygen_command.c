#include "server/ech_keygen_command.h"

#include "base/buf.h"
#include "base/log.h"
#include "tls/ech_keys.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int
write_whole(int fd, struct str bytes, struct error *error)
{
    while (bytes.len) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR)
            return error_set_errno(error, errno, "cannot write to standard output");
        bytes = str_skip(bytes, written > 0 ? (size_t)written : 0);
    }
    return 0;
}

/* Without stdio, whose buffer would keep the key. */
static int
write_bundle(const struct ech_pair *pair, struct error *error)
{
    struct buf bundle;
    int result = -1;
    buf_init(&bundle, ECH_PEM_MAX);
    if (!buf_reserve(&bundle, ECH_PEM_MAX)) {
        error_set(error, "no memory for an ECH key");
    } else {
        ech_pair_print(pair, &bundle);
        result = write_whole(STDOUT_FILENO, buf_str(&bundle), error);
        explicit_bzero(bundle.ptr, bundle.cap);
    }
    buf_deinit(&bundle);
    return result;
}

int
ech_keygen_command(const struct options *options)
{
    struct error error;
    struct ech_keys *keys;
    struct str name = str_from_cstr(options->public_name);
    if (ech_keys_generate(&keys, name, &error) != 0) {
        log_error("ech-keygen: %s", error.text);
        return ech_is_public_name(name) ? 1 : EXIT_USAGE;
    }
    const struct ech_pair *pair = ech_keys_at(keys, 0);
    int result = write_bundle(pair, &error);
    if (result != 0)
        log_error("ech-keygen: %s", error.text);
    else
        fprintf(stderr, "ech=\"%.*s\"\nconfig_id: 0x%02x\n", STR_ARG(ech_keys_list_base64(keys)),
                pair->config_id);
    ech_keys_free(keys);
    return result == 0 ? 0 : 1;
}
