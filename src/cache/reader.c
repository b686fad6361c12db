#include "base/must.h"
#include "cache/cache_internal.h"
#include "http/disposition.h"
#include "http/precond.h"
#include "http/range.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A reader is one request for a resource. It holds an object as soon as there is one, and is its
 * request's body: pulled like any other, pending while the object grows.
 *
 * A reader that depends on a flight is in the list of its worker's watch of that flight. News of
 * the flight come to the watch, once for all of its readers, which then look for themselves: at the
 * flight, while they wait for an answer; at the object after that.
 */

struct reader {
    struct req *req;
    struct cache_worker *worker;
    struct watched *watched; /* NULL: does not depend on a flight (any more) */
    struct reader *prev, *next;
    uint32_t round; /* of news that it has been told */
    struct cache_object *object;
    uint64_t off, end;   /* what is still to be handed out; end UINT64_MAX: as far as it goes */
    bool waits_for_body; /* a pull found nothing */
    bool is_first;       /* it made the flight */
    bool is_away;        /* its client may have left: no reason to try again, or to go on */
    struct reader_want want;
};

/* One worker's watch of one flight. */
struct watched {
    struct cache_watch watch; /* first */
    struct cache_worker *worker;
    struct cache_flight *flight; /* held */
    struct watched *next;        /* in its bucket */
    struct reader *first, *last;
    uint32_t round;
    bool in_news; /* its list is being gone through: it ends after that */
};

enum {
    PIECE_MAX = 1 << 20,
    SMALL_MAX = 16 << 10, /* read rather than sent from the file: one system call less */
};

/* --- watches --- */

static struct watched **
bucket_of(struct cache_worker *worker, const struct cache_flight *flight)
{
    return &worker->watched[flight->hash >> 32 & (CACHE_WATCH_BUCKETS - 1)];
}

static void
watched_free(struct watched *watched)
{
    flight_unref(watched->flight);
    free(watched);
}

/* Nobody depends on it any more. */
static void
watched_end(struct watched *watched)
{
    struct watched **at = bucket_of(watched->worker, watched->flight);
    while (*at != watched)
        at = &(*at)->next;
    *at = watched->next;
    if (flight_unwatch(watched->flight, &watched->watch)) {
        watched_free(watched);
        return;
    }
    /* A post is on its way, which finds no reader and frees it. */
    watched->next = watched->worker->ended;
    watched->worker->ended = watched;
}

void
reader_worker_deinit(struct cache_worker *worker)
{
    while (worker->ended) {
        struct watched *watched = worker->ended;
        worker->ended = watched->next;
        watched_free(watched);
    }
}

static void
append(struct watched *watched, struct reader *reader)
{
    reader->round = watched->round;
    reader->prev = watched->last;
    reader->next = NULL;
    *(watched->last ? &watched->last->next : &watched->first) = reader;
    watched->last = reader;
}

static void
unlink_reader(struct watched *watched, struct reader *reader)
{
    *(reader->prev ? &reader->prev->next : &watched->first) = reader->next;
    *(reader->next ? &reader->next->prev : &watched->last) = reader->prev;
}

/* The reader does not depend on its flight any more. */
static void
leave(struct reader *reader)
{
    struct watched *watched = reader->watched;
    if (!watched)
        return;
    reader->watched = NULL;
    unlink_reader(watched, reader);
    if (!reader->is_away)
        flight_leave(watched->flight, loop_clock_ns());
    if (!watched->first && !watched->in_news)
        watched_end(watched);
}

static void news_came(struct cache_watch *watch);

/* This worker's watch of a flight. NULL: no memory. */
static struct watched *
watch(struct cache_worker *worker, struct cache_flight *flight)
{
    struct watched **bucket = bucket_of(worker, flight), *watched = *bucket;
    while (watched && watched->flight != flight)
        watched = watched->next;
    if (watched)
        return watched;
    watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->watch.loop = worker->loop;
    watched->watch.news = news_came;
    watched->worker = worker;
    watched->flight = flight_ref(flight);
    watched->next = *bucket;
    *bucket = watched;
    flight_watch(flight, &watched->watch);
    return watched;
}

/* --- the body --- */

/* The whole of a small body, in the request's memory. */
static enum body_result
read_small(struct reader *reader, struct body_piece *piece)
{
    size_t len = (size_t)(reader->end - reader->off), done = 0;
    char *text = arena_alloc_text(&reader->req->arena, len);
    if (!text)
        return BODY_FAILED;
    while (done < len) {
        ssize_t got =
            pread(reader->object->fd, text + done, len - done, (off_t)(reader->off + done));
        if (got == 0 || (got < 0 && errno != EINTR))
            return BODY_FAILED;
        done += got > 0 ? (size_t)got : 0;
    }
    *piece = (struct body_piece){.mem = {text, len}, .len = len};
    reader->off = reader->end;
    cache_count(&reader->worker->counters.upload, len);
    return BODY_PIECE;
}

