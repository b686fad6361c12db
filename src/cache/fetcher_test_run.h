/* fetcher_test_run: for the tests of downloads: the real fetcher, on its thread, with table, store
 * and index in a directory of its own, a fake upstream that says what a script tells it, and
 * requests that wait for flights as a worker's do.
 *
 * The fake upstream is looked at by the test's thread while that waits. At the end of each test
 * nothing may be left over: no descriptor, no part file, and the account is what the files are
 * long, which the index knows all of.
 */
#ifndef TARN_CACHE_FETCHER_TEST_RUN_H
#define TARN_CACHE_FETCHER_TEST_RUN_H

#include "cache/cache_dir_test_run.h"
#include "cache/fetcher.h"
#include "io/resolver.h"
#include "proxy/proxy_test_run.h"
#include "tls/digest.h"

#include <time.h>

enum { ASK_TTL_S = 1000, RIG_PATIENCE_MS = 20000, SECOND_MS = 1000 };

struct rig {
    struct cache_dir dir;
    char index_dir[96]; /* apart from the files, whose file system may be tiny */
    const char *mount_options;
    struct store *store;
    struct index *index;
    struct cache_table *table;
    struct resolver *resolver;
    struct fetcher *fetcher;
    struct cidr_list allow;
    struct table_config table_config;
    struct fetcher_config config;
    struct cache_totals totals; /* of the workers */
    struct fake fake;
    int64_t age_s; /* so much older are entries at the next start */
    unsigned fds_before;
    bool not_run; /* what the test needs is not to be had here */
};

static inline void
rig_totals(void *arg, struct cache_totals *totals)
{
    const struct rig *rig = arg;
    *totals = rig->totals;
}

static inline int
rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct error error;
    signal(SIGPIPE, SIG_IGN);
    if (!rig)
        return -1;
    rig->fds_before = open_fd_count();
    cache_dir_init_in(&rig->dir, "/dev/shm");
    snprintf(rig->index_dir, sizeof rig->index_dir, "%s/index", rig->dir.base);
    fake_listen(&rig->fake);
    if (mkdir(rig->index_dir, 0700) != 0 || resolver_new(&rig->resolver, NULL, &error) != 0 ||
        cidr_list_add(&rig->allow, STR("127.0.0.1"), &error) != 0)
        return -1;
    rig->table_config = (struct table_config){.quota = 0, .clean_percent = 75, .open_max = 8};
    rig->config = (struct fetcher_config){
        .resolver = rig->resolver,
        .upstream_allow = &rig->allow,
        .user_agent = "tarn/test",
        .max_downloads = 4,
        .retry_ns = 0, /* a test that wants another attempt says so */
        .negative_ttl_s = 60,
        .connect_timeout_ns = 10000 * MS,
        .first_byte_timeout_ns = 10000 * MS,
        .between_bytes_timeout_ns = 10000 * MS,
    };
    *state = rig;
    return 0;
}

static inline enum index_loaded
rig_loaded(void *arg, const struct cache_entry *entry)
{
    struct rig *rig = arg;
    struct cache_entry aged = *entry;
    aged.created_s -= rig->age_s;
    return table_load(rig->table, &aged) == 0 ? INDEX_TAKEN : INDEX_FAILED;
}

/* With the configuration as the test has made it. False: not possible here. */
static inline bool
rig_start(struct rig *rig)
{
    struct error error = {0};
    if (rig->mount_options && !cache_dir_mount(&rig->dir, rig->mount_options)) {
        rig->not_run = true;
        return false;
    }
    rig->table = table_new(&rig->table_config);
    assert_non_null(rig->table);
    if (store_open(&rig->store, rig->dir.path, &error) != 0 ||
        index_open(&rig->index, rig->index_dir, rig_loaded, take_note, rig, &error) != 0)
        fail_msg("%s", error.text);
    rig->config.table = rig->table;
    rig->config.store = rig->store;
    rig->config.index = rig->index;
    if (fetcher_start(&rig->fetcher, &rig->config, rig_totals, rig, &error) != 0)
        fail_msg("%s", error.text);
    return true;
}

/* --- time --- */

static inline uint64_t
now_ms(void)
{
    return loop_clock_ns() / MS;
}

static inline int64_t
now_s(void)
{
    return (int64_t)time(NULL);
}

