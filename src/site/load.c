/* Loading goes in steps: open the source, plan what is public, bring the content into place, then
 * routes and heads. When a file changes under our hands, everything is done once more from the
 * start, since other files may have changed with it.
 */
#include "site/routes.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "http/mime.h"
#include "http/target.h"
#include "site/browse.h"
#include "site/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_BLOCK_LEN = 1 << 20, SNIFF_LEN = 512 };

/* What lives only while a site is loaded. */
struct loading {
    const struct site_config *config;
    struct site *site;
    struct error *error;
    struct arena arena; /* of the source */
    struct member_list members;
    struct plan plan;
    struct plan private_plan; /* of what only scripts can read */
    bool single_file;
    bool runs_something; /* scripts: it need not serve anything */
};

static uint64_t
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- rules --- */

typedef int (*rules_parser)(struct site_rules *rules, struct arena *arena, struct str text,
                            struct error *error);

static int
load_rules_file(struct loading *loading, struct site_rules *rules, struct str name,
                rules_parser parse)
{
    struct str text;
    const struct member *member =
        loading->single_file ? NULL : member_list_find(&loading->members, name);
    if (!member || member->is_dir)
        return 0;
    if (member_read(member, &loading->arena, SITE_RULES_FILE_MAX, &text, loading->error) < 0)
        return -1;
    return parse(rules, &loading->site->arena, text, loading->error);
}

static int
load_rules(struct loading *loading)
{
    struct site_rules *rules = site_rules_new(&loading->site->arena);
    if (!rules)
        return error_set(loading->error, "no memory for rules");
    loading->site->rules = rules;
    if (load_rules_file(loading, rules, STR("_headers"), site_rules_parse_headers) < 0 ||
        load_rules_file(loading, rules, STR("_redirects"), site_rules_parse_redirects) < 0)
        return -1;
    if (site_rules_need_host(rules))
        return error_set(loading->error, "_headers: a path that starts with https://host/ is not "
                                         "supported, headers are chosen by path alone");
    return 0;
}

/* --- one file --- */

/* Bytes without a name: HTML and text can be told, all else is left alone. */
static struct str
sniff_type(const struct member *member)
{
    char text[SNIFF_LEN];
    ssize_t got = pread(member->fd, text, sizeof text, (off_t)member->off);
    struct str head = str_make(text, got > 0 ? (size_t)got : 0);
    struct str start = head;
    while (start.len && strchr(" \t\r\n", start.ptr[0]))
        start = str_skip(start, 1);
    if (str_ieq(str_first(start, 9), STR("<!doctype")) ||
        str_ieq(str_first(start, 5), STR("<html")))
        return STR("text/html; charset=utf-8");
    /* The last character may be cut in two. */
    for (unsigned cut = 0; cut < 4 && cut <= head.len; cut++)
        if (str_is_utf8(str_first(head, head.len - cut)) && !memchr(text, '\0', head.len))
            return STR("text/plain; charset=utf-8");
    return STR("application/octet-stream");
}

static struct str
single_type(const struct loading *loading, const struct member *member)
{
    const struct site_config *config = loading->config;
    if (config->content_type)
        return str_from_cstr(config->content_type);
    if (member->path.len)
        return mime_type(member->path);
    if (config->only_path)
        return mime_type(plan_base_name(str_from_cstr(config->only_path)));
    return sniff_type(member);
}

/* The path of a one-file site, as a request will ask for it. */
static int
single_path(struct loading *loading, struct str *path)
{
    struct str raw = str_from_cstr(loading->config->only_path);
    char *scratch = arena_alloc_text(&loading->arena, raw.len + 1);
    *path = STR("/");
    if (raw.len == 0)
        return 0;
    if (!scratch)
        return error_set(loading->error, "no memory");
    if (raw.ptr[0] != '/' || str_find_char(raw, '?') < raw.len ||
        !target_normalize_path(raw, scratch, path))
        return error_set(loading->error, "--path: '%s' is no path that can be asked for",
                         loading->config->only_path);
    return 0;
}

/* --- steps --- */

static int
check_field(const char *option, const char *value, struct error *error)
{
    struct str text = str_from_cstr(value);
    if (!value)
        return 0;
    if (text.len == 0 || text.len > SITE_FIELD_MAX)
        return error_set(error, "%s: the value must have 1 to %d bytes", option, SITE_FIELD_MAX);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return error_set(error, "%s: a control character in the value", option);
    return 0;
}

