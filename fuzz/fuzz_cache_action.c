/* Fuzzes requests to the fetch cache. Input: one byte of mode, the rest of a request line up to a
 * newline, then header lines as they are.
 *
 * Mode, by bits: 1, 2 the method; 4 the resource that is waited for fails, or else it grows;
 * 8 without a length; 16 to its end, or else it breaks; 32 the client leaves before that.
 *
 * Checked: the response is well-formed, and the same when it is asked for again; what comes of the
 * content is the range that the response names, and the whole of it when it ends well; nothing is
 * left: no watch, no byte of the account.
 */
#include "base/log.h"
#include "base/must.h"
#include "cache/cache_internal.h"
#include "http/h1_head.h"
#include "http/range.h"
#include "http/url.h"
#include "io/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INPUT_MAX = 4096, FIELDS_MAX = 32, CONTENT_LEN = 100, SHOWN_LEN = 40, FLIGHTS_MAX = 5000 };
enum { SETTLE_MS = 5000 };
enum { MODE_FAILS = 4, MODE_UNKNOWN = 8, MODE_ENDS = 16, MODE_LEAVES = 32 };

#define KEPT "http://h/kept"

static char dir[] = "/tmp/tarn-fuzz-XXXXXX";
static char content[CONTENT_LEN];
static struct cache *cache;
static struct cache_worker *worker;
static struct loop *loop;
static struct timer soon;
static struct site_pin pin;
static uint64_t generation, next_id = 1000;
static unsigned flight_count;
static int health;
static struct req_env env = {
    .pin = &pin, .generation = &generation, .health = &health, .now_s = 1700000000};

/* --- the cache --- */

static void
clean_up(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command) != 0)
        perror(command);
}

static struct cidr_list nobody;
static struct cache_config config = {
    .dir = dir,
    .default_ttl_s = 1000,
    .max_ttl_s = 100000,
    .allow_networks = &nobody,
    .trusted_proxies = &nobody,
    .upstream_allow = &nobody,
    .purge_token = "t",
    .instance = "fuzz",
    .version = "1",
    .user_agent = "tarn",
};

static void
open_cache(void)
{
    struct error error;
    must(cache_open(&cache, &config, &error) == 0);
    must((worker = cache_worker_new(cache, loop)));
    env.action = (struct req_action){cache_answer, worker};
}

static void
close_cache(void)
{
    cache_worker_free(worker);
    cache_close(cache);
}

static void
set_up(void)
{
    struct error error;
    must(mkdtemp(dir));
    atexit(clean_up);
    log_set_level(LOG_ERROR);
    must(resolver_new(&config.resolver, NULL, &error) == 0);
    must(loop_new(&loop, LOOP_EPOLL, &error) == 0);
    for (unsigned i = 0; i < CONTENT_LEN; i++)
        content[i] = (char)('a' + i % 23);
    open_cache();
}

static void
stop_soon(struct timer *timer)
{
    loop_stop(loop);
}

/* Lets posts come. */
static void
turn(void)
{
    static const struct loop_hooks hooks;
    timer_init(&soon, stop_soon);
    timer_set(loop_timers(loop), &soon, loop_now_ns(loop) + 1);
    loop_run(loop, &hooks);
}

static struct cache_object *
make_object(struct str url, uint64_t len, struct cache_entry *entry)
{
    *entry = (struct cache_entry){
        .id = ++next_id,
        .url = url,
        .etag = STR("\"v1\""),
        .len = len,
        .last_modified_s = 784111777,
        .created_s = env.now_s,
        .last_used_s = env.now_s,
    };
    int fd = memfd_create("content", MFD_CLOEXEC);
    must(fd >= 0 && pwrite(fd, content, CONTENT_LEN, 0) == CONTENT_LEN);
    struct cache_object *object = object_new(cache->table, fd, entry);
    must(object);
    return object;
}

