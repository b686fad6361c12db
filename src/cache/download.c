#include "cache/fetcher_internal.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/must.h"
#include "cache/part.h"
#include "http/date.h"
#include "http/range.h"
#include "http/retry_after.h"
#include "http/status.h"
#include "proxy/exchange.h"

#include <stdio.h>
#include <stdlib.h>

/* A download is a sequence of attempts, each one exchange. An attempt begins the content, goes on
 * with it where the one before broke off, or finds that there is nothing new; a redirect leads to
 * another.
 *
 *     attempt -> head: redirect           -> attempt
 *                head: 304                -> renewed
 *                head: 200, 206 -> bytes  -> finished
 *                                  broken -> attempt, after a pause
 *                head: maybe later        -> attempt, after a pause
 *                head: anything else      -> failed
 *                none                     -> attempt, after a pause; or failed
 *
 * Attempts are made for `retry_ns`, counted from the start and again from each progress, and only
 * while somebody waits.
 */

struct download {
    struct fetcher *fetcher;
    struct cache_flight *flight;
    struct download *prev, *next;
    struct exchange *exchange;
    struct timer retry;
    struct arena arena; /* of URLs */
    struct url url;     /* to be asked now */
    struct part part;
    uint64_t give_up_ns; /* no attempt begins after this */
    unsigned backoff_ms;
    unsigned redirect_count;
    unsigned retry_after_s; /* what upstream said last */
    bool is_conditional;    /* asked whether `known` is still right */
    bool resumes;           /* asked for the rest of the content */
    bool answered;          /* its content is coming */
    bool has_known;
    struct table_found known; /* the entry that is there */
};

enum { ARENA_MAX = (CACHE_REDIRECTS_MAX + 4) * 4 * URL_MAX, ARENA_BLOCK = 4096 };

static void attempt(struct download *download);
static void fail(struct download *download, int status, int64_t hold_s, const char *reason);

struct cache_flight *
download_flight(const struct download *download)
{
    return download->flight;
}

struct download **
download_next(struct download *download)
{
    return &download->next;
}

struct download **
download_prev(struct download *download)
{
    return &download->prev;
}

static void
retry_came(struct timer *timer)
{
    struct download *download =
        (struct download *)((char *)timer - offsetof(struct download, retry));
    uint64_t left_ns;
    if (flight_waiters(download->flight, &left_ns) == 0)
        fail(download, 503, 0, "nobody waits for it any more");
    else
        attempt(download);
}

struct download *
download_new(struct fetcher *fetcher, struct cache_flight *flight)
{
    struct download *download = calloc(1, sizeof *download);
    if (!download)
        return NULL;
    download->fetcher = fetcher;
    download->flight = flight;
    timer_init(&download->retry, retry_came);
    arena_init(&download->arena, ARENA_MAX, ARENA_BLOCK);
    part_init(&download->part, fetcher, flight);
    return download;
}

/* Takes it out of the list of those that run, and frees it. */
static void
leave(struct download *download)
{
    struct fetcher *fetcher = download->fetcher;
    bool is_running = download->prev || fetcher->running == download;
    must(!download->exchange && !part_has_begun(&download->part));
    if (is_running) {
        *(download->prev ? &download->prev->next : &fetcher->running) = download->next;
        if (download->next)
            download->next->prev = download->prev;
        fetcher->running_count--;
    }
    timer_clear(loop_timers(fetcher->loop), &download->retry);
    if (download->has_known)
        object_unref(download->known.object);
    arena_deinit(&download->arena);
    flight_unref(download->flight);
    free(download);
    if (is_running)
        fetcher_went_on(fetcher);
}

/* --- ends --- */

/* What the table has of the resource now. */
static void
find_known(struct download *download)
{
    if (download->has_known)
        object_unref(download->known.object);
    download->has_known =
        table_find(download->fetcher->config.table, flight_url(download->flight), &download->known);
}

/* An object of the entry that is there: the one that the table keeps, since readers of another
 * would not keep the entry from being evicted. The entry may have been opened, or purged, since the
 * download began. NULL: it has gone, or its file cannot be had. */
