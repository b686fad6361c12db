/* folder_test_run: for tests that need files: a directory of their own, a shell to fill it, what
 * was logged. The state of a test is the struct folder. */
#ifndef TARN_SCRIPT_FOLDER_TEST_RUN_H
#define TARN_SCRIPT_FOLDER_TEST_RUN_H

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char dir[64];
    char *search_path; /* the PATH that was there before */
    char logged[16384];
    size_t logged_len;
};

static inline void
folder_keep_line(void *arg, struct str line)
{
    struct folder *folder = arg;
    if (line.len < sizeof folder->logged - folder->logged_len) {
        memcpy(folder->logged + folder->logged_len, line.ptr, line.len);
        folder->logged_len += line.len;
        folder->logged[folder->logged_len] = '\0';
    }
}

static inline int
folder_setup(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    strcpy(folder->dir, "/tmp/tarn-script-XXXXXX");
    if (!mkdtemp(folder->dir)) {
        free(folder);
        return -1;
    }
    folder->search_path = strdup(getenv("PATH"));
    log_set_sink(folder_keep_line, folder);
    *state = folder;
    return 0;
}

static inline int
folder_teardown(void **state)
{
    struct folder *folder = *state;
    char command[128];
    log_set_sink(NULL, NULL);
    setenv("PATH", folder->search_path, 1);
    snprintf(command, sizeof command, "rm -rf %s", folder->dir);
    int code = system(command);
    free(folder->search_path);
    free(folder);
    return code;
}

/* Runs a command there; it must succeed. */
static inline void __attribute__((format(printf, 2, 3)))
folder_run(struct folder *folder, const char *format, ...)
{
    char inner[4096], command[4200];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && { %s\n}", folder->dir, inner);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* A file there with this content. */
static inline void
folder_write(struct folder *folder, const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The path of a file there; of the last eight calls. */
static inline const char *
folder_path(const struct folder *folder, const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder->dir, name);
    return path;
}

static inline void
assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

#define FOLDER_TEST(function) \
    cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

#endif
