/* cache_dir_test_run: for the tests of store and index: a directory of their own, a shell to look
 * into it, entries that can be told apart, and the notes that came. */
#ifndef TARN_CACHE_CACHE_DIR_TEST_RUN_H
#define TARN_CACHE_CACHE_DIR_TEST_RUN_H

#include "base/error.h"
#include "cache/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { URL_TEXT_MAX = 128 };

struct cache_dir {
    char base[64]; /* the test's own */
    char path[80]; /* the cache's, in it */
    bool mounted;
    struct error error;
    pthread_mutex_t lock; /* notes come from any thread */
    unsigned note_count;
    char last_note[ERROR_TEXT_MAX];
};

/* `root`: where; in memory there is no waiting for a disk. */
static inline void
cache_dir_init_in(struct cache_dir *dir, const char *root)
{
    *dir = (struct cache_dir){0};
    snprintf(dir->base, sizeof dir->base, "%s/tarn-cache-XXXXXX",
             access(root, W_OK) == 0 ? root : "/tmp");
    pthread_mutex_init(&dir->lock, NULL);
    if (!mkdtemp(dir->base))
        fail_msg("cannot make %s", dir->base);
    snprintf(dir->path, sizeof dir->path, "%s/cache", dir->base);
}

static inline void
cache_dir_init(struct cache_dir *dir)
{
    cache_dir_init_in(dir, "/tmp");
}

/* Runs a command in the cache's directory, or beside it when it is not there; its exit code. */
static inline int __attribute__((format(printf, 2, 3)))
shell(struct cache_dir *dir, const char *format, ...)
{
    char inner[2048], command[2400];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s; cd %s 2>/dev/null; { %s; }", dir->base, dir->path,
             inner);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define assert_shell(dir, ...) assert_int_equal(shell(dir, __VA_ARGS__), 0)

/* What a command prints, as a number. */
static inline uint64_t __attribute__((format(printf, 2, 3)))
shell_number(struct cache_dir *dir, const char *format, ...)
{
    char inner[1024];
    unsigned long long number = UINT64_MAX;
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    assert_shell(dir, "{ %s; } > %s/number", inner, dir->base);
    char path[128];
    snprintf(path, sizeof path, "%s/number", dir->base);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%llu", &number) != 1)
        fail_msg("no number from: %s", inner);
    fclose(file);
    return number;
}

/* A small file system of its own for the cache's directory. False: not permitted here. */
static inline bool
cache_dir_mount(struct cache_dir *dir, const char *options)
{
    assert_int_equal(mkdir(dir->path, 0700), 0);
    dir->mounted = mount("tarn-test", dir->path, "tmpfs", 0, options) == 0;
    if (!dir->mounted)
        print_message("not run: no file system can be mounted here: %s\n", strerror(errno));
    return dir->mounted;
}

static inline void
cache_dir_deinit(struct cache_dir *dir)
{
    if (dir->mounted)
        assert_int_equal(umount2(dir->path, MNT_DETACH), 0);
    assert_shell(dir, "cd / && chmod -R u+rwx %s && rm -rf %s", dir->base, dir->base);
    pthread_mutex_destroy(&dir->lock);
}

/* A child that does not outlive the test, also when that fails. */
static inline pid_t
fork_child(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

static inline void
take_note(void *arg, const char *line)
{
    struct cache_dir *dir = arg;
    pthread_mutex_lock(&dir->lock);
    dir->note_count++;
    snprintf(dir->last_note, sizeof dir->last_note, "%s", line);
    pthread_mutex_unlock(&dir->lock);
}

static inline bool
was_noted(struct cache_dir *dir, const char *text)
{
    pthread_mutex_lock(&dir->lock);
    bool found = strstr(dir->last_note, text) != NULL;
    pthread_mutex_unlock(&dir->lock);
    return found;
}

/* The entry with this number: everything in it follows from that. `text` keeps the URL. */
static inline struct cache_entry
make_entry(uint64_t id, char text[static URL_TEXT_MAX])
{
    int len =
        snprintf(text, URL_TEXT_MAX, "https://example.com/%llu/Image.gz", (unsigned long long)id);
    struct cache_entry entry = {
        .id = id,
        .url = str_make(text, (size_t)len),
        .content_type = STR("application/gzip"),
        .etag = STR("\"5f-61\""),
        .content_coding = STR("gzip"),
        .len = 1000 + id,
        .last_modified_s = 1600000000 + (int64_t)id,
        .created_s = 1700000000 + (int64_t)id,
        .last_used_s = 1710000000 + (int64_t)id,
        .ttl_s = 864000,
        .use_count = (uint32_t)id % 100,
    };
    memset(entry.sha256, (int)id, sizeof entry.sha256);
    return entry;
}

static inline void
assert_same_entry(const struct cache_entry *a, const struct cache_entry *b)
{
    assert_int_equal(a->id, b->id);
    assert_true(str_eq(a->url, b->url));
    assert_true(str_eq(a->content_type, b->content_type));
    assert_true(str_eq(a->etag, b->etag));
    assert_true(str_eq(a->content_coding, b->content_coding));
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->sha256, b->sha256, sizeof a->sha256);
    assert_int_equal(a->last_modified_s, b->last_modified_s);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->last_used_s, b->last_used_s);
    assert_int_equal(a->ttl_s, b->ttl_s);
    assert_int_equal(a->use_count, b->use_count);
}

#endif