static struct cache_object *
known_object(struct download *download)
{
    const struct fetcher_config *config = &download->fetcher->config;
    const struct table_found *known = &download->known;
    struct str url = flight_url(download->flight);
    find_known(download);
    if (!download->has_known)
        return NULL;
    if (known->object)
        return object_ref(known->object);
    int fd = store_open_file(config->store, url, known->entry.id, known->entry.len);
    struct cache_object *object = fd < 0 ? NULL : object_new(config->table, fd, &known->entry);
    if (!object)
        return NULL;
    object_finish(object, known->entry.len, known->entry.sha256);
    table_opened(config->table, url, object);
    find_known(download); /* unless somebody was faster */
    object_unref(object);
    return download->has_known && known->object ? object_ref(known->object) : NULL;
}

/* An entry that is not too old stands in for a failure, but not for a refusal: upstream knows what
 * it does not want to give any more. */
static bool
answer_stale(struct download *download, int status)
{
    const struct fetcher_config *config = &download->fetcher->config;
    const struct cache_entry *entry = &download->known.entry;
    int64_t now_s = fetcher_now_s();
    if (status < 500 || !download->has_known || download->flight->wants_sha256 ||
        config->stale_if_error_s == 0 ||
        now_s - entry->created_s > (int64_t)entry->ttl_s + config->stale_if_error_s)
        return false;
    struct cache_object *object = known_object(download);
    if (!object)
        return false;
    /* before anybody hears of it, and may want it purged */
    table_hold(config->table, download->flight, now_s + CACHE_FAILURE_HOLD_S);
    flight_set_answered(download->flight, FLIGHT_STALE, object);
    object_unref(object);
    return true;
}

/* It came to nothing. `hold_s`: how long that is remembered. Frees the download. */
static void
fail(struct download *download, int status, int64_t hold_s, const char *reason)
{
    struct fetcher *fetcher = download->fetcher;
    struct cache_flight *flight = download->flight;
    log_info("cache: %.*s: %d: %s", STR_ARG(flight_url(flight)), status, reason);
    part_drop(&download->part);
    fetcher_count(&fetcher->counters.failures, 1);
    if (!answer_stale(download, status)) {
        table_hold(fetcher->config.table, flight, hold_s ? fetcher_now_s() + hold_s : 0);
        flight_set_failed(flight, status, download->retry_after_s, reason);
    }
    leave(download);
}

/* The exchange has nothing more to say. Its owner may go on, or free itself. */
static void
stop(struct download *download)
{
    if (download->exchange)
        exchange_cancel(download->exchange);
    download->exchange = NULL;
}

void
download_abort(struct download *download, int status, const char *reason)
{
    stop(download);
    fail(download, status, 0, reason);
}

/* Upstream says that the entry is still right. */
static void
renew(struct download *download)
{
    struct fetcher *fetcher = download->fetcher;
    struct cache_flight *flight = download->flight;
    struct cache_object *object = known_object(download);
    struct table_found found;
    if (!object || !table_renew(fetcher->config.table, flight, fetcher_now_s(), &found)) {
        object_unref(object); /* gone in the meantime: the whole, then */
        if (download->has_known)
            object_unref(download->known.object);
        download->has_known = false;
        attempt(download);
        return;
    }
    fetcher_count(&fetcher->counters.revalidated, 1);
    __atomic_store_n(&object->created_s, found.entry.created_s, __ATOMIC_RELAXED);
    index_put(fetcher->config.index, &found.entry);
    flight_set_answered(flight, FLIGHT_REVALIDATED, object);
    object_unref(object);
    leave(download);
}

static void
finish(struct download *download)
{
    const char *problem;
    int status = part_finish(&download->part, &problem);
    if (status != 200) {
        fail(download, status, 0, problem);
        return;
    }
    fetcher_count(&download->fetcher->counters.successes, 1);
    leave(download);
}

/* --- another attempt --- */

static void
be_patient(struct download *download)
{
    struct fetcher *fetcher = download->fetcher;
    download->give_up_ns = loop_now_ns(fetcher->loop) + fetcher->config.retry_ns;
    unsigned backoff_ms = fetcher->config.backoff_ms;
    download->backoff_ms = backoff_ms ? backoff_ms : CACHE_BACKOFF_MS;
    download->retry_after_s = 0;
}

