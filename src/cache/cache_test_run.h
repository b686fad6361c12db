/* cache_test_run: for the tests of what a worker does: a cache in a directory of its own whose
 * fetcher lets everything wait in line, so that the test says what becomes of each flight; and
 * requests without connections.
 *
 * All of it runs on the test's thread, which owns the worker's loop.
 */
#ifndef TARN_CACHE_CACHE_TEST_RUN_H
#define TARN_CACHE_CACHE_TEST_RUN_H

#include "base/buf.h"
#include "cache/cache_dir_test_run.h"
#include "cache/cache_internal.h"
#include "http/h1_head.h"
#include "io/loop_test_run.h"
#include "io/resolver.h"
#include "tls/digest.h"

#include <time.h>

enum { CALL_HEAD_MAX = 65536, CALL_FIELDS_MAX = 32, CALL_BODY_MAX = 32 << 20, CALL_TTL_S = 1000 };

struct stage {
    struct world *world;
    struct cache_dir dir;
    struct cache *cache;
    struct cache_worker *worker;
    struct cache_config config;
    struct cidr_list allow, trusted, upstream;
    struct resolver *resolver;
    uint64_t next_id;
    /* of requests without connections */
    struct req_env env;
    struct site_pin pin;
    uint64_t generation;
    int health;
};

/* `config` may be changed before the stage is opened. */
static inline void
stage_init(struct stage *stage)
{
    struct error error;
    memset(stage, 0, sizeof *stage);
    cache_dir_init_in(&stage->dir, "/dev/shm");
    assert_int_equal(resolver_new(&stage->resolver, NULL, &error), 0);
    stage->config = (struct cache_config){
        .dir = stage->dir.path,
        .clean_percent = 75,
        .default_ttl_s = CALL_TTL_S,
        .max_ttl_s = 100000,
        .negative_ttl_s = 60,
        .max_downloads = 0,
        .allow_networks = &stage->allow,
        .trusted_proxies = &stage->trusted,
        .upstream_allow = &stage->upstream,
        .instance = "test",
        .version = "1",
        .user_agent = "tarn/test",
        .resolver = stage->resolver,
    };
    stage->next_id = 1000;
    stage->env = (struct req_env){
        .pin = &stage->pin,
        .generation = &stage->generation,
        .health = &stage->health,
        .now_s = time(NULL),
    };
}

static inline void
stage_open(struct stage *stage, struct world *world)
{
    struct error error;
    stage->world = world;
    if (cache_open(&stage->cache, &stage->config, &error) != 0)
        fail_msg("%s", error.text);
    stage->worker = cache_worker_new(stage->cache, world->loop);
    assert_non_null(stage->worker);
    stage->env.action = (struct req_action){cache_answer, stage->worker};
}

static inline uint64_t
stage_used(const struct stage *stage)
{
    struct table_stats stats;
    table_stats(stage->cache->table, &stats);
    return stats.used;
}

/* After the last request has ended: nobody watches any more, and what is charged is on the disk. */
static inline void
stage_close(struct stage *stage)
{
    for (unsigned i = 0; i < CACHE_WATCH_BUCKETS; i++)
        assert_null(stage->worker->watched[i]);
    assert_int_equal(stage_used(stage),
                     shell_number(&stage->dir, "find . -mindepth 3 -type f -printf "
                                               "'%%s\\n' | awk '{s+=$1} END{print s+0}'"));
    cache_worker_free(stage->worker);
    cache_close(stage->cache);
    resolver_free(stage->resolver);
    assert_int_equal(stage->pin.use_count, 0);
    cache_dir_deinit(&stage->dir);
}

/* --- what becomes of flights --- */

struct growing {
    struct stage *stage;
    struct cache_flight *flight; /* held */
    struct cache_object *object; /* held; NULL: over */
    struct cache_entry entry;
    uint64_t len, charged_len;
};

struct search {
    const char *url;
    struct cache_flight *found;
};

static inline bool
is_searched(void *arg, const struct cache_flight *flight)
{
    struct search *search = arg;
    if (!str_eq(flight_url(flight), str_from_cstr(search->url)))
        return true;
    search->found = flight_ref((struct cache_flight *)flight);
    return false;
}

/* The flight of a URL; held. NULL: there is none. */
static inline struct cache_flight *
stage_flight(struct stage *stage, const char *url)
{
    struct search search = {.url = url};
    table_each_flight(stage->cache->table, is_searched, &search);
    return search.found;
}

/* Takes what a request has asked for. */
static inline void
take_off(struct growing *growing, struct stage *stage, const char *url)
{
    *growing = (struct growing){.stage = stage, .flight = stage_flight(stage, url)};
    if (!growing->flight)
        fail_msg("nobody asks for %s", url);
}