static enum body_result
reader_pull(struct body *body, struct body_piece *piece)
{
    struct reader *reader = body->arg;
    const struct cache_object *object = reader->object;
    enum object_state state = object_state(object); /* before the lengths */
    uint64_t shown = object_shown_len(object);
    uint64_t until = reader->end < shown ? reader->end : shown;
    if (reader->off < until && reader->end == until && until - reader->off <= SMALL_MAX)
        return read_small(reader, piece);
    if (reader->off < until) {
        uint64_t len = until - reader->off;
        len = len < PIECE_MAX ? len : PIECE_MAX;
        *piece = (struct body_piece){.fd = object->fd, .off = reader->off, .len = len};
        reader->off += len;
        cache_count(&reader->worker->counters.upload, len);
        return BODY_PIECE;
    }
    if (reader->off == reader->end || (state == OBJECT_WHOLE && reader->end == OBJECT_LEN_UNKNOWN))
        return BODY_END;
    if (state != OBJECT_GROWING) /* broken, or shorter than a range that was promised */
        return BODY_FAILED;
    reader->waits_for_body = true;
    return BODY_PENDING;
}

static void
reader_close(struct body *body)
{
    struct reader *reader = body->arg;
    leave(reader);
    object_unref(reader->object);
    reader->object = NULL;
}

/* It is answered if it still reads, but counts as one that waits no longer. */
static void
reader_left(struct body *body)
{
    struct reader *reader = body->arg;
    if (!reader->watched || reader->is_away)
        return;
    reader->is_away = true;
    flight_leave(reader->watched->flight, loop_clock_ns());
}

static const struct body_ops reader_ops = {reader_pull, reader_close, reader_left};

/* --- responses --- */

static void
respond_failed(struct reader *reader, int status, uint32_t retry_after_s, const char *reason)
{
    struct req *req = reader->req;
    struct str extra = STR("");
    if (retry_after_s)
        extra = arena_printf(&req->arena, "Retry-After: %u\r\n", retry_after_s);
    req_respond_text(req, status, arena_printf(&req->arena, "%d: %s", status, reason), extra);
}

/* What the lines that are not the same for everybody say of the source. */
static struct str
source_text(const struct reader *reader, enum flight_source source)
{
    switch (source) {
    case FLIGHT_REVALIDATED:
        return STR("revalidated");
    case FLIGHT_STALE:
        return STR("stale");
    default:
        if (!reader->watched)
            return STR("hit");
        return reader->is_first ? STR("miss") : STR("stream");
    }
}

/* Header lines in the making; longer than any that are put into it. */
struct lines {
    char text[256];
    size_t len;
};

static void
put(struct lines *lines, struct str s)
{
    must(lines->len + s.len <= sizeof lines->text);
    memcpy(lines->text + lines->len, s.ptr, s.len);
    lines->len += s.len;
}

static void
put_number(struct lines *lines, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    put(lines, str_make(at, (size_t)(digits + sizeof digits - at)));
}

/* Adds the lines of a response that are its own. `len`: of the body; OBJECT_LEN_UNKNOWN: nobody
 * knows yet. `range`: of a part, else NULL; `total`: of the whole. */
static void
add_lines(struct reader *reader, enum flight_source source, uint64_t len,
          const struct http_range *range, uint64_t total)
{
    struct req *req = reader->req;
    struct lines lines = {.len = 0};
    int64_t age_s = req->env->now_s - object_created_s(reader->object);
    if (len != OBJECT_LEN_UNKNOWN) {
        put(&lines, STR("Content-Length: "));
        put_number(&lines, len);
        put(&lines, STR("\r\n"));
    }
    if (range) {
        put(&lines, STR("Content-Range: bytes "));
        put_number(&lines, range->off);
        put(&lines, STR("-"));
        put_number(&lines, range->off + range->len - 1);
        put(&lines, STR("/"));
        if (total == OBJECT_LEN_UNKNOWN)
            put(&lines, STR("*"));
        else
            put_number(&lines, total);
        put(&lines, STR("\r\n"));
    }
    put(&lines, STR("Age: "));
    put_number(&lines, age_s > 0 ? (uint64_t)age_s : 0);
    put(&lines, STR("\r\nX-Cache: "));
    put(&lines, source_text(reader, source));
    put(&lines, STR("\r\n"));
    req_add_block(req, arena_copy(&req->arena, str_make(lines.text, lines.len)));
    if (reader->want.name.ptr)
        req_add_block(req, disposition_line(reader->want.name, &req->arena));
}