/* The attempt came to nothing, but another one may not. What cannot be gone on with is dropped. */
static void
try_later(struct download *download, int status, int64_t hold_s, const char *reason)
{
    struct fetcher *fetcher = download->fetcher;
    uint64_t left_ns, now_ns = loop_now_ns(fetcher->loop);
    uint64_t wait_ns = (uint64_t)download->backoff_ms * 1000000;
    if ((uint64_t)download->retry_after_s * 1000000000 > wait_ns)
        wait_ns = (uint64_t)download->retry_after_s * 1000000000;
    if (flight_waiters(download->flight, &left_ns) == 0 ||
        now_ns + wait_ns > download->give_up_ns) {
        fail(download, status, hold_s, reason);
        return;
    }
    log_debug("cache: %.*s: %s; again in %llu ms", STR_ARG(flight_url(download->flight)), reason,
              (unsigned long long)wait_ns / 1000000);
    if (!part_is_resumable(&download->part))
        part_drop(&download->part);
    fetcher_count(&fetcher->counters.retried, 1);
    download->backoff_ms *= 2;
    if (download->backoff_ms > CACHE_BACKOFF_MAX_MS)
        download->backoff_ms = CACHE_BACKOFF_MAX_MS;
    timer_set(loop_timers(fetcher->loop), &download->retry, now_ns + wait_ns);
}

/* --- a response --- */

static void
came_redirect(struct download *download, const struct http_response_head *head)
{
    struct str location = http_response_value(head, HTTP_FIELD_LOCATION);
    struct url to;
    char reason[64];
    bool is_good = location.len && url_resolve(&download->url, location, &download->arena, &to);
    stop(download);
    if (!is_good) {
        fail(download, 502, CACHE_FAILURE_HOLD_S, "upstream redirects to no URL of a resource");
    } else if (++download->redirect_count > CACHE_REDIRECTS_MAX) {
        snprintf(reason, sizeof reason, "more than %d redirects", CACHE_REDIRECTS_MAX);
        fail(download, 502, CACHE_FAILURE_HOLD_S, reason);
    } else {
        download->url = to;
        attempt(download);
    }
}

static bool
may_pass(int status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 ||
           (status >= 502 && status <= 504);
}

static void
came_refusal(struct download *download, int status, struct str retry_after)
{
    char reason[128];
    unsigned seconds;
    struct str phrase = http_status_reason(status);
    int64_t hold_s = download->fetcher->config.negative_ttl_s;
    snprintf(reason, sizeof reason, "upstream answered %d %.*s", status, STR_ARG(phrase));
    download->retry_after_s = 0;
    if (retry_after.len && http_retry_after_parse(retry_after, fetcher_now_s(), &seconds))
        download->retry_after_s = seconds;
    stop(download);
    if (status < 400 || status > 599)
        fail(download, 502, hold_s, reason);
    else if (may_pass(status))
        try_later(download, status, hold_s, reason);
    else
        fail(download, status, hold_s, reason);
}

static void
came_whole(struct download *download, const struct http_response_head *head)
{
    const char *problem;
    part_drop(&download->part); /* what was to be gone on with has changed */
    int status = part_begin(&download->part, head, &problem);
    if (status != 200) {
        stop(download);
        fail(download, status, 0, problem);
        return;
    }
    download->answered = true;
    be_patient(download);
}

static void
came_rest(struct download *download, const struct http_response_head *head)
{
    struct http_content_range range;
    struct str value = http_response_value(head, HTTP_FIELD_CONTENT_RANGE);
    if (download->resumes && http_content_range_parse(value, &range) && range.has_range &&
        part_resume(&download->part, head, range.range.off, range.range.off + range.range.len,
                    range.has_total ? range.total : OBJECT_LEN_UNKNOWN)) {
        download->answered = true;
        fetcher_count(&download->fetcher->counters.resumed, 1);
        return;
    }
    stop(download);
    part_drop(&download->part);
    try_later(download, 502, CACHE_FAILURE_HOLD_S, "upstream sent another part than was asked for");
}