static int
open_source(struct loading *loading)
{
    const struct site_config *config = loading->config;
    if (!config->source)
        return 0;
    int result = source_open(config->source, config->stdin_timeout_ms, &loading->members,
                             &loading->single_file, loading->error);
    if (result == SOURCE_ABSENT && config->allow_empty) {
        log_warn("%s: serving an empty site", loading->error->text);
        loading->members.warnings++;
        return 0;
    }
    if (result == 0 && !loading->single_file && (config->only_path || config->content_type)) {
        log_warn("%s means nothing for %s, which is not one file",
                 config->only_path ? "--path" : "--content-type", config->source);
        loading->members.warnings++;
    }
    return result < 0 ? -1 : 0;
}

static int
show_members(struct loading *loading)
{
    const struct site_config *config = loading->config;
    if (!config->source || !config->members || loading->single_file)
        return 0;
    int result = config->members(config->members_arg, &loading->members, loading->error);
    loading->runs_something = result > 0;
    return result < 0 ? -1 : 0;
}

static int
make_plan(struct loading *loading)
{
    struct plan *plan = &loading->plan;
    if (loading->single_file) {
        const struct member *member = &loading->members.list[0];
        return plan_make_single(plan, member, single_type(loading, member), loading->error);
    }
    if (plan_make(plan, &loading->members, loading->error) < 0 ||
        private_plan(&loading->private_plan, &loading->members, loading->error) < 0)
        return -1;
    if (plan->file_count > 0 || loading->config->allow_empty || loading->runs_something)
        return 0;
    if (plan->hidden_count)
        return error_set(loading->error, "no file to serve, only %" PRIu64 " hidden ones",
                         plan->hidden_count);
    return error_set(loading->error, "no file to serve");
}

static int
load_content(struct loading *loading)
{
    struct site *site = loading->site;
    const struct site_config *config = loading->config;
    struct error *error = loading->error;
    if (content_store_init(&site->store, config->preload_max, config->preload_total, error) < 0)
        return -1;
    int result =
        content_load(&site->store, &loading->plan, &site->arena, &loading->members.warnings, error);
    if (result == 0 && loading->private_plan.count)
        result = content_load(&site->store, &loading->private_plan, &site->arena,
                              &loading->members.warnings, error);
    if (result < 0)
        return result;
    /* A packed tar has all variants that are worth it. */
    if (config->precompress && !loading->members.from_index &&
        content_precompress(&site->store, &loading->plan, &loading->arena, error) < 0)
        return -1;
    if (config->browse && !loading->single_file &&
        browse_render(&site->store, &loading->plan, str_from_cstr(config->index), &loading->arena,
                      error) < 0)
        return -1;
    return content_seal(&site->store, error);
}

static int
build_routes(struct loading *loading)
{
    struct site *site = loading->site;
    struct renderer renderer;
    struct route_builder builder = {
        .site = site,
        .plan = &loading->plan,
        .renderer = &renderer,
        .config = loading->config,
        .error = loading->error,
        .now = (int64_t)time(NULL),
    };
    struct str path;
    int result;
    renderer_init(&renderer, &site->arena, site->rules);
    if (loading->single_file)
        result = single_path(loading, &path) < 0 ? -1 : routes_build_single(&builder, path);
    else
        result = routes_build(&builder);
    if (result == 0)
        result = private_table_init(&site->privates, &loading->private_plan, &site->arena,
                                    builder.now, loading->error);
    renderer_deinit(&renderer);
    return result;
}

static void
name_pages(struct loading *loading)
{
    struct site *site = loading->site;
    if (loading->single_file) {
        site->any = loading->config->only_path ? NULL : site->routes[0];
        return;
    }
    site->not_found = route_table_find(&site->table, STR("/404.html"));
    if (loading->config->spa)
        site->spa = route_table_find(&site->table, STR("/index.html"));
}

