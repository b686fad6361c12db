/* site_test_run: for the tests of loading: a directory of their own, a shell to fill it, a loaded
 * site, and questions about its routes. */
#ifndef TARN_SITE_SITE_TEST_RUN_H
#define TARN_SITE_SITE_TEST_RUN_H

#include "base/log.h"
#include "site/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    char source[128];
    struct site_config config;
    struct site *site;
    struct error error;
    unsigned warning_count; /* lines that were logged */
    char last_warning[512];
};

static inline void
note_warning(void *arg, struct str line)
{
    struct fixture *fixture = arg;
    fixture->warning_count++;
    snprintf(fixture->last_warning, sizeof fixture->last_warning, "%.*s", STR_ARG(line));
}

/* Runs a command in the fixture's directory; it must succeed. */
static inline void __attribute__((format(printf, 2, 3)))
run(struct fixture *fixture, const char *format, ...)
{
    char inner[2048], command[2200];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && { %s; }", fixture->dir, inner);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static inline void
set_source(struct fixture *fixture, const char *name)
{
    snprintf(fixture->source, sizeof fixture->source, "%s/%s", fixture->dir, name);
}

static inline int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->dir, "/tmp/tarn-site-XXXXXX");
    if (!mkdtemp(fixture->dir)) {
        free(fixture);
        return -1;
    }
    set_source(fixture, "in");
    fixture->config = (struct site_config){
        .source = fixture->source,
        .preload_max = 1 << 20,
        .preload_total = 256 << 20,
        .index = "index.html",
        .stdin_timeout_ms = 5000,
    };
    run(fixture, "mkdir in");
    log_set_sink(note_warning, fixture);
    *state = fixture;
    return 0;
}

static inline int
teardown(void **state)
{
    struct fixture *fixture = *state;
    site_free(fixture->site);
    log_set_sink(NULL, NULL);
    run(fixture, "chmod -R u+rwx . && rm -rf %s", fixture->dir);
    free(fixture);
    return 0;
}

static inline void
load(struct fixture *fixture)
{
    site_free(fixture->site);
    fixture->site = NULL;
    fixture->warning_count = 0;
    if (site_load(&fixture->config, &fixture->site, &fixture->error) < 0)
        fail_msg("not loaded: %s", fixture->error.text);
}

static inline void
load_must_fail(struct fixture *fixture, const char *part)
{
    struct site *site = NULL;
    if (site_load(&fixture->config, &site, &fixture->error) == 0) {
        site_free(site);
        fail_msg("loaded, and should have failed with '%s'", part);
    }
    if (!strstr(fixture->error.text, part))
        fail_msg("'%s' does not say '%s'", fixture->error.text, part);
}

static inline const struct site_route *
find(const struct fixture *fixture, const char *path)
{
    return site_find(fixture->site, str_from_cstr(path));
}

static inline const struct site_rep *
find_rep(const struct fixture *fixture, const char *path, unsigned index)
{
    const struct site_route *route = find(fixture, path);
    if (!route)
        fail_msg("no route for %s", path);
    assert_true(index < route->rep_count);
    return &route->reps[index];
}

static inline void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(got), wanted);
}

/* The value of a header line, or an empty str. */
static inline struct str
field(const struct site_rep *rep, const char *name)
{
    struct str rest = rep->head;
    size_t name_len = strlen(name);
    while (rest.len) {
        struct str line = str_first(rest, str_find(rest, STR("\r\n")));
        rest = str_skip(rest, line.len + 2);
        if (line.len > name_len && line.ptr[name_len] == ':' &&
            str_ieq(str_first(line, name_len), str_from_cstr(name)))
            return str_trim(str_skip(line, name_len + 1));
    }
    return STR("");
}

/* What a client would get, from memory or from the descriptor. */
static inline void
assert_body(struct fixture *fixture, const struct site_rep *rep, const char *wanted)
{
    int fd;
    bool owned;
    char read_back[4096];
    size_t len = strlen(wanted);
    assert_true(len <= sizeof read_back);
    assert_int_equal(rep->content.len, len);
    if (rep->content.mem) {
        assert_int_equal(rep->content.fd, -1);
        assert_memory_equal(rep->content.mem, wanted, len);
        return;
    }
    if (site_content_open(&rep->content, &fd, &owned, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    assert_int_equal(pread(fd, read_back, len, (off_t)rep->content.off), len);
    assert_memory_equal(read_back, wanted, len);
    if (owned)
        close(fd);
}

static inline void
assert_served(struct fixture *fixture, const char *path, const char *body)
{
    assert_body(fixture, find_rep(fixture, path, 0), body);
}

static inline void
assert_missing(const struct fixture *fixture, const char *path)
{
    if (find(fixture, path))
        fail_msg("%s should not be found", path);
}

#endif