static void
head_came(void *arg, const struct http_response_head *head)
{
    struct download *download = arg;
    switch (head->status) {
    case 200:
        came_whole(download, head);
        return;
    case 206:
        came_rest(download, head);
        return;
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        came_redirect(download, head);
        return;
    case 304:
        if (!download->is_conditional)
            break;
        stop(download);
        renew(download);
        return;
    case 416:
        if (!download->resumes)
            break;
        stop(download);
        part_drop(&download->part);
        try_later(download, 502, CACHE_FAILURE_HOLD_S, "upstream has changed");
        return;
    default:
        break;
    }
    came_refusal(download, head->status, http_response_value(head, HTTP_FIELD_RETRY_AFTER));
}

static void
data_came(void *arg, struct str bytes)
{
    struct download *download = arg;
    const char *problem;
    int status = part_add(&download->part, bytes, &problem);
    if (status == 200) {
        be_patient(download);
        return;
    }
    stop(download);
    fail(download, status, 0, problem);
}

/* Whether trying again could help. */
static bool
is_passing(enum exchange_result result)
{
    return result == EXCHANGE_CONNECT || result == EXCHANGE_TUNNEL || result == EXCHANGE_TIMEOUT ||
           result == EXCHANGE_CLOSED || result == EXCHANGE_BROKEN || result == EXCHANGE_MALFORMED;
}

static void
exchange_over(void *arg, enum exchange_result result, const char *reason)
{
    struct download *download = arg;
    download->exchange = NULL;
    int status = exchange_result_status(result);
    if (result == EXCHANGE_DONE && download->answered)
        finish(download);
    else if (is_passing(result))
        try_later(download, status, CACHE_FAILURE_HOLD_S, reason);
    else
        fail(download, status, result == EXCHANGE_FORBIDDEN ? 0 : CACHE_FAILURE_HOLD_S, reason);
}

/* --- an attempt --- */

static const struct exchange_ops ops = {head_came, NULL, data_came, exchange_over};

enum { FIELDS_MAX = 4 };

/* Asks only for what is not there: the rest, or whether there is something new. */
static unsigned
add_conditions(struct download *download, struct exchange_field *fields, unsigned count,
               char text[64])
{
    const struct cache_entry *entry = &download->known.entry;
    download->resumes = part_is_resumable(&download->part);
    if (download->resumes) {
        int len = snprintf(text, 64, "bytes=%llu-", (unsigned long long)download->part.received);
        fields[count++] = (struct exchange_field){STR("Range"), str_make(text, (size_t)len)};
        fields[count++] = (struct exchange_field){STR("If-Range"), download->part.entry.etag};
    }
    download->is_conditional = !download->resumes && download->has_known &&
                               !download->flight->wants_sha256 &&
                               (entry->etag.len || entry->last_modified_s >= 0);
    if (download->is_conditional && entry->etag.len) {
        fields[count++] = (struct exchange_field){STR("If-None-Match"), entry->etag};
    } else if (download->is_conditional) {
        http_date_format(entry->last_modified_s, text);
        fields[count++] =
            (struct exchange_field){STR("If-Modified-Since"), str_make(text, HTTP_DATE_LEN)};
    }
    return count;
}

static void
attempt(struct download *download)
{
    struct fetcher *fetcher = download->fetcher;
    char text[64];
    struct exchange_field fields[FIELDS_MAX] = {
        {STR("Accept-Encoding"), STR("identity")},
        {STR("User-Agent"), str_from_cstr(fetcher->config.user_agent)},
    };
    struct exchange_request request = {
        .method = STR("GET"), .url = download->url, .fields = fields};
    request.field_count = add_conditions(download, fields, 2, text);
    download->answered = false;
    download->retry_after_s = 0; /* that was of another answer */
    if (!part_has_begun(&download->part))
        flight_set_asking(download->flight);
    download->exchange = exchange_start(fetcher->upstreams, &request, &ops, download);
    if (!download->exchange)
        fail(download, 503, 0, "no memory");
}

void
download_start(struct download *download)
{
    struct str url = flight_url(download->flight);
    must(url_parse(url, &download->url)); /* canonical, so it was one */
    find_known(download);
    be_patient(download);
    attempt(download);
}
