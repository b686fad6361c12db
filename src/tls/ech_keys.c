#include "tls/ech_keys.h"

#include "base/limits.h"
#include "base/must.h"
#include "tls/ech_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/base64.h>
#include <openssl/mem.h>

/* --- the set --- */

enum { CONFIG_ID_OFF = 4 };

struct ech_keys *
ech_keys_new(void)
{
    return calloc(1, sizeof(struct ech_keys));
}

void
ech_keys_free(struct ech_keys *keys)
{
    if (!keys)
        return;
    for (unsigned i = 0; i < keys->count; i++)
        free((char *)keys->pairs[i].config.ptr);
    free(keys->list);
    OPENSSL_cleanse(keys, sizeof *keys);
    free(keys);
}

unsigned
ech_keys_count(const struct ech_keys *keys)
{
    return keys->count;
}

const struct ech_pair *
ech_keys_at(const struct ech_keys *keys, unsigned index)
{
    must(index < keys->count);
    return &keys->pairs[index];
}

struct str
ech_keys_list_base64(const struct ech_keys *keys)
{
    return str_make(keys->list, keys->list_len);
}

int
ech_keys_add(struct ech_keys *keys, const uint8_t private_key[ECH_PRIVATE_KEY_LEN],
             struct str config, size_t public_name_off, size_t public_name_len)
{
    uint8_t id = (uint8_t)config.ptr[CONFIG_ID_OFF];
    must(!keys->id_taken[id] && keys->count < ECH_PAIRS_MAX);
    char *copy = malloc(config.len);
    if (!copy)
        return -1;
    memcpy(copy, config.ptr, config.len);
    struct ech_pair *pair = &keys->pairs[keys->count++];
    memcpy(pair->private_key, private_key, ECH_PRIVATE_KEY_LEN);
    pair->config = str_make(copy, config.len);
    pair->config_id = id;
    pair->public_name = str_make(copy + public_name_off, public_name_len);
    keys->id_taken[id] = true;
    return 0;
}

int
ech_keys_finish(struct ech_keys *keys, struct error *error)
{
    uint8_t list[2 + UINT16_MAX];
    size_t len = 2;
    for (unsigned i = 0; i < keys->count; i++) {
        struct str config = keys->pairs[i].config;
        if (config.len > sizeof list - len)
            return error_set(error, "%u ECH configs do not fit into one list of 65535 bytes",
                             keys->count);
        memcpy(list + len, config.ptr, config.len);
        len += config.len;
    }
    list[0] = (uint8_t)((len - 2) >> 8);
    list[1] = (uint8_t)(len - 2);
    free(keys->list);
    keys->list = malloc((len + 2) / 3 * 4 + 1);
    if (!keys->list)
        return error_set(error, "no memory for ECH keys");
    keys->list_len = EVP_EncodeBlock((uint8_t *)keys->list, list, len);
    return 0;
}

/* --- files --- */

/* Reads exactly st_size bytes: a file of keys is replaced, not written to. */
static int
read_whole(int fd, char *out, size_t len, const char *path, struct error *error)
{
    size_t at = 0;
    while (at <= len) {
        ssize_t got = read(fd, out + at, len + 1 - at);
        if (got < 0 && errno != EINTR)
            return error_set_errno(error, errno, "%s: cannot read", path);
        if (got == 0)
            break;
        at += got > 0 ? (size_t)got : 0;
    }
    if (at != len)
        return error_set(error, "%s: changed while it was read", path);
    return 0;
}

static int
add_open_file(struct ech_keys *keys, int fd, const char *path, struct error *error)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return error_set_errno(error, errno, "%s: cannot read", path);
    if (!S_ISREG(stat.st_mode))
        return error_set(error, "%s: expected a file or a directory of files", path);
    if (stat.st_size > ECH_FILE_MAX)
        return error_set(error, "%s: %lld bytes, a file of ECH keys has at most %d", path,
                         (long long)stat.st_size, ECH_FILE_MAX);
    size_t len = (size_t)stat.st_size;
    char *text = malloc(len + 1);
    if (!text)
        return error_set(error, "%s: no memory", path);
    int result = read_whole(fd, text, len, path, error);
    if (result == 0)
        result = ech_keys_add_text(keys, str_make(text, len), path, error);
    OPENSSL_cleanse(text, len + 1);
    free(text);
    return result;
}

static int
add_file(struct ech_keys *keys, const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(error, errno, "%s: cannot open", path);
    int result = add_open_file(keys, fd, path, error);
    close(fd);
    return result;
}

static int
is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is not a regular file is not ours to read; a link that leads nowhere is a mistake. */
static int
add_entry(struct ech_keys *keys, const char *directory, const char *name, struct error *error)
{
    char path[PATH_MAX];
    struct stat stat_of;
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return error_set(error, "%s: the name of a file in it is too long", directory);
    if (stat(path, &stat_of) != 0)
        return error_set_errno(error, errno, "%s: cannot open", path);
    return S_ISREG(stat_of.st_mode) ? add_file(keys, path, error) : 0;
}

static int
add_directory(struct ech_keys *keys, const char *path, struct error *error)
{
    struct dirent **entries;
    int result = 0, count = scandir(path, &entries, is_visible, by_name);
    if (count < 0)
        return error_set_errno(error, errno, "%s: cannot read the directory", path);
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = add_entry(keys, path, entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
    if (result == 0 && keys->count == 0)
        return error_set(error, "%s: no file of ECH keys in this directory", path);
    return result;
}

int
ech_keys_load(struct ech_keys **out, const char *path, struct error *error)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0)
        return error_set_errno(error, errno, "%s: cannot open", path);
    struct ech_keys *keys = ech_keys_new();
    if (!keys)
        return error_set(error, "%s: no memory", path);
    int result =
        S_ISDIR(stat_of.st_mode) ? add_directory(keys, path, error) : add_file(keys, path, error);
    if (result == 0 && ech_keys_finish(keys, error) != 0)
        result = error_prefix(error, "%s", path);
    if (result != 0) {
        ech_keys_free(keys);
        return -1;
    }
    *out = keys;
    return 0;
}
