/* From a request's path to what the site has there: a file, the index of a directory, its listing,
 * or nothing. Everything is looked up among the site's own files: an alias has another name than
 * its file, and could show what is hidden.
 */
#include "script/file_server.h"

#include "base/limits.h"
#include "script/helpers.h"
#include "script/task.h"
#include "site/site.h"

#include <stdio.h>

/* One request's search. */
struct search {
    struct script_frame *frame;
    const struct script_file_options *options;
    struct arena *arena;
    const struct site *site;
    struct script_hide hide;
    struct str path;     /* the request's, normalised, as scripts have left it */
    struct str original; /* the same as the client sent it */
    struct str query;    /* as the client sent it */
    bool has_query;
    struct str full; /* in the site, without slash at its end; "" for the site itself */
    uint16_t status;
};

/* --- paths --- */

static bool
normalize(struct arena *arena, struct str raw, struct str *path, struct target *target)
{
    if (!target_parse(raw, HTTP_METHOD_GET, target))
        return false;
    char *scratch = arena_alloc_text(arena, target->path.len + 1);
    return scratch && target_normalize_path(target->path, scratch, path);
}

/* The paths that the client asked for and that scripts have made of it. */
static bool
read_paths(struct search *search)
{
    struct script_task *task = search->frame->task;
    const struct req *req = task->req;
    struct target target, original;
    search->path = req->path;
    if (task->request.target_changed &&
        !normalize(search->arena, script_request_target(task), &search->path, &target))
        return false;
    search->original = req->path;
    original = req->target;
    if ((req->sent || task->request.target_changed) &&
        !normalize(search->arena, http_head_target(req_sent_head(req)), &search->original,
                   &original))
        return false;
    search->query = original.query;
    search->has_query = original.has_query;
    return search->path.len && search->path.ptr[0] == '/';
}

static struct str
without_slash(struct str path)
{
    path.len -= str_ends_with(path, STR("/"));
    return path;
}

static bool
ends_with_slash(struct str path)
{
    return str_ends_with(path, STR("/"));
}

static struct str
last_segment(struct str path)
{
    path = without_slash(path);
    size_t slash = str_find_last_char(path, '/');
    return slash == path.len ? path : str_skip(path, slash + 1);
}

/* `root` as "/a/b", or "". False: it leaves the site. */
static bool
clean_root(struct search *search, struct str *out)
{
    struct str root = search->options->root;
    *out = STR("");
    if (str_starts_with(root, STR("/")))
        return false;
    while (root.len) {
        struct str segment = str_cut(&root, '/');
        if (segment.len == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR("..")) || str_find_char(segment, '\0') < segment.len)
            return false;
        *out = arena_join(search->arena, arena_join(search->arena, *out, STR("/")), segment);
    }
    return true;
}

/* --- the site --- */

static bool
is_internal(struct str path)
{
    return str_starts_with(path, STR("/.tarn/")) || str_starts_with(path, STR("/.zeroserve/"));
}

static const struct site_route *
find_file(const struct search *search, struct str path)
{
    return path.len && !is_internal(path) ? site_find_file(search->site, path) : NULL;
}

/* Whether files lie below it. `path` has no slash at its end. */
static bool
is_directory(const struct search *search, struct str path)
{
    struct str below = arena_join(search->arena, path, STR("/"));
    if (path.len == 0)
        return true;
    size_t at = below.ptr ? site_file_from(search->site, below) : site_file_count(search->site);
    return at < site_file_count(search->site) &&
           str_starts_with(site_file(search->site, at)->path, below);
}

/* Patterns know paths without slash at their start. */
static bool
is_hidden(struct search *search, struct str path)
{
    return script_is_hidden(&search->hide, str_skip(path, 1));
}

/* A file of the directory that stands for it. */
static const struct site_route *
find_index(struct search *search)
{
    static const struct script_name text = {.text = STR_INIT("index.txt")},
                                    html = {(struct script_name *)&text, STR_INIT("index.html")};
    const struct script_file_options *options = search->options;
    const struct script_name *name = options->has_index_names ? options->index_names : &html;
    for (; name; name = name->next) {
        struct str slash = arena_join(search->arena, search->full, STR("/"));
        struct str path = arena_join(search->arena, slash, name->text);
        const struct site_route *route = path.ptr ? find_file(search, path) : NULL;
        if (route && !is_hidden(search, path))
            return route;
    }
    return NULL;
}

/* --- answers --- */

static struct script_answer *
answer_of(struct search *search)
{
    return &search->frame->task->answer;
}

static void
set_file(struct search *search, const struct site_route *route)
{
    struct script_answer *answer = answer_of(search);
    answer->has_file = true;
    answer->file_is_respond = false;
    answer->file = route;
    answer->file_status = search->status;
    answer->file_codings = search->options->codings;
    if (answer->listing.max)
        buf_clear(&answer->listing);
}

static enum script_file_result
miss(struct search *search)
{
    if (search->options->pass_thru)
        return SCRIPT_FILE_MISSED;
    set_file(search, NULL);
    return SCRIPT_FILE_HANDLED;
}

/* What goes on without an answer could show what was to be hidden. */
static enum script_file_result
fail(struct search *search, const char *why)
{
    char text[SCRIPT_LOG_LEN];
    int len = snprintf(text, sizeof text, "zs_file_server: %s; answered 500", why);
    if (!script_answer_respond(answer_of(search), 500, STR("text/plain; charset=utf-8"),
                               STR("500 Internal Server Error\n")))
        answer_of(search)->aborts = true;
    script_log_line(search->frame, str_make(text, (size_t)len));
    return SCRIPT_FILE_ERROR;
}

