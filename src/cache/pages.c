#include "cache/pages.h"

#include "base/limits.h"
#include "cache/pages_assets.h"
#include "cache/pages_internal.h"
#include "http/query.h"

/* A page is rendered in one go, into one buffer, when everything it shows is known. Most know it at
 * once. Lists and charts ask the index first: then the request waits, and the page is its body
 * already, so that a client who leaves ends the question too.
 */

/* --- the body --- */

static enum body_result
page_pull(struct body *body, struct body_piece *piece)
{
    struct page *page = body->arg;
    if (page->pulled)
        return BODY_END;
    page->pulled = true;
    *piece = (struct body_piece){.mem = buf_str(&page->out), .len = page->out.len};
    return BODY_PIECE;
}

static void
page_close(struct body *body)
{
    struct page *page = body->arg;
    if (page->ask)
        index_cancel(page->ask);
    page->ask = NULL;
    buf_deinit(&page->out);
}

static const struct body_ops page_ops = {.pull = page_pull, .close = page_close};

void *
page_new(struct req *req, struct cache_worker *worker, size_t size, struct str root)
{
    struct page *page = arena_alloc(&req->arena, size);
    if (!page)
        return NULL;
    page->req = req;
    page->worker = worker;
    page->root = root;
    buf_init(&page->out, CACHE_PAGE_MAX);
    req->body.ops = &page_ops;
    req->body.arg = page;
    return page;
}

/* --- responses --- */

static void
respond(struct page *page, int status, const char *type)
{
    struct req *req = page->req;
    req->waits = false;
    if (buf_overflowed(&page->out)) {
        req_respond_error(req, 500);
        return;
    }
    struct str block =
        arena_printf(&req->arena,
                     "Content-Length: %zu\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                     "Content-Security-Policy: %.*s\r\nReferrer-Policy: no-referrer\r\n"
                     "Vary: Accept\r\nX-Content-Type-Options: nosniff\r\n",
                     page->out.len, type, STR_ARG(pages_policy));
    req->response.status = (uint16_t)status;
    req->response.body_len = page->out.len;
    req_add_block(req, block);
}

void
page_respond(struct page *page, int status)
{
    respond(page, status, "text/html; charset=utf-8");
}

void
page_respond_json(struct page *page)
{
    respond(page, 200, "application/json");
}

static void
respond_busy(struct page *page)
{
    page->req->waits = false;
    req_respond_text(page->req, 503,
                     STR("503: the index of the cache cannot be read at the moment"),
                     STR("Retry-After: 2\r\n"));
}

/* --- asking --- */

static void
index_has_answered(void *arg, const struct index_result *result)
{
    struct page *page = arg;
    struct req *req = page->req;
    page->ask = NULL;
    if (result->failed)
        respond_busy(page);
    else
        page->answered(page, result);
    if (!req->waits)
        req_wake(req);
}

void
page_ask(struct page *page, const struct index_query *query, page_answered_fn *answered)
{
    struct req *req = page->req;
    if (!req->waits && !req_wait(req, &page_ops, page))
        return; /* the pipeline sees that */
    page->answered = answered;
    page->ask =
        index_ask(page->worker->cache->index, query, page->worker->loop, index_has_answered, page);
    if (!page->ask)
        respond_busy(page);
}

struct str
page_parameter(struct page *page, const char *name)
{
    struct req *req = page->req;
    struct str value = STR("");
    if (query_find(req->target.query, str_from_cstr(name), &req->arena, &value) != QUERY_FOUND)
        return STR("");
    return value;
}

/* --- routes --- */

/* To a path relative to this one, with the query that came. */
static void
redirect(struct req *req, int status, struct str location)
{
    struct arena *arena = &req->arena;
    bool has_query = req->target.has_query;
    struct str extra =
        arena_printf(arena, "Location: %.*s%s%.*s\r\n", STR_ARG(location), has_query ? "?" : "",
                     STR_ARG(has_query ? req->target.query : STR("")));
    req_respond_text(
        req, status,
        arena_printf(arena, "%d %s", status, status == 308 ? "Permanent Redirect" : "Found"),
        extra);
}

/* "/a/help" is sent to "help/": right below whatever prefix a proxy puts in front of it. */
static void
redirect_to_slash(struct req *req, struct str path)
{
    size_t slash = str_find_last_char(path, '/');
    struct str last = slash < path.len ? str_skip(path, slash + 1) : path;
    struct buf location;
    buf_init(&location, URL_MAX);
    html_append_encoded(&location, last, "");
    buf_append_char(&location, '/');
    redirect(req, 308, arena_copy(&req->arena, buf_str(&location)));
    buf_deinit(&location);
}

static bool
answer_resources(struct req *req, struct cache_worker *worker, struct str rest)
{
    bool has_slash = str_ends_with(rest, STR("/"));
    struct str tab = str_first(rest, rest.len - has_slash);
    if (rest.len == 0) {
        redirect(req, 302, STR("successes/"));
        return true;
    }
    if (has_slash)
        return resources_answer(req, worker, tab);
    if (!resources_is_tab(tab))
        return false;
    redirect_to_slash(req, tab);
    return true;
}

bool
pages_answer(struct req *req, struct cache_worker *worker, struct str path)
{
    if (path.len == 0)
        redirect_to_slash(req, worker->cache->config.path);
    else if (str_eq(path, STR("/")))
        home_answer(req, worker);
    else if (str_eq(path, STR("/help/")))
        help_answer(req, worker);
    else if (str_eq(path, STR("/statistics/")))
        statistics_answer(req, worker);
    else if (str_eq(path, STR("/help")) || str_eq(path, STR("/statistics")))
        redirect_to_slash(req, path);
    else if (str_eq(path, STR("/resources")))
        redirect(req, 302, STR("resources/successes/"));
    else if (str_starts_with(path, STR("/resources/")))
        return answer_resources(req, worker, str_skip(path, 11));
    else
        return false;
    return true;
}