/* Upstream has answered. `len` may be OBJECT_LEN_UNKNOWN; `etag` NULL: none. */
static inline void
grow(struct growing *growing, uint64_t len, const char *etag)
{
    struct cache *cache = growing->stage->cache;
    growing->entry = (struct cache_entry){
        .id = growing->stage->next_id++,
        .url = flight_url(growing->flight),
        .content_type = STR("text/x-test"),
        .etag = str_from_cstr(etag ? etag : ""),
        .len = len,
        .last_modified_s = 784111777,
        .created_s = growing->stage->env.now_s,
        .last_used_s = growing->stage->env.now_s,
        .use_count = 1,
    };
    growing->len = 0;
    growing->charged_len = len == OBJECT_LEN_UNKNOWN ? 0 : len;
    assert_true(table_charge(cache->table, growing->charged_len));
    int fd = store_create_part(cache->store, growing->entry.url, growing->entry.id, len);
    assert_true(fd >= 0);
    growing->object = object_new(cache->table, fd, &growing->entry);
    assert_non_null(growing->object);
    flight_set_answered(growing->flight, FLIGHT_FETCHED, growing->object);
}

static inline void
grow_add(struct growing *growing, const char *bytes, size_t len)
{
    struct cache_table *table = growing->stage->cache->table;
    if (growing->len + len > growing->charged_len) {
        assert_true(table_charge(table, growing->len + len - growing->charged_len));
        growing->charged_len = growing->len + len;
    }
    assert_int_equal(pwrite(growing->object->fd, bytes, len, (off_t)growing->len), len);
    growing->len += len;
    object_show(growing->object, growing->len);
    flight_tell(growing->flight);
}

static inline void
grow_text(struct growing *growing, const char *text)
{
    grow_add(growing, text, strlen(text));
}

/* All is there and right: an entry. */
static inline void
grow_finish(struct growing *growing)
{
    struct cache *cache = growing->stage->cache;
    struct table_victim *replaced;
    char *bytes = malloc(growing->len + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(growing->object->fd, bytes, growing->len + 1, 0), growing->len);
    digest_of(DIGEST_SHA256, str_make(bytes, growing->len), growing->entry.sha256);
    free(bytes);
    assert_int_equal(store_finish_part(cache->store, growing->entry.url, growing->entry.id), 0);
    growing->entry.len = growing->len;
    object_finish(growing->object, growing->len, growing->entry.sha256);
    assert_int_equal(
        table_land(cache->table, growing->flight, &growing->entry, growing->object, &replaced), 0);
    index_put(cache->index, &growing->entry);
    fetcher_drop(cache->fetcher, replaced);
    flight_tell(growing->flight);
    object_unref(growing->object);
    growing->object = NULL;
    flight_unref(growing->flight);
    growing->flight = NULL;
}

/* It broke, and another attempt is made, or not. */
static inline void
grow_break(struct growing *growing)
{
    struct cache *cache = growing->stage->cache;
    object_break(growing->object);
    flight_set_over(growing->flight);
    store_remove_part(cache->store, growing->entry.url, growing->entry.id);
    table_unlinked(cache->table, growing->object, growing->charged_len);
    growing->object = NULL;
}

/* `hold_s`: how long that is remembered; 0: not at all. */
static inline void
crash(struct growing *growing, int status, uint32_t retry_after_s, const char *reason,
      int64_t hold_s)
{
    flight_set_failed(growing->flight, status, retry_after_s, reason);
    table_hold(growing->stage->cache->table, growing->flight,
               hold_s ? growing->stage->env.now_s + hold_s : 0);
    flight_unref(growing->flight);
    growing->flight = NULL;
}

/* --- requests without connections --- */

struct call {
    struct req req; /* first */
    struct stage *stage;
    struct http_field fields[CALL_FIELDS_MAX];
    struct h1_head_decoder decoder;
    char *head;
    struct buf body;         /* what was pulled */
    enum body_result result; /* of the last pull */
    unsigned wake_count;
    void (*on_wake)(struct call *call); /* NULL: nothing */
    bool open;
};

static inline void
call_woken(struct req *req)
{
    struct call *call = (struct call *)req;
    call->wake_count++;
    if (call->on_wake)
        call->on_wake(call);
}

static inline void
call_init(struct call *call, struct stage *stage)
{
    memset(call, 0, sizeof *call);
    call->stage = stage;
    call->result = BODY_PENDING;
    req_init(&call->req, &stage->env, call->fields, CALL_FIELDS_MAX);
    call->req.woken = call_woken;
    call->req.fd = -1;
    buf_init(&call->body, CALL_BODY_MAX);
    call->open = true;
}

