#include "cache/pages_internal.h"

#include "base/duration.h"
#include "base/limits.h"
#include "http/url.h"

/* The home page: what this is, a form that makes a fetch URL, and the figures of the moment. The
 * form comes back to the page itself, which checks what was typed as the API would, and shows what
 * to do with it. */

struct home {
    struct page page; /* first */
    struct str url, ttl, name;
    const char *url_problem, *ttl_problem, *name_problem; /* NULL: none */
    struct str canonical;
    bool ttl_is_cut;
};

/* --- what was typed --- */

static bool
is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* It becomes a segment of a path, and must come through as one. */
static const char *
name_problem(struct str name)
{
    if (name.len > DISPOSITION_NAME_MAX)
        return "At most 255 bytes are wanted.";
    if (str_eq(name, STR(".")) || str_eq(name, STR("..")) || !str_is_utf8(name))
        return "This is no file name.";
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == '/' || name.ptr[i] == '\\' || is_control(name.ptr[i]))
            return "A name without slashes and control characters is wanted.";
    return NULL;
}

static void
check_url(struct home *home)
{
    struct url url;
    home->canonical = (struct str){0};
    if (home->url.len == 0)
        return;
    if (url_parse(home->url, &url))
        home->canonical = url_canonical(&url, &home->page.req->arena);
    else
        home->url_problem = "An http or https URL with a host is wanted, of at most 8 KiB, "
                            "without user and password.";
}

static void
check_ttl(struct home *home)
{
    int64_t seconds;
    if (home->ttl.len == 0)
        return;
    if (!duration_parse_ttl(home->ttl, &seconds))
        home->ttl_problem = "A positive number with s, m, h or d behind it is wanted, like 12h.";
    else
        home->ttl_is_cut = seconds > page_config(&home->page)->max_ttl_s;
}

static void
read_form(struct home *home)
{
    home->url = str_trim(page_parameter(&home->page, "url"));
    home->ttl = str_trim(page_parameter(&home->page, "ttl"));
    home->name = str_trim(page_parameter(&home->page, "name"));
    check_url(home);
    check_ttl(home);
    if (home->name.len)
        home->name_problem = name_problem(home->name);
}

/* --- the form --- */

struct field {
    const char *id, *label, *attributes;
    struct str placeholder, value;
    const char *problem;
};

static void
append_field(struct buf *out, const struct field *field)
{
    const char *id = field->id;
    buf_printf(out, "<p class=\"f-%s\"><label for=\"%s\">%s</label>", id, id, field->label);
    buf_printf(out, "<input id=\"%s\" name=\"%s\" autocomplete=\"off\" spellcheck=\"false\"%s ", id,
               id, field->attributes);
    buf_append(out, STR("placeholder=\""));
    buf_append(out, field->placeholder);
    buf_append(out, STR("\" value=\""));
    html_append_text(out, field->value);
    if (field->problem)
        buf_printf(out,
                   "\" aria-invalid=\"true\" aria-describedby=\"%s-problem\">"
                   "<span class=\"bad\" id=\"%s-problem\">%s</span></p>\n",
                   id, id, field->problem);
    else
        buf_append(out, STR("\"></p>\n"));
}

/* As a ttl is written: "10d". */
static struct str
ttl_text(struct arena *arena, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    unsigned i = 0;
    while (seconds % units[i].seconds != 0)
        i++;
    return arena_printf(arena, "%lld%c", (long long)(seconds / units[i].seconds), units[i].letter);
}

static void
append_form(struct home *home)
{
    struct page *page = &home->page;
    struct buf *out = &page->out;
    struct str usual = ttl_text(&page->req->arena, page_config(page)->default_ttl_s);
    const struct field fields[] = {
        {"url", "URL of the file", " type=\"url\" required",
         STR("https://storage.example.com/builds/1234/Image.gz"), home->url, home->url_problem},
        {"ttl", "No older than <i>optional</i>", " pattern=\"[0-9]+[smhd]\"", usual, home->ttl,
         home->ttl_problem},
        {"name", "Save as <i>optional</i>", "", STR("Image.gz"), home->name, home->name_problem},
    };
    buf_printf(out, "<form class=\"card build\" action=\"%.*s#link\">\n", STR_ARG(page->root));
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
        append_field(out, &fields[i]);
    buf_append(out, STR("<p class=\"f-do\"><button>Make the link</button></p>\n</form>\n"));
}

/* --- the result --- */