/* The one resource that is always there, unless it was just purged. */
static void
keep(void)
{
    const struct table_want want = {.url = STR(KEPT), .now_s = env.now_s, .ttl_s = 1000};
    struct table_found found;
    struct table_victim *replaced;
    struct cache_entry entry;
    enum table_answer answer = table_ask(cache->table, &want, &found);
    object_unref(found.object);
    if (answer == TABLE_HIT)
        return;
    must(answer == TABLE_FLIGHT && table_charge(cache->table, CONTENT_LEN));
    struct cache_object *object = make_object(want.url, CONTENT_LEN, &entry);
    object_finish(object, CONTENT_LEN, entry.sha256);
    must(table_land(cache->table, found.flight, &entry, object, &replaced) == 0 && !replaced);
    object_unref(object);
    flight_unref(found.flight);
}

/* --- what becomes of a flight --- */

static bool
take_first(void *arg, const struct cache_flight *flight)
{
    *(struct cache_flight **)arg = flight_ref((struct cache_flight *)flight);
    return false;
}

static void
break_object(struct cache_flight *flight, struct cache_object *object)
{
    object_break(object);
    flight_set_over(flight);
    table_unlinked(cache->table, object, CONTENT_LEN);
}

/* --- one request --- */

static struct run {
    struct req req;
    struct http_field fields[FIELDS_MAX];
    struct h1_head_decoder decoder;
    char head[INPUT_MAX + 128], body[CACHE_PAGE_MAX];
    size_t body_len;
    bool woken;
} run;

static void
woken(struct req *req)
{
    run.woken = true;
}

static enum body_result
pull(void)
{
    struct body_piece piece;
    enum body_result result;
    while ((result = body_pull(&run.req.body, &piece)) == BODY_PIECE) {
        must(piece.len <= sizeof run.body - run.body_len);
        if (piece.mem.ptr)
            memcpy(run.body + run.body_len, piece.mem.ptr, piece.len);
        else
            must(pread(piece.fd, run.body + run.body_len, piece.len, (off_t)piece.off) ==
                 (ssize_t)piece.len);
        run.body_len += piece.len;
    }
    return result;
}

static struct str
header(const char *name)
{
    struct str found = {0};
    size_t name_len = strlen(name);
    for (unsigned i = 0; i < run.req.response.block_count; i++)
        for (struct str line, rest = run.req.response.blocks[i]; rest.len;) {
            line = str_first(rest, str_find(rest, STR("\r\n")));
            must(line.len > 0 && line.len < rest.len);
            must(str_find_char(line, '\n') == line.len && str_find_char(line, '\r') == line.len);
            must(str_find_char(line, ':') < line.len);
            rest = str_skip(rest, line.len + 2);
            if (!str_starts_with(line, str_from_cstr(name)) || line.ptr[name_len] != ':')
                continue;
            must(!found.ptr);
            found = str_trim(str_skip(line, name_len + 1));
        }
    return found;
}

/* What has come, when it is of the resource, is what the head has said. */
static void
check_response(enum body_result result)
{
    const struct response *response = &run.req.response;
    struct str length = header("Content-Length"), range = header("Content-Range");
    struct http_content_range part;
    uint64_t len = 0, off = 0;
    must(response->status >= 200 && response->status < 600);
    must(!length.ptr || str_to_u64(length, &len));
    must(!length.ptr || len == response->body_len);
    if (response->status == 206) {
        must(http_content_range_parse(range, &part) && part.has_range && part.range.len == len);
        off = part.range.off;
    }
    if (header("X-Cache").ptr && (response->status == 200 || response->status == 206))
        must(off + run.body_len <= CONTENT_LEN &&
             memcmp(run.body, content + off, run.body_len) == 0);
    if (result == BODY_END && length.ptr && response->status != 304)
        must(run.body_len == len);
}