/* A range of content whose length nobody knows yet: only one with both ends can be promised. */
static bool
closed_range(struct str value, struct http_range *range)
{
    struct http_ranges ranges;
    if (http_range_parse(value, INT64_MAX, &ranges) != HTTP_RANGE_OK || ranges.count != 1)
        return false;
    *range = ranges.list[0];
    return range->off + range->len < INT64_MAX; /* or else it goes to the end, however written */
}

/* Whether the request wants one range, and which; several are answered with the whole. -1: none of
 * it exists. */
static int
wanted_range(const struct reader *reader, const struct http_validators *validators, uint64_t len,
             struct http_range *range)
{
    const struct http_head *head = &reader->req->head;
    struct http_ranges ranges;
    struct str value = http_head_value(head, HTTP_FIELD_RANGE);
    if (!value.ptr || head->method != HTTP_METHOD_GET ||
        !http_precond_range_applies(head, validators, reader->req->env->now_s))
        return 0;
    if (len == OBJECT_LEN_UNKNOWN)
        return closed_range(value, range);
    switch (http_range_parse(value, len, &ranges)) {
    case HTTP_RANGE_OK:
        *range = ranges.list[0];
        return ranges.count == 1;
    case HTTP_RANGE_UNSATISFIABLE:
        return -1;
    default:
        return 0;
    }
}

static void
respond_part(struct reader *reader, enum flight_source source, uint64_t len,
             const struct http_range *range)
{
    struct req *req = reader->req;
    reader->off = range->off;
    reader->end = range->off + range->len;
    req->response.status = 206;
    req->response.body_len = range->len;
    req_add_block(req, reader->object->head);
    add_lines(reader, source, range->len, range, len);
}

static void
respond_whole(struct reader *reader, enum flight_source source, uint64_t len)
{
    struct req *req = reader->req;
    reader->off = 0;
    reader->end = len;
    req->response.status = 200;
    req->response.unknown_len = len == OBJECT_LEN_UNKNOWN;
    req->response.body_len = len == OBJECT_LEN_UNKNOWN ? 0 : len;
    req_add_block(req, reader->object->head);
    add_lines(reader, source, len, NULL, len);
}

/* The object is there: the response, with the reader as its body. */
static void
respond_object(struct reader *reader, enum flight_source source)
{
    struct req *req = reader->req;
    const struct cache_object *object = reader->object;
    struct http_range range;
    const struct http_validators validators = {
        .etag = object->etag,
        .mtime = object->last_modified_s,
        .has_mtime = object->last_modified_s >= 0,
        .exists = true,
    };
    uint64_t len = object_len(object);
    switch (http_precond_check(&req->head, &validators, req->env->now_s)) {
    case HTTP_PRECOND_304:
        req->response.status = 304;
        req_add_block(req, object->head);
        add_lines(reader, source, OBJECT_LEN_UNKNOWN, NULL, len);
        return;
    case HTTP_PRECOND_412:
        req_respond_error(req, 412);
        return;
    case HTTP_PRECOND_NONE:
        break;
    }
    switch (wanted_range(reader, &validators, len, &range)) {
    case 1:
        respond_part(reader, source, len, &range);
        return;
    case -1:
        req_respond_text(
            req, 416, STR("416 Range Not Satisfiable"),
            arena_printf(&req->arena, "Content-Range: bytes */%llu\r\n", (unsigned long long)len));
        return;
    default:
        respond_whole(reader, source, len);
    }
}

/* --- news --- */

/* Answers the request, if the flight has come so far. */
static void
look(struct reader *reader, const struct flight_view *view)
{
    struct req *req = reader->req;
    if (view->state == FLIGHT_FAILED) {
        req->waits = false;
        respond_failed(reader, view->status, view->retry_after_s, view->reason);
        return;
    }
    /* After what broke comes another answer, or a failure, and news of it. */
    if (view->state != FLIGHT_ANSWERED || object_state(view->object) == OBJECT_BROKEN)
        return;
    /* Who asks for a digest gets nothing that was not checked. */
    if (reader->want.has_sha256 && object_state(view->object) != OBJECT_WHOLE)
        return;
    req->waits = false;
    if (reader->want.has_sha256 &&
        memcmp(view->object->sha256, reader->want.sha256, CACHE_SHA256_LEN) != 0) {
        respond_failed(reader, 502, 0, "the digest is not the right one");
        return;
    }
    reader->object = object_ref(view->object);
    respond_object(reader, (enum flight_source)view->source);
}