/* The client's own path with or without a slash at its end, unless a script has made another name
 * of it: then the client could not be sent anywhere better. */
static bool
may_redirect(const struct search *search)
{
    return str_eq(last_segment(search->original), last_segment(search->path));
}

static enum script_file_result
redirect(struct search *search, bool slash)
{
    struct str path = without_slash(search->original);
    char *encoded = arena_alloc_text(search->arena, 3 * path.len + 1);
    struct buf *location = &search->frame->task->worker->scratch;
    if (!encoded)
        return fail(search, "no memory");
    buf_clear(location);
    buf_append(location, str_make(encoded, target_encode_path(path, encoded)));
    if (slash || path.len == 0)
        buf_append_char(location, '/');
    if (search->has_query)
        buf_append_char(location, '?');
    script_append_url(location, search->query);
    if (buf_overflowed(location) ||
        !script_answer_redirect(answer_of(search), 308, buf_str(location)))
        return fail(search, "no memory");
    return SCRIPT_FILE_HANDLED;
}

static enum script_file_result
refuse_method(struct search *search)
{
    struct script_answer *answer = answer_of(search);
    if (!script_answer_respond(answer, 405, STR("text/plain; charset=utf-8"),
                               STR("405 Method Not Allowed\n")) ||
        script_fields_append(&answer->fields, STR("Allow"), STR("GET, HEAD")) != SCRIPT_FIELDS_OK)
        return fail(search, "no memory");
    return SCRIPT_FILE_HANDLED;
}

static bool
is_get_or_head(const struct search *search)
{
    struct str method = script_request_method(search->frame->task);
    return str_eq(method, STR("GET")) || str_eq(method, STR("HEAD"));
}

static void
append_text(struct buf *out, struct str text)
{
    buf_append(out, text);
    buf_append_char(out, '\0');
}

static enum script_file_result
list_directory(struct search *search)
{
    struct script_answer *answer = answer_of(search);
    struct str directory = arena_join(search->arena, search->full, STR("/"));
    struct str shown = arena_join(search->arena, without_slash(search->path), STR("/"));
    if (!search->options->browse || !directory.ptr || !shown.ptr || is_hidden(search, search->full))
        return miss(search);
    if (!ends_with_slash(search->original) && may_redirect(search))
        return redirect(search, true);
    if (!is_get_or_head(search))
        return refuse_method(search);
    const struct site_route *rendered = site_find(search->site, directory);
    if (rendered && rendered->kind == SITE_ROUTE_LISTING && !search->options->hide &&
        str_eq(directory, shown)) {
        set_file(search, rendered);
        return SCRIPT_FILE_HANDLED;
    }
    set_file(search, NULL);
    if (answer->listing.max == 0)
        buf_init(&answer->listing, 2 * SITE_PATH_MAX + SCRIPT_FILE_OPTIONS_MAX);
    append_text(&answer->listing, directory);
    append_text(&answer->listing, shown);
    for (const struct script_name *name = search->options->hide; name; name = name->next)
        if (str_find_char(name->text, '\0') == name->text.len)
            append_text(&answer->listing, name->text);
    return buf_overflowed(&answer->listing) ? fail(search, "no memory") : SCRIPT_FILE_HANDLED;
}

static enum script_file_result
serve_file(struct search *search, const struct site_route *route, struct str path, bool is_index)
{
    bool slash = ends_with_slash(search->original);
    if (is_hidden(search, path))
        return miss(search);
    if (search->options->canonical_uris && slash != is_index && search->original.len > 1 &&
        may_redirect(search))
        return redirect(search, is_index);
    if (search->status == 0 && !is_get_or_head(search))
        return refuse_method(search);
    set_file(search, route);
    return SCRIPT_FILE_HANDLED;
}

/* --- all --- */

/* 0 and 200 are what it would be anyway. */
static bool
read_status(struct search *search)
{
    uint64_t status = 0;
    struct str text = search->options->status_code;
    if (text.len && (!str_to_u64(text, &status) || !script_status_has_page(status)))
        return false;
    search->status = status == 200 ? 0 : (uint16_t)status;
    return true;
}

enum script_file_result
script_file_find(struct script_frame *frame, const struct script_file_options *options,
                 struct arena *arena)
{
    struct str root;
    struct search search = {
        .frame = frame,
        .options = options,
        .arena = arena,
        .site = frame->task->req->pin->site,
        .hide = {options->hide, SCRIPT_HIDE_STEPS},
    };
    if (options->fs.len && !str_eq(options->fs, STR("file")) &&
        !str_eq(options->fs, STR("default")))
        return fail(&search, "there is no other file system than the site");
    if (!clean_root(&search, &root))
        return fail(&search, "the root is not in the site");
    if (!read_status(&search))
        return fail(&search, "status_code is none that has a page");
    if (!read_paths(&search))
        return miss(&search);
    search.full = arena_join(arena, root, without_slash(search.path));
    if (!search.full.ptr)
        return fail(&search, "no memory");
    const struct site_route *file = find_file(&search, search.full);
    if (file)
        return serve_file(&search, file, search.full, false);
    if (!is_directory(&search, search.full))
        return miss(&search);
    file = find_index(&search);
    return file ? serve_file(&search, file, file->path, true) : list_directory(&search);
}