static void
go_on(unsigned mode, struct cache_flight *flight)
{
    uint64_t len = mode & MODE_UNKNOWN ? OBJECT_LEN_UNKNOWN : CONTENT_LEN;
    struct table_victim *replaced;
    struct cache_entry entry;
    if (mode & MODE_FAILS) {
        flight_set_failed(flight, 502, mode & MODE_ENDS, "it failed");
        turn();
        must(!run.req.waits && run.woken);
        check_response(pull());
        return;
    }
    must(table_charge(cache->table, CONTENT_LEN));
    struct cache_object *object = make_object(flight_url(flight), len, &entry);
    flight_set_answered(flight, FLIGHT_FETCHED, object);
    object_show(object, SHOWN_LEN);
    flight_tell(flight);
    turn();
    enum body_result result = run.req.waits ? BODY_PENDING : pull(); /* for a digest: it waits on */
    if (!run.req.waits)
        check_response(result);
    if (!(mode & MODE_ENDS)) {
        break_object(flight, object);
        turn();
        must(run.req.waits || pull() != BODY_PENDING);
        return;
    }
    object_show(object, CONTENT_LEN);
    entry.len = CONTENT_LEN;
    object_finish(object, CONTENT_LEN, entry.sha256);
    must(table_land(cache->table, flight, &entry, object, &replaced) == 0);
    fetcher_drop(cache->fetcher, replaced);
    object_unref(object);
    flight_tell(flight);
    turn();
    must(!run.req.waits && run.woken);
    check_response(pull());
    fetcher_drop(cache->fetcher, table_pick_url(cache->table, entry.url, 0));
}

static void
ask(unsigned mode, struct str input)
{
    static const char *const methods[] = {"GET", "HEAD", "DELETE", "GET"};
    struct cache_flight *flight = NULL;
    struct str target = str_first(input, str_find_char(input, '\n'));
    struct str lines = str_skip(input, target.len + 1);
    int len = snprintf(run.head, sizeof run.head, "%s %.*s HTTP/1.1\r\nHost: a\r\n%.*s\r\n",
                       methods[mode & 3], STR_ARG(target), STR_ARG(lines));
    run.body_len = 0;
    run.woken = false;
    http_head_init(&run.req.head, run.fields, FIELDS_MAX);
    h1_head_decoder_init(&run.decoder, &run.req.head, sizeof run.head);
    if (h1_head_decode(&run.decoder, run.head, (size_t)len) != H1_DONE)
        return;
    req_run(&run.req);
    table_each_flight(cache->table, take_first, &flight);
    if (!run.req.waits) {
        must(!flight);
        check_response(pull());
    } else if (flight) {
        struct url url;
        must(url_parse(flight_url(flight), &url));
        if (!(mode & MODE_LEAVES))
            go_on(mode, flight);
    }
    req_end(&run.req);
    if (flight && flight->in_table)
        table_hold(cache->table, flight, 0);
    if (flight) {
        flight_set_over(flight); /* the line in which it waits for ever holds it */
        flight_count++;
    }
    flight_unref(flight);
    turn();
}

/* The fetcher's thread removes what was purged. */
static bool
settles(void)
{
    struct table_stats stats;
    for (unsigned i = 0; i < SETTLE_MS; i++) {
        table_stats(cache->table, &stats);
        must(stats.queued_count + stats.running_count + stats.failed_count == 0);
        if (stats.used == stats.entry_count * CONTENT_LEN)
            return stats.entry_count <= 1;
        usleep(1000);
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    if (!cache) {
        set_up();
        req_init(&run.req, &env, run.fields, FIELDS_MAX);
        run.req.woken = woken;
        run.req.fd = -1;
    }
    if (flight_count > FLIGHTS_MAX) { /* in the line */
        close_cache();
        open_cache();
        flight_count = 0;
    }
    for (unsigned i = 0; i < 2; i++) { /* the second time as what was remembered of the query */
        keep();
        ask(data[0], str_make((const char *)data + 1, size - 1));
        must(settles() && !worker->ended);
        for (unsigned bucket = 0; bucket < CACHE_WATCH_BUCKETS; bucket++)
            must(!worker->watched[bucket]);
    }
    return 0;
}
