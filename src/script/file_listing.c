/* The listing of a directory, made when it is asked for: what it shows depends on what a script
 * hides. */
#include "base/limits.h"
#include "base/log.h"
#include "http/accept.h"
#include "script/file_server.h"
#include "script/task.h"
#include "site/listing.h"
#include "site/site.h"

#include <stdlib.h>

enum { ARENA_BLOCK = 4096 };

struct lister {
    const struct site *site;
    struct str directory; /* "/d/" */
    struct script_hide hide;
    struct listing_entry *entries; /* heap, of SCRIPT_LISTING_ENTRIES */
    size_t count;
};

/* The next text of answer.listing. */
static struct str
take_text(struct str *rest)
{
    return str_cut(rest, '\0');
}

/* "name.gz" beside "name" is not shown, as it is sent in its place. */
static bool
is_variant(const struct site *site, struct str path)
{
    static const struct {
        struct str end;
        uint8_t coding;
    } ends[] = {{STR_INIT(".br"), HTTP_CODING_BR},
                {STR_INIT(".zst"), HTTP_CODING_ZSTD},
                {STR_INIT(".gz"), HTTP_CODING_GZIP}};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!str_ends_with(path, ends[i].end))
            continue;
        const struct site_route *plain =
            site_find_file(site, str_first(path, path.len - ends[i].end.len));
        return plain && plain->codings >> ends[i].coding & 1;
    }
    return false;
}

static void
add(struct lister *lister, const struct site_route *route, struct str name, bool is_dir)
{
    struct str path = str_first(route->path, lister->directory.len + name.len);
    if (name.ptr[0] == '.' || script_is_hidden(&lister->hide, str_skip(path, 1)) ||
        (!is_dir && is_variant(lister->site, path)))
        return;
    lister->entries[lister->count++] = (struct listing_entry){
        .name = name,
        .is_dir = is_dir,
        .size = is_dir ? 0 : route->reps[0].content.len,
        .mtime = is_dir ? 0 : route->mtime,
    };
}

/* Each file stands by itself; of a directory the first file is looked at, and the rest is jumped
 * over. False: there are more. */
static bool
collect(struct lister *lister, struct arena *arena)
{
    const struct site *site = lister->site;
    size_t at = site_file_from(site, lister->directory);
    while (at < site_file_count(site)) {
        const struct site_route *route = site_file(site, at);
        if (!str_starts_with(route->path, lister->directory))
            return true;
        struct str rest = str_skip(route->path, lister->directory.len);
        size_t name_len = str_find_char(rest, '/');
        bool is_dir = name_len < rest.len;
        if (lister->count == SCRIPT_LISTING_ENTRIES)
            return false;
        if (name_len)
            add(lister, route, str_first(rest, name_len), is_dir);
        if (!is_dir) {
            at++;
            continue;
        }
        /* '0' comes behind '/'. */
        struct str below = str_first(route->path, lister->directory.len + name_len);
        arena_reset(arena);
        below = arena_join(arena, below, STR("0"));
        if (!below.ptr)
            return false;
        at = site_file_from(site, below);
    }
    return true;
}

static int
entry_cmp(const void *left, const void *right)
{
    const struct listing_entry *a = left, *b = right;
    return a->is_dir != b->is_dir ? (int)b->is_dir - (int)a->is_dir : str_cmp(a->name, b->name);
}

static bool
wants_json(const struct req *req)
{
    struct str accept = http_head_value(&req->head, HTTP_FIELD_ACCEPT);
    return accept.len && http_accept_quality(accept, STR("application/json")) >
                             http_accept_quality(accept, STR("text/html"));
}

static void
render(struct script_task *task, struct lister *lister, struct str shown)
{
    struct buf *page = &task->answer.body;
    bool json = wants_json(task->req);
    qsort(lister->entries, lister->count, sizeof *lister->entries, entry_cmp);
    if (page->max == 0)
        buf_init(page, SCRIPT_ANSWER_MAX);
    buf_clear(page);
    if (json)
        listing_render_json(page, lister->entries, lister->count);
    else
        listing_render_html(page, shown, lister->entries, lister->count);
    if (buf_overflowed(page)) {
        log_warn("zs_file_server: the listing of '%.*s' exceeds %d bytes", STR_ARG(shown),
                 SCRIPT_ANSWER_MAX);
        req_respond_error(task->req, 500);
        return;
    }
    req_serve_made(task->req,
                   json ? STR("application/json; charset=utf-8") : STR("text/html; charset=utf-8"),
                   STR("Vary: Accept\r\nX-Content-Type-Options: nosniff\r\n"), buf_str(page));
}

static bool
read_patterns(struct arena *arena, struct str rest, struct script_hide *hide)
{
    const struct script_name **end = &hide->patterns;
    while (rest.len) {
        struct script_name *name = arena_alloc(arena, sizeof *name);
        if (!name)
            return false;
        name->text = take_text(&rest);
        *end = name;
        end = (const struct script_name **)&name->next;
    }
    return true;
}

void
script_listing_serve(struct script_task *task)
{
    struct str rest = buf_str(&task->answer.listing);
    struct arena patterns, scratch;
    struct lister lister = {
        .site = task->req->pin->site,
        .hide = {.steps_left = SCRIPT_HIDE_STEPS},
        .entries = malloc(SCRIPT_LISTING_ENTRIES * sizeof *lister.entries),
    };
    arena_init(&patterns, 32 * SCRIPT_FILE_OPTIONS_MAX, ARENA_BLOCK);
    arena_init(&scratch, 4 * SITE_PATH_MAX, ARENA_BLOCK);
    lister.directory = take_text(&rest);
    struct str shown = take_text(&rest);
    if (lister.entries && read_patterns(&patterns, rest, &lister.hide)) {
        if (!collect(&lister, &scratch))
            log_warn("zs_file_server: '%.*s' has more than %d entries: the rest is not listed",
                     STR_ARG(shown), SCRIPT_LISTING_ENTRIES);
        if (lister.hide.steps_left == 0)
            log_warn("zs_file_server: 'hide' has too much to compare with in '%.*s': the rest is "
                     "not listed",
                     STR_ARG(shown));
        render(task, &lister, shown);
    } else {
        req_respond_error(task->req, 500);
    }
    arena_deinit(&scratch);
    arena_deinit(&patterns);
    free(lister.entries);
}
