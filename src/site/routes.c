/* A route, its representations and its path lie behind each other from the start of a cache line,
 * so a lookup that has found the slot touches neighbouring lines only. Routes that show the same
 * file (`/dir/` and `/dir/index.html`) share representations and heads, unless `_headers` rules
 * could tell them apart.
 */
#include "site/routes.h"

#include "base/limits.h"
#include "base/must.h"
#include "http/target.h"
#include "site/cache_rule.h"
#include "site/template.h"

#include <stdlib.h>

enum { CACHE_LINE = 64, CHUNK_LEN = 64 << 10, PATH_SHOWN = 200 };
_Static_assert(sizeof(struct site_route) <= CACHE_LINE, "one line decides a lookup");

/* --- memory --- */

static void *
take_lines(struct route_builder *builder, size_t len)
{
    len = (len + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    if (len > builder->chunk_left) {
        size_t want = len > CHUNK_LEN ? len : CHUNK_LEN;
        char *chunk = arena_alloc(&builder->site->arena, want + CACHE_LINE);
        if (!chunk)
            return NULL;
        size_t pad = -(uintptr_t)chunk & (CACHE_LINE - 1);
        builder->chunk = chunk + pad;
        builder->chunk_left = want;
    }
    void *taken = builder->chunk;
    builder->chunk += len;
    builder->chunk_left -= len;
    return taken;
}

/* A path in parts: "/" + base + tail. */
struct route_path {
    struct str base;
    struct str tail;
};

static struct site_route *
new_route(struct route_builder *builder, enum site_route_kind kind, struct route_path path,
          unsigned rep_count)
{
    size_t reps_len = rep_count * sizeof(struct site_rep);
    size_t path_len = 1 + path.base.len + path.tail.len;
    char *memory = take_lines(builder, sizeof(struct site_route) + reps_len + path_len);
    if (!memory) {
        error_set(builder->error, "no memory for the routes");
        return NULL;
    }
    struct site_route *route = (struct site_route *)(void *)memory;
    char *text = memory + sizeof *route + reps_len;
    route->kind = (uint8_t)kind;
    route->rep_count = (uint8_t)rep_count;
    route->reps = (struct site_rep *)(void *)(memory + sizeof *route);
    text[0] = '/';
    if (path.base.len)
        memcpy(text + 1, path.base.ptr, path.base.len);
    if (path.tail.len)
        memcpy(text + 1 + path.base.len, path.tail.ptr, path.tail.len);
    route->path = str_make(text, path_len);
    route->hash = route_table_hash(route->path);
    return route;
}

static void
publish(struct route_builder *builder, const struct site_route *route)
{
    struct site *site = builder->site;
    route_table_insert(&site->table, route);
    site->routes[site->route_count++] = route;
}

/* --- files --- */

static const enum http_coding rep_order[] = {HTTP_CODING_IDENTITY, HTTP_CODING_BR, HTTP_CODING_ZSTD,
                                             HTTP_CODING_GZIP};

static struct str
cache_control(const struct route_builder *builder, const struct plan_entry *entry)
{
    return builder->config->cache_control
               ? str_from_cstr(builder->config->cache_control)
               : cache_rule_value(plan_base_name(entry->member->path), entry->type);
}

/* A time that lies ahead of the clock must not be shown (RFC 9110 section 8.8.2.1). */
static int64_t
shown_mtime(const struct route_builder *builder, const struct plan_entry *entry)
{
    int64_t mtime = entry->member->mtime;
    return mtime <= 0 ? 0 : mtime < builder->now ? mtime : builder->now;
}

/* Looks for places for metadata in a page. */
static int
find_template(struct route_builder *builder, struct str path, struct site_rep *rep)
{
    struct arena *arena = &builder->site->arena;
    if (!builder->config->templates || !rep->content.mem || !site_template_type(rep->type))
        return 0;
    struct str text = str_make(rep->content.mem, rep->content.len);
    if (site_template_find(text, arena, &rep->template, builder->error) < 0) {
        error_prefix(builder->error, "'%.*s'", STR_ARG(str_first(path, PATH_SHOWN)));
        return -1;
    }
    if (!rep->template)
        return 0;
    rep->template_lines = site_template_lines(rep->head, arena);
    return rep->template_lines.ptr ? 0 : error_set(builder->error, "no memory for the routes");
}

/* A route to the file, with heads of its own. */
static struct site_route *
new_file_route(struct route_builder *builder, const struct plan_entry *entry,
               struct route_path path)
{
    const struct plan_bytes *found[HTTP_CODING_COUNT];
    enum http_coding codings[HTTP_CODING_COUNT];
    unsigned count = 0;
    for (unsigned i = 0; i < HTTP_CODING_COUNT; i++) {
        found[count] = plan_bytes_of(builder->plan, entry, rep_order[i]);
        codings[count] = rep_order[i];
        count += found[count] != NULL;
    }
    struct site_route *route = new_route(builder, SITE_ROUTE_FILE, path, count);
    if (!route)
        return NULL;
    route->mtime = shown_mtime(builder, entry);
    for (unsigned i = 0; i < count; i++) {
        struct render_input input = {
            .content = found[i]->content,
            .hash = found[i]->hash,
            .type = entry->type,
            .cache_control = cache_control(builder, entry),
            .vary = count > 1 ? STR("Accept-Encoding") : STR(""),
            .mtime = route->mtime,
            .coding = codings[i],
        };
        if (render_rep(builder->renderer, &input, route->path, &route->reps[i], builder->error) < 0)
            return NULL;
        route->codings |= (uint8_t)(1u << codings[i]);
    }
    return find_template(builder, route->path, &route->reps[0]) < 0 ? NULL : route;
}

static int
add_file(struct route_builder *builder, struct plan_entry *entry)
{
    struct site_route *route =
        new_file_route(builder, entry, (struct route_path){.base = entry->member->path});
    if (!route)
        return -1;
    entry->route = route;
    publish(builder, route);
    return 0;
}

/* Another path that shows the same file. */
static int
add_alias(struct route_builder *builder, const struct plan_entry *entry, struct route_path path)
{
    struct site_route *route;
    if (site_rules_have_headers(builder->site->rules)) {
        route = new_file_route(builder, entry, path);
    } else {
        route = new_route(builder, SITE_ROUTE_FILE, path, 0);
        if (route) {
            route->mtime = entry->route->mtime;
            route->codings = entry->route->codings;
            route->rep_count = entry->route->rep_count;
            route->reps = entry->route->reps;
        }
    }
    if (!route)
        return -1;
    publish(builder, route);
    return 0;
}

/* --- directories --- */

static int
add_redirect(struct route_builder *builder, struct str directory)
{
    struct site_route *route =
        new_route(builder, SITE_ROUTE_REDIRECT, (struct route_path){.base = directory}, 0);
    char *location = arena_alloc_text(&builder->site->arena, 3 * (directory.len + 1) + 1);
    if (!route || !location)
        return error_set(builder->error, "no memory for the routes");
    size_t len = target_encode_path(route->path, location);
    location[len++] = '/';
    route->location = str_make(location, len);
    publish(builder, route);
    return 0;
}

static int
add_listing(struct route_builder *builder, const struct plan_entry *entry, struct route_path path)
{
    static const struct str types[] = {STR_INIT("text/html; charset=utf-8"),
                                       STR_INIT("application/json; charset=utf-8")};
    struct site_route *route = new_route(builder, SITE_ROUTE_LISTING, path, 2);
    if (!route)
        return -1;
    route->codings = 1u << HTTP_CODING_IDENTITY;
    for (unsigned i = 0; i < 2; i++) {
        struct render_input input = {
            .content = entry->listing[i].content,
            .hash = entry->listing[i].hash,
            .type = types[i],
            .cache_control = STR("no-cache"),
            .vary = STR("Accept"),
            .coding = HTTP_CODING_IDENTITY,
        };
        if (render_rep(builder->renderer, &input, route->path, &route->reps[i], builder->error) < 0)
            return -1;
    }
    publish(builder, route);
    return 0;
}

static int
add_directory(struct route_builder *builder, const struct plan_entry *entry)
{
    struct str directory = entry->member->path;
    struct route_path path = {.base = directory, .tail = directory.len ? STR("/") : STR("")};
    const struct plan_entry *index =
        plan_find_index(builder->plan, directory, str_from_cstr(builder->config->index));
    int result = 0;
    if (index)
        result = add_alias(builder, index, path);
    else if (entry->listing)
        result = add_listing(builder, entry, path);
    else
        return 0;
    return result == 0 && directory.len ? add_redirect(builder, directory) : result;
}

static int
add_without_extension(struct route_builder *builder, const struct plan_entry *entry)
{
    char text[SITE_PATH_MAX + 1];
    struct str path = entry->member->path;
    if (!entry->route || !str_ends_with(path, STR(".html")) || path.len > SITE_PATH_MAX)
        return 0;
    path.len -= sizeof ".html" - 1;
    text[0] = '/';
    memcpy(text + 1, path.ptr, path.len);
    if (route_table_find(&builder->site->table, str_make(text, path.len + 1)))
        return 0;
    return add_alias(builder, entry, (struct route_path){.base = path});
}

/* --- all --- */

static int
compare_routes(const void *left, const void *right)
{
    const struct site_route *const *a = left, *const *b = right;
    return str_cmp((*a)->path, (*b)->path);
}

static int
make_room(struct route_builder *builder)
{
    struct site *site = builder->site;
    /* A file has one route and perhaps one without its extension, a directory two, the root one. */
    size_t max = 2 * builder->plan->count + 1;
    site->routes = arena_alloc(&site->arena, max * sizeof *site->routes);
    if (!site->routes || route_table_init(&site->table, &site->arena, max) < 0)
        return error_set(builder->error, "no memory for the routes");
    return 0;
}

int
routes_build(struct route_builder *builder)
{
    struct site *site = builder->site;
    struct plan *plan = builder->plan;
    int result = make_room(builder);
    for (size_t i = 0; i < plan->count && result == 0; i++)
        if (!plan->list[i].member->is_dir && plan->list[i].bytes.loaded)
            result = add_file(builder, &plan->list[i]);
    site->file_route_count = site->route_count;
    if (result == 0)
        result = add_directory(builder, &plan->root);
    for (size_t i = 0; i < plan->count && result == 0; i++)
        if (plan->list[i].member->is_dir)
            result = add_directory(builder, &plan->list[i]);
    for (size_t i = 0; i < plan->count && result == 0 && builder->config->try_html; i++)
        if (!plan->list[i].member->is_dir)
            result = add_without_extension(builder, &plan->list[i]);
    if (result == 0 && site->route_count > site->file_route_count)
        qsort(site->routes + site->file_route_count, site->route_count - site->file_route_count,
              sizeof *site->routes, compare_routes);
    return result;
}

int
routes_build_single(struct route_builder *builder, struct str path)
{
    must(path.len > 0 && path.ptr[0] == '/');
    if (make_room(builder) < 0)
        return -1;
    struct site_route *route = new_file_route(builder, &builder->plan->list[0],
                                              (struct route_path){.base = str_skip(path, 1)});
    if (!route)
        return -1;
    publish(builder, route);
    builder->site->file_route_count = 1;
    return 0;
}
