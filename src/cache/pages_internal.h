/* pages_internal: what the parts of the pages share. pages.c finds the page, waits and answers;
 * pages_frame.c draws what is around every page; the others are the pages.
 *
 * A page lives in its request's arena and is its body: what has been rendered lies in a buffer on
 * the heap, bounded by CACHE_PAGE_MAX, until the body is closed.
 */
#ifndef TARN_CACHE_PAGES_INTERNAL_H
#define TARN_CACHE_PAGES_INTERNAL_H

#include "cache/cache_internal.h"
#include "cache/index.h"
#include "cache/pages_html.h"

enum pages_section { PAGES_HOME, PAGES_RESOURCES, PAGES_STATISTICS, PAGES_HELP };

struct page;
typedef void page_answered_fn(struct page *page, const struct index_result *result);

struct page {
    struct req *req;
    struct cache_worker *worker;
    struct buf out;
    bool pulled;
    struct index_ask *ask; /* under way; NULL: none */
    page_answered_fn *answered;
    struct str root;              /* the home page, seen from this one: "./", "../", "../../" */
    struct cache_figures figures; /* of when page_begin was called */
};

/* --- pages.c --- */

/* Begins an answer of `size` bytes, the first of which are a struct page. NULL: no memory, and
 * answered so by the pipeline. */
void *page_new(struct req *req, struct cache_worker *worker, size_t size, struct str root);

/* What was rendered goes out, with this status. */
void page_respond(struct page *page, int status);
void page_respond_json(struct page *page);

/* Asks the index; `answered` runs later, and answers or asks again. Answers by itself when the
 * index cannot be asked or has no answer. */
void page_ask(struct page *page, const struct index_query *query, page_answered_fn *answered);

/* A parameter of the query, decoded, in the arena. One that is absent or malformed is empty. */
struct str page_parameter(struct page *page, const char *name);

static inline const struct cache_config *
page_config(const struct page *page)
{
    return &page->worker->cache->config;
}

static inline int64_t
page_now_s(const struct page *page)
{
    return page->req->env->now_s;
}

/* --- pages_base.c --- */

/* "https://cache.example:8001/prefix": how this client names the cache, as far as we know. Safe in
 * a shell and in HTML, but for a '&' that cannot occur. Empty, NULL pointer: the arena is full. */
struct str page_base_url(struct page *page);

/* --- pages_frame.c --- */

/* All up to the content, and from its end. `refresh_s`: 0: none. */
void page_begin(struct page *page, enum pages_section section, const char *title,
                unsigned refresh_s);
void page_end(struct page *page);
/* How full the disk is, in words and as a bar. */
void page_append_quota(struct page *page);
/* A line of a shell, with a button to copy it where there is JavaScript. */
void page_append_code(struct page *page, struct str code);

/* --- pages_home.c, pages_help.c, pages_statistics.c, pages_resources.c --- */

void home_answer(struct req *req, struct cache_worker *worker);
void help_answer(struct req *req, struct cache_worker *worker);
void statistics_answer(struct req *req, struct cache_worker *worker);
/* `tab`: "successes" and the like. False: there is no such one. */
bool resources_is_tab(struct str tab);
bool resources_answer(struct req *req, struct cache_worker *worker, struct str tab);

#endif
