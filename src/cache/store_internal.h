/* store_internal: what the files of the store share. Not for others.
 *
 * store.c opens, locks and closes the directory, store_files.c handles one file, store_recover.c
 * all of them.
 */
#ifndef TARN_CACHE_STORE_INTERNAL_H
#define TARN_CACHE_STORE_INTERNAL_H

#include "cache/store.h"
#include "tls/digest.h"

struct store {
    int fd;      /* the directory */
    int lock_fd; /* holds the lock */
    bool was_orderly, was_restarted;
    bool has_openat2;
    uint64_t run; /* counts the processes that held the directory */
    char *path;
};

enum {
    STORE_RUN_SHIFT = 31, /* ids: run, then a number in it */
    STORE_FILE_LEN = 64 + 1 + 16,
    STORE_DIR_LEN = 5,
};

/* Where the content of a download is, each NUL-terminated. */
struct store_name {
    char dir[STORE_DIR_LEN + 1];                /* "aa/bb" */
    char file[STORE_FILE_LEN + 1];              /* in it */
    char part[STORE_FILE_LEN + sizeof ".part"]; /* likewise */
    char path[STORE_DIR_LEN + 1 + STORE_FILE_LEN + 1];
};

void store_name_make(struct store_name *name, struct str url, uint64_t id);

/* Opens what lies beneath the directory `at_fd`, without following a link in any part of the path.
 * The descriptor, or -errno. Closed on exec. */
int store_open_beneath(const struct store *store, int at_fd, const char *path, int flags);

#endif