/* Content that is not preloaded outlives the source: what it points at is copied. */
static int
keep_content(struct loading *loading, const struct member *member, struct site_content *content)
{
    struct arena *arena = &loading->site->arena;
    if (content->identity) {
        struct site_identity *copy = arena_alloc(arena, sizeof *copy);
        if (copy)
            *copy = *content->identity;
        content->identity = copy;
    }
    content->path = member->disk_path ? member->disk_path : loading->config->source;
    content->path = arena_copy(arena, str_from_cstr(content->path)).ptr;
    if (arena_overflowed(arena))
        return error_set(loading->error, "no memory for the list of files");
    return 0;
}

/* Notes which descriptors of the source content is still read from. */
static int
keep_contents(struct loading *loading, struct plan *plan, bool used[])
{
    const struct member_list *members = &loading->members;
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->list[i];
        struct site_content *content = &entry->bytes.content;
        if (!entry->bytes.loaded || content->mem)
            continue;
        if (keep_content(loading, entry->member, content) < 0)
            return -1;
        for (unsigned f = 0; f < members->fd_count; f++)
            used[f] = used[f] || content->fd == members->fds[f];
    }
    return 0;
}

/* Takes those descriptors over. */
static int
keep_what_is_used(struct loading *loading)
{
    struct site *site = loading->site;
    struct member_list *members = &loading->members;
    bool used[sizeof members->fds / sizeof members->fds[0]] = {false};
    unsigned left = 0;
    if (keep_contents(loading, &loading->plan, used) < 0 ||
        keep_contents(loading, &loading->private_plan, used) < 0)
        return -1;
    for (unsigned f = 0; f < members->fd_count; f++) {
        if (used[f])
            site->fds[site->fd_count++] = members->fds[f];
        else
            members->fds[left++] = members->fds[f];
    }
    members->fd_count = left;
    return 0;
}

static void
count_content(struct loading *loading)
{
    struct site_stats *stats = &loading->site->stats;
    for (size_t i = 0; i < loading->plan.count; i++) {
        const struct plan_entry *entry = &loading->plan.list[i];
        if (entry->member->is_dir || !entry->bytes.loaded)
            continue;
        stats->file_count++;
        stats->content_len += entry->bytes.content.len;
        stats->preloaded_count += entry->bytes.content.mem != NULL;
    }
    stats->preloaded_len = loading->site->store.used;
    stats->route_count = loading->site->route_count;
    stats->warnings = loading->members.warnings;
    stats->from_index = loading->members.from_index;
}

/* All steps behind the opening of the source; their errors do not name it. */
static int
load_opened(struct loading *loading)
{
    int result = show_members(loading);
    if (result == 0)
        result = load_rules(loading);
    if (result == 0)
        result = make_plan(loading);
    if (result == 0)
        result = load_content(loading);
    if (result == 0)
        result = keep_what_is_used(loading);
    if (result == 0)
        result = build_routes(loading);
    if (result < 0) {
        error_prefix(loading->error, "%s",
                     strcmp(loading->config->source, "-") == 0 ? "standard input"
                                                               : loading->config->source);
        return result;
    }
    name_pages(loading);
    count_content(loading);
    return 0;
}

static int
load_once(const struct site_config *config, struct site **out, struct error *error)
{
    struct loading loading = {.config = config, .error = error};
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        return error_set(error, "no memory for the site");
    loading.site = site;
    arena_init(&site->arena, SITE_ARENA_MAX, ARENA_BLOCK_LEN);
    arena_init(&loading.arena, SITE_ARENA_MAX, ARENA_BLOCK_LEN);
    member_list_init(&loading.members, &loading.arena);
    int result = open_source(&loading);
    if (result == 0)
        result = load_opened(&loading);
    plan_deinit(&loading.plan);
    plan_deinit(&loading.private_plan);
    member_list_deinit(&loading.members);
    arena_deinit(&loading.arena);
    if (result < 0)
        site_free(site);
    else
        *out = site;
    return result;
}

int
site_load(const struct site_config *config, struct site **out, struct error *error)
{
    uint64_t start = clock_ns();
    must(!config->source || config->index);
    if (check_field("--cache-control", config->cache_control, error) < 0 ||
        check_field("--content-type", config->content_type, error) < 0)
        return -1;
    int result = load_once(config, out, error);
    if (result == CONTENT_CHANGED) {
        log_warn("%s: loading it again", error->text);
        result = load_once(config, out, error);
    }
    if (result < 0)
        return -1;
    (*out)->stats.load_ns = clock_ns() - start;
    return 0;
}