/* Something has changed: the request is woken if that is of interest to it. It may be gone then. */
static void
tell(struct reader *reader, const struct flight_view *view)
{
    struct req *req = reader->req;
    if (req->waits) {
        look(reader, view);
        if (!req->waits)
            req_wake(req);
        return;
    }
    if (!reader->waits_for_body || (object_state(reader->object) == OBJECT_GROWING &&
                                    object_shown_len(reader->object) <= reader->off))
        return;
    reader->waits_for_body = false;
    req_wake(req);
}

/* Each reader goes to the end of the list before it is told, so that all are told once although any
 * of them may leave, or come, in the meantime. */
static void
news_came(struct cache_watch *cache_watch)
{
    struct watched *watched = (struct watched *)cache_watch;
    struct flight_view view;
    if (!watched->first) { /* ended while this was on its way */
        struct watched **at = &watched->worker->ended;
        while (*at != watched)
            at = &(*at)->next;
        *at = watched->next;
        watched_free(watched);
        return;
    }
    flight_heard(watched->flight, cache_watch);
    flight_look(watched->flight, &view);
    watched->in_news = true;
    watched->round++;
    while (watched->first && watched->first->round != watched->round) {
        struct reader *reader = watched->first;
        unlink_reader(watched, reader);
        append(watched, reader);
        tell(reader, &view);
    }
    watched->in_news = false;
    object_unref(view.object);
    if (!watched->first)
        watched_end(watched);
}

/* --- asking --- */

/* Opens the file of an entry, so that it can be asked for again. */
static void
open_entry(struct cache *cache, const struct table_found *found)
{
    const struct cache_entry *entry = &found->entry;
    int fd = store_open_file(cache->store, entry->url, entry->id, entry->len);
    if (fd < 0) { /* what cannot be had is forgotten */
        fetcher_drop(cache->fetcher, table_pick_url(cache->table, entry->url, entry->id));
        return;
    }
    struct cache_object *object = object_new(cache->table, fd, entry);
    if (!object)
        return;
    object_finish(object, entry->len, entry->sha256);
    table_opened(cache->table, entry->url, object);
    object_unref(object);
}

static enum table_answer
ask(struct cache *cache, const struct table_want *want, struct table_found *found)
{
    enum table_answer answer = TABLE_BUSY;
    /* Twice: opened; a third time: opened by one, dropped by another. */
    for (unsigned tries = 0; tries < 3; tries++) {
        answer = table_ask(cache->table, want, found);
        if (answer != TABLE_CLOSED)
            return answer;
        open_entry(cache, found);
    }
    return TABLE_BUSY;
}

/* Depends on the flight from now on; answers at once if it can. */
static void
answer_from_flight(struct reader *reader, struct cache_flight *flight)
{
    struct req *req = reader->req;
    struct watched *watched = watch(reader->worker, flight);
    struct flight_view view;
    if (!watched) {
        respond_failed(reader, 503, 0, "no memory");
        return;
    }
    append(watched, reader);
    reader->watched = watched;
    flight_join(flight);
    if (!req_wait(req, &reader_ops, reader)) {
        leave(reader);
        return;
    }
    flight_look(flight, &view);
    look(reader, &view);
    object_unref(view.object);
}

void
reader_answer(struct req *req, struct cache_worker *worker, const struct reader_want *wanted)
{
    struct cache *cache = worker->cache;
    struct reader *reader = arena_alloc(&req->arena, sizeof *reader);
    struct table_found found;
    if (!reader)
        return; /* the pipeline sees that */
    reader->req = req;
    reader->worker = worker;
    reader->want = *wanted;
    const struct table_want want = {
        .url = wanted->url,
        .now_s = req->env->now_s,
        .ttl_s = wanted->ttl_s,
        .sha256 = wanted->has_sha256 ? reader->want.sha256 : NULL,
    };
    cache_count(&worker->counters.requests, 1);
    switch (ask(cache, &want, &found)) {
    case TABLE_HIT:
        cache_count(&worker->counters.hits, 1);
        reader->object = found.object;
        req->body.ops = &reader_ops;
        req->body.arg = reader;
        respond_object(reader, FLIGHT_FETCHED);
        return;
    case TABLE_FLIGHT:
        reader->is_first = found.is_new;
        answer_from_flight(reader, found.flight);
        if (found.is_new)
            fetcher_take(cache->fetcher, found.flight);
        flight_unref(found.flight);
        return;
    default:
        respond_failed(reader, 503, 1, "too many downloads");
    }
}