static inline bool
rig_runs_until(struct rig *rig, bool (*done)(void *arg), void *arg, unsigned ms)
{
    const struct timespec pause = {.tv_nsec = 200000};
    for (uint64_t until_ms = now_ms() + ms;;) {
        fake_pump(&rig->fake);
        if (done(arg))
            return true;
        if (now_ms() > until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
}

#define rig_wait(rig, done, arg)                                    \
    do {                                                            \
        if (!rig_runs_until((rig), (done), (arg), RIG_PATIENCE_MS)) \
            fail_msg("waited in vain for %s(%s)", #done, #arg);     \
    } while (0)

/* For what must not happen. */
static inline void
rig_run_for(struct rig *rig, unsigned ms)
{
    assert_false(rig_runs_until(rig, never, NULL, ms));
}

/* --- requests --- */

struct asked {
    struct rig *rig;
    char url[256];
    enum table_answer answer;
    bool is_new;
    struct cache_flight *flight; /* joined; NULL: a hit */
    struct cache_object *object; /* held; NULL: there is none (yet) */
    struct flight_view view;     /* the last look; its object is `object` */
};

static inline void
url_of(const struct rig *rig, const char *path, char out[static 256])
{
    snprintf(out, 256, "http://127.0.0.1:%u%s", ntohs(rig->fake.addr.sin_port), path);
}

/* Looks up as a worker would: opens what is closed, hands a new flight to the fetcher. `age_s`:
 * what is older is not fresh to this request. */
static inline void
ask_url(struct asked *asked, struct rig *rig, const char *url, int64_t later_s,
        const uint8_t *sha256)
{
    struct table_found found;
    *asked = (struct asked){.rig = rig};
    snprintf(asked->url, sizeof asked->url, "%s", url);
    const struct table_want want = {
        .url = str_from_cstr(asked->url),
        .now_s = now_s() + later_s,
        .ttl_s = ASK_TTL_S,
        .sha256 = sha256,
    };
    if (!rig->fetcher)
        assert_true(rig_start(rig));
    asked->answer = table_ask(rig->table, &want, &found);
    if (asked->answer == TABLE_CLOSED) {
        int fd = store_open_file(rig->store, want.url, found.entry.id, found.entry.len);
        assert_true(fd >= 0);
        struct cache_object *object = object_new(rig->table, fd, &found.entry);
        object_finish(object, found.entry.len, found.entry.sha256);
        table_opened(rig->table, want.url, object);
        object_unref(object);
        asked->answer = table_ask(rig->table, &want, &found);
    }
    assert_true(asked->answer == TABLE_HIT || asked->answer == TABLE_FLIGHT);
    asked->object = found.object;
    asked->flight = found.flight;
    asked->is_new = asked->flight && found.is_new;
    if (asked->flight)
        flight_join(asked->flight);
    if (asked->is_new)
        fetcher_take(rig->fetcher, asked->flight);
}

static inline void
ask(struct asked *asked, struct rig *rig, const char *path)
{
    char url[256];
    url_of(rig, path, url);
    ask_url(asked, rig, url, 0, NULL);
}

/* So much later that nothing is fresh any more. */
static inline void
ask_late(struct asked *asked, struct rig *rig, const char *path)
{
    char url[256];
    url_of(rig, path, url);
    ask_url(asked, rig, url, ASK_TTL_S + 100, NULL);
}

static inline void
ask_for_digest(struct asked *asked, struct rig *rig, const char *path, const uint8_t *sha256)
{
    char url[256];
    url_of(rig, path, url);
    ask_url(asked, rig, url, 0, sha256);
}

static inline void
asked_end(struct asked *asked)
{
    object_unref(asked->object);
    if (asked->flight) {
        flight_leave(asked->flight, loop_clock_ns());
        flight_unref(asked->flight);
    }
    asked->object = NULL;
    asked->flight = NULL;
}

/* Takes the object that there is now, if it is another one than before. */
static inline void
asked_look(struct asked *asked)
{
    if (!asked->flight)
        return;
    flight_look(asked->flight, &asked->view);
    if (asked->view.object) {
        object_unref(asked->object);
        asked->object = asked->view.object;
    }
}

static inline bool
asked_is_answered(void *arg)
{
    struct asked *asked = arg;
    asked_look(asked);
    return !asked->flight || asked->view.state == FLIGHT_ANSWERED ||
           asked->view.state == FLIGHT_FAILED;
}

/* Whether the last word is spoken. */
static inline bool
asked_is_over(void *arg)
{
    struct asked *asked = arg;
    if (!asked_is_answered(asked))
        return false;
    return (asked->flight && asked->view.state == FLIGHT_FAILED) ||
           object_state(asked->object) == OBJECT_WHOLE;
}

static inline void
wait_answered(struct asked *asked)
{
    rig_wait(asked->rig, asked_is_answered, asked);
}

static inline void
wait_over(struct asked *asked)
{
    rig_wait(asked->rig, asked_is_over, asked);
}

struct shown {
    const struct cache_object *object;
    uint64_t len;
};

static inline bool
so_much_is_shown(void *arg)
{
    const struct shown *shown = arg;
    return object_shown_len(shown->object) >= shown->len;
}

static inline void
wait_shown(struct asked *asked, uint64_t len)
{
    wait_answered(asked);
    struct shown shown = {asked->object, len};
    assert_non_null(asked->object);
    rig_wait(asked->rig, so_much_is_shown, &shown);
}

static inline bool
object_is_broken(void *arg)
{
    return object_state(arg) == OBJECT_BROKEN;
}

/* --- what must be there --- */

static inline void
assert_bytes(const struct cache_object *object, const char *text, size_t len)
{
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(object->fd, bytes, len + 1, 0), len);
    assert_memory_equal(bytes, text, len);
    free(bytes);
}

static inline void
assert_whole(struct asked *asked, const char *text)
{
    wait_over(asked);
    if (asked->flight && asked->view.state == FLIGHT_FAILED)
        fail_msg("failed: %d: %s", asked->view.status, asked->view.reason);
    assert_int_equal(object_state(asked->object), OBJECT_WHOLE);
    assert_int_equal(object_len(asked->object), strlen(text));
    assert_bytes(asked->object, text, strlen(text));
}

/* What comes is the whole of the pattern. */
static inline void
assert_whole_pattern(struct asked *asked, size_t len)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    wait_over(asked);
    if (asked->flight && asked->view.state == FLIGHT_FAILED)
        fail_msg("failed: %d: %s", asked->view.status, asked->view.reason);
    assert_int_equal(object_len(asked->object), len);
    pattern_fill(text, 0, len);
    assert_bytes(asked->object, text, len);
    free(text);
}

static inline void
check_failed(struct asked *asked, int status, const char *reason, const char *file, int line)
{
    if (!rig_runs_until(asked->rig, asked_is_over, asked, RIG_PATIENCE_MS) || !asked->flight ||
        asked->view.state != FLIGHT_FAILED || asked->view.status != status ||
        !strstr(asked->view.reason, reason)) {
        print_error("state %d, %d '%s' instead of %d '%s'\n", asked->view.state, asked->view.status,
                    asked->view.reason, status, reason);
        _fail(file, line);
    }
}

#define assert_failed(asked, status, reason) \
    check_failed((asked), (status), (reason), __FILE__, __LINE__)

static inline uint64_t
rig_used(const struct rig *rig)
{
    struct table_stats stats;
    table_stats(rig->table, &stats);
    return stats.used;
}

struct used {
    const struct rig *rig;
    uint64_t wanted;
};

static inline bool
so_much_is_used(void *arg)
{
    const struct used *used = arg;
    return rig_used(used->rig) == used->wanted;
}

/* Soon: the fetcher may still be at it. */
static inline void
assert_used(struct rig *rig, uint64_t wanted)
{
    struct used used = {rig, wanted};
    if (!rig_runs_until(rig, so_much_is_used, &used, RIG_PATIENCE_MS))
        fail_msg("%llu bytes are charged instead of %llu", (unsigned long long)rig_used(rig),
                 (unsigned long long)wanted);
}

/* A request for what must be there: its content, from the cache. */
static inline void
assert_kept(struct rig *rig, const char *path, const char *text)
{
    struct asked asked;
    ask(&asked, rig, path);
    assert_int_equal(asked.answer, TABLE_HIT);
    assert_whole(&asked, text);
    asked_end(&asked);
}

static inline bool
is_kept(struct rig *rig, const char *path)
{
    struct table_found found;
    char url[256];
    url_of(rig, path, url);
    if (!table_find(rig->table, str_from_cstr(url), &found))
        return false;
    object_unref(found.object);
    return true;
}

/* One resource, downloaded and let go. */
static inline void
fetch(struct rig *rig, const char *path, const char *text)
{
    struct asked asked;
    ask(&asked, rig, path);
    assert_true(asked.is_new);
    assert_whole(&asked, text);
    asked_end(&asked);
}

/* One of the counters, which the fetcher's thread writes. */
#define rig_count(rig, name) \
    __atomic_load_n(&fetcher_counters((rig)->fetcher)->name, __ATOMIC_RELAXED)

/* Soon. */
#define assert_count(rig, name, wanted)                                      \
    do {                                                                     \
        uint64_t give_up_ms_ = now_ms() + RIG_PATIENCE_MS;                   \
        while (rig_count((rig), name) != (wanted) && now_ms() < give_up_ms_) \
            rig_runs_until((rig), never, NULL, 1);                           \
        assert_int_equal(rig_count((rig), name), (wanted));                  \
    } while (0)

/* Requests that the fake has seen since the last look are not looked at again. */
static inline void
fake_forget(struct fake *fake)
{
    buf_clear(&fake->seen);
    fake->request_count = 0;
}

struct requests {
    const struct fake *fake;
    unsigned count;
};

static inline bool
so_many_requests_came(void *arg)
{
    const struct requests *requests = arg;
    return requests->fake->request_count >= requests->count;
}

static inline void
wait_requests(struct rig *rig, unsigned count)
{
    struct requests requests = {&rig->fake, count};
    rig_wait(rig, so_many_requests_came, &requests);
}

/* More of an answer, on the latest connection that is open. */
static inline void
fake_say(struct fake *fake, const char *text, size_t len)
{
    for (unsigned i = fake->conn_count; i-- > 0;) {
        struct fake_conn *conn = &fake->conns[i];
        if (conn->fd < 0)
            continue;
        buf_append(&conn->out, str_make(text, len));
        return;
    }
    fail_msg("nobody to say it to");
}

/* --- the end --- */

static inline int
rig_count_row(void *arg, const struct cache_entry *entry)
{
    (*(uint64_t *)arg)++;
    return 0;
}

#define FILES "find . -mindepth 3 -type f"

/* Breaks off what is under way; then files, account and index must agree. */
static inline void
rig_stop(struct rig *rig)
{
    struct table_stats stats;
    struct error error;
    uint64_t row_count = 0;
    fetcher_stop(rig->fetcher);
    rig->fetcher = NULL;
    table_forget_held(rig->table, INT64_MAX);
    assert_true(index_close(rig->index));
    table_stats(rig->table, &stats);
    assert_int_equal(stats.queued_count + stats.running_count + stats.failed_count, 0);
    assert_int_equal(shell_number(&rig->dir, FILES " -name '*.part' | wc -l"), 0);
    assert_int_equal(shell_number(&rig->dir, FILES " | wc -l"), stats.entry_count);
    assert_int_equal(stats.used, shell_number(&rig->dir, FILES
                                              " -printf '%%s\\n' | awk '{s+=$1} END{print s+0}'"));
    assert_int_equal(index_read_only(rig->index_dir, rig_count_row, &row_count, NULL, &error), 0);
    assert_int_equal(row_count, stats.entry_count);
    store_close(rig->store, true);
    table_free(rig->table);
    rig->table = NULL;
}

static inline int
rig_teardown(void **state)
{
    struct rig *rig = *state;
    if (rig->fetcher)
        rig_stop(rig);
    fake_close(&rig->fake);
    resolver_free(rig->resolver);
    cache_dir_deinit(&rig->dir);
    if (!rig->not_run)
        assert_int_equal(open_fd_count(), rig->fds_before);
    free(rig);
    return 0;
}

#define rig_test(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

/* Answers. */
#define HEAD(status, more) "HTTP/1.1 " status "\r\n" more "\r\n"
#define OK(length, more, body) HEAD("200 OK", "Content-Length: " length "\r\n" more) body
#define REDIRECT(status, to) HEAD(status, "Location: " to "\r\nContent-Length: 0\r\n")
#define EMPTY(status) HEAD(status, "Content-Length: 0\r\n")

#endif
