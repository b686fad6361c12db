#include "cache/pages_internal.h"

#include "cache/pages_assets.h"

/* What is the same on every page: head, way around, foot; and parts that several have. Links are
 * relative, so that the pages work below any prefix that a proxy may put in front of them. */

static void
append_head(struct page *page, const char *title, unsigned refresh_s)
{
    struct buf *out = &page->out;
    buf_append(out, STR("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width, "
                        "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
                        "<meta name=\"robots\" content=\"noindex\">\n"));
    if (refresh_s)
        buf_printf(out, "<noscript><meta http-equiv=\"refresh\" content=\"%u\"></noscript>\n",
                   refresh_s);
    buf_printf(out, "<title>%s · ", title);
    html_append_text(out, str_from_cstr(page->worker->cache->instance));
    buf_append(out, STR("</title>\n<link rel=\"icon\" href=\""));
    buf_append(out, pages_icon);
    buf_append(out, STR("\">\n<style>"));
    buf_append(out, pages_style);
    buf_append(out, STR("</style>\n</head>\n"));
}

static void
append_link(struct page *page, const char *path, const char *text, bool is_here)
{
    buf_printf(&page->out, "<a href=\"%.*s%s\"%s>%s</a>", STR_ARG(page->root), path,
               is_here ? " aria-current=\"page\"" : "", text);
}

void
page_begin(struct page *page, enum pages_section section, const char *title, unsigned refresh_s)
{
    struct buf *out = &page->out;
    cache_figures(page->worker->cache, &page->figures);
    append_head(page, title, refresh_s);
    buf_printf(out,
               "<body data-root=\"%.*s\">\n<a class=\"skip\" href=\"#main\">Skip to content</a>"
               "\n<header class=\"top\"><div>\n<a class=\"brand\" href=\"%.*s\">",
               STR_ARG(page->root), STR_ARG(page->root));
    buf_append(out, pages_logo);
    buf_append(out, STR("<span>tarn <b>cache</b></span></a>\n<nav aria-label=\"Pages\">"));
    append_link(page, "", "Home", section == PAGES_HOME);
    append_link(page, "resources/successes/", "Resources", section == PAGES_RESOURCES);
    append_link(page, "statistics/", "Statistics", section == PAGES_STATISTICS);
    append_link(page, "help/", "Help", section == PAGES_HELP);
    buf_append(out, STR("</nav>\n</div></header>\n<main id=\"main\">\n"));
}

void
page_end(struct page *page)
{
    struct buf *out = &page->out;
    buf_append(out, STR("</main>\n<footer><span>"));
    html_append_text(out, str_from_cstr(page->worker->cache->instance));
    buf_append(out, STR("</span><span>tarn "));
    html_append_text(out, str_from_cstr(page_config(page)->version));
    buf_append(out, STR("</span></footer>\n<script>"));
    buf_append(out, pages_script);
    buf_append(out, STR("</script>\n</body>\n</html>\n"));
}

void
page_append_quota(struct page *page)
{
    struct buf *out = &page->out;
    uint64_t used = page->figures.used, quota = page->figures.quota;
    buf_append(out, STR("<section class=\"card quota\" aria-label=\"Disk\">\n<p><b data-live="
                        "\"disk_usage\" data-as=\"size\">"));
    html_append_size(out, used);
    buf_append(out, STR("</b> <span>"));
    if (quota) {
        buf_append(out, STR("of "));
        html_append_size(out, quota);
        buf_append(out, STR(" used</span> <em data-live=\"disk_usage\" data-as=\"share\">"));
        html_append_percent(out, used, quota);
        buf_append(out, STR("</em></p>\n"));
        buf_printf(out,
                   "<progress max=\"%llu\" value=\"%llu\" data-live=\"disk_usage\" "
                   "aria-label=\"Disk in use\"></progress>\n",
                   (unsigned long long)quota, (unsigned long long)used);
        buf_printf(out,
                   "<p class=\"note\">Above %u %% the least recently used resources make "
                   "room.</p>\n",
                   page_config(page)->clean_percent);
    } else {
        buf_append(out, STR("used, without a limit</span></p>\n"));
    }
    buf_append(out, STR("</section>\n"));
}

void
page_append_code(struct page *page, struct str code)
{
    buf_append(&page->out, STR("<pre><code>"));
    html_append_text(&page->out, code);
    buf_append(&page->out, STR("</code></pre>\n"));
}