/* The client has its answer, or has left. */
static inline void
call_end(struct call *call)
{
    if (!call->open)
        return;
    call->open = false;
    req_end(&call->req);
    req_deinit(&call->req);
    buf_deinit(&call->body);
    free(call->head);
}

/* Asks; `text` is a request line and header lines, without the empty one. */
static inline void
call_say(struct call *call, const char *text)
{
    size_t len = strlen(text) + 2;
    call->head = malloc(len + 1);
    assert_non_null(call->head);
    snprintf(call->head, len + 1, "%s\r\n", text);
    h1_head_decoder_init(&call->decoder, &call->req.head, CALL_HEAD_MAX);
    if (h1_head_decode(&call->decoder, call->head, len) != H1_DONE)
        fail_msg("not a request: %s", call->head);
    req_run(&call->req);
}

/* GET for the resource behind a URL, with more header lines. */
static inline void
call_get(struct call *call, struct stage *stage, const char *url, const char *lines)
{
    char text[2048];
    call_init(call, stage);
    int len = snprintf(text, sizeof text, "GET /api/v1/fetch?url=%s HTTP/1.1\r\nHost: a\r\n%s", url,
                       lines);
    assert_true(len > 0 && (size_t)len < sizeof text);
    call_say(call, text);
}

/* Takes what there is of the body, as a session would. */
static inline enum body_result
call_pull(struct call *call)
{
    struct body_piece piece;
    assert_false(call->req.waits);
    while ((call->result = body_pull(&call->req.body, &piece)) == BODY_PIECE) {
        char *room = buf_reserve(&call->body, piece.len);
        assert_non_null(room);
        if (piece.mem.ptr)
            memcpy(room, piece.mem.ptr, piece.len);
        else
            assert_int_equal(pread(piece.fd, room, piece.len, (off_t)piece.off), piece.len);
        buf_commit(&call->body, piece.len);
    }
    return call->result;
}

/* The value of a line of the response; an empty str with a NULL pointer: there is none. More than
 * one is a mistake. */
static inline struct str
call_header(const struct call *call, const char *name)
{
    struct str found = {0};
    size_t name_len = strlen(name);
    for (unsigned i = 0; i < call->req.response.block_count; i++) {
        struct str rest = call->req.response.blocks[i];
        while (rest.len) {
            struct str line = str_first(rest, str_find(rest, STR("\r\n")));
            rest = str_skip(rest, line.len + 2);
            if (line.len <= name_len || line.ptr[name_len] != ':' ||
                !str_ieq(str_first(line, name_len), str_from_cstr(name)))
                continue;
            if (found.ptr)
                fail_msg("%s stands twice", name);
            found = str_trim(str_skip(line, name_len + 1));
        }
    }
    return found;
}

static inline void
check_line(const struct call *call, const char *name, const char *wanted, const char *file,
           int line)
{
    struct str got = call_header(call, name);
    if (wanted ? !str_eq(got, str_from_cstr(wanted)) : got.ptr != NULL) {
        print_error("%s is '%.*s', not '%s'\n", name, STR_ARG(got), wanted ? wanted : "absent");
        _fail(file, line);
    }
}

#define assert_line(call, name, wanted) check_line((call), (name), (wanted), __FILE__, __LINE__)

#define assert_status(call, wanted)                              \
    do {                                                         \
        assert_false((call)->req.waits);                         \
        assert_int_equal((call)->req.response.status, (wanted)); \
    } while (0)

/* A resource that is there, with no request. `etag` NULL: none. */
static inline void
put_whole(struct stage *stage, const char *url, const char *etag, const char *text)
{
    struct call call;
    struct growing growing;
    call_get(&call, stage, url, "");
    assert_true(call.req.waits);
    take_off(&growing, stage, url);
    struct cache_flight *flight = flight_ref(growing.flight);
    grow(&growing, strlen(text), etag);
    grow_text(&growing, text);
    grow_finish(&growing);
    call_end(&call);
    run_for(stage->world, 0);
    flight_set_over(flight); /* it waits in line for ever: the object must not wait with it */
    flight_unref(flight);
}

/* What has come of the body up to now, and how the last pull ended. */
static inline void
check_came(struct call *call, enum body_result result, const char *text, const char *file, int line)
{
    enum body_result got = call_pull(call);
    if (got != result || !str_eq(buf_str(&call->body), str_from_cstr(text))) {
        print_error("%d '%.*s' instead of %d '%s'\n", got, STR_ARG(buf_str(&call->body)), result,
                    text);
        _fail(file, line);
    }
}

#define assert_came(call, result, text) check_came((call), (result), (text), __FILE__, __LINE__)

#endif