static void
append_fetch_url(struct home *home, struct buf *link)
{
    buf_append(link, page_base_url(&home->page));
    buf_append(link, STR("/api/v1/fetch"));
    if (home->name.len) {
        buf_append_char(link, '/');
        html_append_encoded(link, home->name, "");
    }
    buf_append(link, STR("?url="));
    html_append_encoded(link, home->canonical, ":/");
    if (home->ttl.len) {
        buf_append(link, STR("&ttl="));
        html_append_encoded(link, home->ttl, "");
    }
}

/* The name under which a program of the shell saves it: letters that need no quotes, or "-". */
static struct str
file_name(const struct home *home)
{
    struct str name = home->name, path = home->canonical;
    if (name.len == 0) {
        path = str_first(path, str_find_char(path, '?'));
        name = str_skip(path, str_find_last_char(path, '/') + 1);
    }
    for (size_t i = 0; i < name.len; i++) {
        char lower = name.ptr[i] | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(lower >= '0' && lower <= '9') &&
            !memchr("._-+", name.ptr[i], 4))
            return STR("download");
    }
    return name.len == 0 || name.ptr[0] == '-' || name.ptr[0] == '.' ? STR("download") : name;
}

static void
append_command(struct page *page, const char *command, struct str name, struct str link)
{
    struct buf line;
    buf_init(&line, 8 * URL_MAX);
    buf_printf(&line, "%s %.*s '%.*s'", command, STR_ARG(name), STR_ARG(link));
    page_append_code(page, buf_str(&line));
    buf_deinit(&line);
}

static void
append_result(struct home *home)
{
    struct page *page = &home->page;
    struct buf *out = &page->out, link;
    buf_init(&link, 8 * URL_MAX);
    append_fetch_url(home, &link);
    buf_append(out, STR("<section class=\"card result\" id=\"link\">\n<h2>Your link</h2>\n"));
    page_append_code(page, buf_str(&link));
    if (home->ttl_is_cut) {
        buf_append(out, STR("<p class=\"note\">Nothing is kept here for more than "));
        html_append_duration(out, page_config(page)->max_ttl_s);
        buf_append(out, STR("; a longer time counts as that.</p>\n"));
    }
    buf_append(out, STR("<h3>curl</h3>\n"));
    append_command(page, "curl -fLo", file_name(home), buf_str(&link));
    buf_append(out, STR("<h3>wget</h3>\n"));
    append_command(page, "wget -cO", file_name(home), buf_str(&link));
    buf_append(out, STR("<p><a class=\"button\" href=\""));
    html_append_text(out, buf_str(&link));
    buf_append(out, STR("\">Download it now</a></p>\n</section>\n"));
    buf_deinit(&link);
}

/* --- figures --- */

static void
append_tile(struct page *page, const char *tab, const char *text, uint64_t count)
{
    struct buf *out = &page->out;
    buf_printf(out,
               "<a class=\"tile\" href=\"%.*sresources/%s/\"><b data-live=\"resources_%s\" "
               "data-as=\"count\">",
               STR_ARG(page->root), tab, tab);
    html_append_count(out, count);
    buf_printf(out, "</b><span>%s</span></a>\n", text);
}

static void
append_figures(struct page *page)
{
    const struct cache_figures *figures = &page->figures;
    buf_append(&page->out, STR("<h2>At the moment</h2>\n<div class=\"tiles\">\n"));
    append_tile(page, "successes", "ready on the disk", figures->entry_count);
    append_tile(page, "downloading", "downloading", figures->running_count);
    append_tile(page, "scheduled", "waiting in line", figures->queued_count);
    append_tile(page, "failures", "failed just now", figures->failed_count);
    buf_append(&page->out, STR("</div>\n"));
    page_append_quota(page);
}

void
home_answer(struct req *req, struct cache_worker *worker)
{
    struct home *home = page_new(req, worker, sizeof *home, STR("./"));
    if (!home)
        return;
    struct page *page = &home->page;
    read_form(home);
    page_begin(page, PAGES_HOME, "Fetch cache", 0);
    buf_append(&page->out,
               STR("<div class=\"lead\"><h1>Download once, serve everybody</h1>\n"
                   "<p>This cache downloads each file once and hands it to everybody who asks, "
                   "even while it is still coming in. After that it serves the file from its own "
                   "disk, and upstream hears nothing of it.</p></div>\n"));
    if (!access_is_allowed(worker->cache, req))
        buf_printf(&page->out,
                   "<p class=\"alert\">Your address may not fetch from this cache. "
                   "<a href=\"%.*shelp/#access\">Why?</a></p>\n",
                   STR_ARG(page->root));
    append_form(home);
    if (home->canonical.len && !home->ttl_problem && !home->name_problem)
        append_result(home);
    append_figures(page);
    page_end(page);
    page_respond(page, 200);
}
