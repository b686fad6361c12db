#include "cache/cache_internal.h"

#include "base/duration.h"
#include "cache/pages.h"
#include "cache/status.h"
#include "http/digest.h"
#include "http/query.h"
#include "http/url.h"

/* The action: from a path to one of the routes of the API, or a page. */

#define FETCH "/api/v1/fetch"
#define ALLOW "Allow: GET, HEAD, DELETE, OPTIONS\r\n"

static void
respond_plain(struct req *req, int status, const char *text)
{
    req_respond_text(req, status, str_from_cstr(text), STR(""));
}

/* --- fetch and purge --- */

/* A parameter of the query. False: answered. An absent one is an empty str. */
static bool
get_parameter(struct req *req, const char *name, struct str *value)
{
    *value = (struct str){0};
    switch (query_find(req->target.query, str_from_cstr(name), &req->arena, value)) {
    case QUERY_MALFORMED:
        req_respond_text(req, 400, arena_printf(&req->arena, "Invalid '%s' value", name), STR(""));
        return false;
    case QUERY_TOO_LARGE:
        respond_plain(req, 414, "too long");
        return false;
    default:
        return true;
    }
}

/* The resource that is asked for: its canonical URL. False: answered. */
static bool
get_url(struct req *req, struct str *canonical)
{
    struct str text;
    struct url url;
    if (!get_parameter(req, "url", &text))
        return false;
    if (text.len == 0) {
        respond_plain(req, 400, "'url' should be specified");
        return false;
    }
    if (!url_parse(text, &url)) {
        respond_plain(req, 400,
                      "Invalid 'url' value: an http or https URL with a host is wanted, "
                      "of at most 8 KiB, without user and password");
        return false;
    }
    *canonical = url_canonical(&url, &req->arena);
    return canonical->ptr;
}

static bool
get_ttl(struct req *req, const struct cache_config *config, uint32_t *ttl_s)
{
    struct str text;
    int64_t seconds = config->default_ttl_s;
    if (!get_parameter(req, "ttl", &text))
        return false;
    if (text.ptr && !duration_parse_ttl(text, &seconds)) {
        respond_plain(req, 400, "Invalid 'ttl' value");
        return false;
    }
    *ttl_s = (uint32_t)(seconds < config->max_ttl_s ? seconds : config->max_ttl_s);
    return true;
}

static bool
get_sha256(struct req *req, struct reader_want *want)
{
    struct str text;
    if (!get_parameter(req, "sha256", &text))
        return false;
    want->has_sha256 = text.ptr;
    if (text.ptr && !digest_parse_sha256(text, want->sha256)) {
        respond_plain(req, 400, "Invalid 'sha256' value: 64 hexadecimal digits are wanted");
        return false;
    }
    return true;
}

static struct memo *
memo_of(struct cache_worker *worker, struct str query)
{
    return &worker->memos[table_hash(worker->cache->table, query) % MEMO_SLOTS];
}

static void
memorize(struct memo *memo, struct str query, const struct reader_want *want)
{
    memo->query_len = 0;
    if (query.len > MEMO_TEXT_MAX || want->url.len > MEMO_TEXT_MAX)
        return;
    memcpy(memo->query, query.ptr, query.len);
    memcpy(memo->url, want->url.ptr, want->url.len);
    memo->want = *want;
    memo->want.url.ptr = memo->url;
    memo->query_len = (uint16_t)query.len;
}

static void
fetch(struct req *req, struct cache_worker *worker, struct str name)
{
    struct str query = req->target.query;
    struct memo *memo = memo_of(worker, query);
    struct reader_want want = {0};
    if (memo->query_len && str_eq(str_make(memo->query, memo->query_len), query)) {
        want = memo->want;
    } else {
        if (!get_url(req, &want.url) || !get_ttl(req, &worker->cache->config, &want.ttl_s) ||
            !get_sha256(req, &want))
            return;
        memorize(memo, query, &want);
    }
    if (name.ptr)
        want.name = arena_copy(&req->arena, name);
    reader_answer(req, worker, &want);
}

static void
purge(struct req *req, struct cache *cache)
{
    struct str url;
    if (!cache->config.purge_token) {
        respond_plain(req, 403, "403: purging is not enabled (--purge-token)");
        return;
    }
    if (!access_may_purge(cache, req)) {
        req_respond_text(req, 401, STR("401: a purge needs the token"),
                         STR("WWW-Authenticate: Bearer realm=\"tarn cache\"\r\n"));
        return;
    }
    if (!get_url(req, &url))
        return;
    bool was_remembered = table_forget_url(cache->table, url);
    unsigned count = fetcher_drop(cache->fetcher, table_pick_url(cache->table, url, 0));
    if (count || was_remembered)
        respond_plain(req, 200, "purged");
    else
        respond_plain(req, 404, "404: not in the cache");
}

static void
answer_fetch(struct req *req, struct cache_worker *worker, struct str name)
{
    if (!access_is_allowed(worker->cache, req)) {
        respond_plain(req, 403, "403: your address may not use this cache");
        return;
    }
    switch (req->head.method) {
    case HTTP_METHOD_GET:
    case HTTP_METHOD_HEAD:
        fetch(req, worker, name);
        return;
    case HTTP_METHOD_DELETE:
        purge(req, worker->cache);
        return;
    case HTTP_METHOD_OPTIONS:
        req->response.status = 204;
        req_add_block(req, STR(ALLOW));
        return;
    default:
        req_respond_text(req, 405, STR("405 Method Not Allowed"), STR(ALLOW));
    }
}

/* --- routes --- */

static void
answer_health(struct req *req)
{
    bool draining = __atomic_load_n(req->env->health, __ATOMIC_RELAXED) == HEALTH_DRAINING;
    if (draining)
        respond_plain(req, 503, "draining");
    else
        respond_plain(req, 200, "ok");
}

/* The path behind the prefix under which the cache is mounted. False: it is not under it. */
static bool
strip_prefix(const struct cache *cache, struct str path, struct str *rest)
{
    struct str prefix = cache->config.path;
    if (!str_starts_with(path, prefix))
        return false;
    *rest = str_skip(path, prefix.len);
    return rest->len == 0 || rest->ptr[0] == '/';
}

/* "/api/v1/status" with or without a slash behind it. */
static bool
is_route(struct str path, const char *route)
{
    struct str wanted = str_from_cstr(route);
    if (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return str_eq(path, wanted);
}

bool
cache_answer(struct req *req, void *arg)
{
    struct cache_worker *worker = arg;
    struct str path, name = {0};
    if (!strip_prefix(worker->cache, req->path, &path))
        return false;
    if (str_starts_with(path, STR(FETCH "/")) && !is_route(path, FETCH)) {
        name = str_skip(path, sizeof FETCH);
        answer_fetch(req, worker, name);
        return true;
    }
    if (is_route(path, FETCH)) {
        answer_fetch(req, worker, name);
        return true;
    }
    if (req->head.method != HTTP_METHOD_GET && req->head.method != HTTP_METHOD_HEAD) {
        req_respond_text(req, 405, STR("405 Method Not Allowed"), STR("Allow: GET, HEAD\r\n"));
        return true;
    }
    if (is_route(path, "/api/v1/status"))
        status_answer(req, worker->cache);
    else if (is_route(path, "/api/v1/health"))
        answer_health(req);
    else if (!pages_answer(req, worker, path))
        req_respond_error(req, 404);
    return true;
}
