#include "cache/pages_resources.h"

#include "base/limits.h"
#include "http/accept.h"

/* Four lists, a tab each. What is on the disk comes from the index, which searches, sorts and cuts
 * it into pages; what is on its way comes from the table. The same lists as JSON are what the
 * script asks for to keep a page up to date.
 */

#define COLUMN_URL                                 \
    {                                              \
        "url", "Resource", RESOURCES_BY_URL, false \
    }

const struct resources_tab resources_tabs[RESOURCES_KIND_COUNT] = {
    [RESOURCES_SUCCESSES] = {"successes",
                             "Ready",
                             "resources_successes",
                             "Nothing is on the disk yet.",
                             {COLUMN_URL,
                              {"size", "Size", RESOURCES_BY_SIZE, true},
                              {"uses", "Uses", RESOURCES_BY_USES, true},
                              {"age", "Age", RESOURCES_BY_AGE, false},
                              {NULL, "Expires in", RESOURCES_UNSORTED, false},
                              {"used", "Last used", RESOURCES_BY_LAST_USED, false}},
                             .usual = 5},
    [RESOURCES_DOWNLOADING] = {"downloading",
                               "Downloading",
                               "resources_downloading",
                               "Nothing is being downloaded.",
                               {COLUMN_URL,
                                {"received", "Progress", RESOURCES_BY_RECEIVED, true},
                                {"size", "Size", RESOURCES_BY_SIZE, true},
                                {NULL, "Clients", RESOURCES_UNSORTED, false},
                                {"age", "Running", RESOURCES_BY_AGE, true}},
                               .usual = 4,
                               .falls = true},
    [RESOURCES_SCHEDULED] = {"scheduled",
                             "Scheduled",
                             "resources_scheduled",
                             "Nothing waits in line.",
                             {COLUMN_URL,
                              {NULL, "Clients", RESOURCES_UNSORTED, false},
                              {"age", "Waiting", RESOURCES_BY_AGE, true}},
                             .usual = 2,
                             .falls = true},
    [RESOURCES_FAILURES] = {"failures",
                            "Failures",
                            "resources_failures",
                            "Nothing has failed lately.",
                            {COLUMN_URL,
                             {"status", "Status", RESOURCES_BY_STATUS, false},
                             {NULL, "Reason", RESOURCES_UNSORTED, false},
                             {NULL, "Forgotten in", RESOURCES_UNSORTED, false},
                             {"age", "Asked", RESOURCES_BY_AGE, false}},
                            .usual = 4},
};

/* --- what is asked for; what makes no sense counts as not said --- */

static void
read_order(struct resources *resources)
{
    const struct resources_tab *tab = resources->tab;
    struct str key = page_parameter(&resources->page, "sort");
    struct str order = page_parameter(&resources->page, "order");
    resources->column = &tab->columns[tab->usual];
    resources->falls = tab->falls;
    for (const struct resources_column *column = tab->columns; column->title; column++)
        if (column->key && str_eq(key, str_from_cstr(column->key))) {
            resources->column = column;
            resources->falls = column->falls;
        }
    if (str_eq(order, STR("asc")) || str_eq(order, STR("desc")))
        resources->falls = str_eq(order, STR("desc"));
}

static uint32_t
read_number(struct resources *resources, const char *name, uint32_t least, uint32_t most)
{
    uint64_t number;
    if (!str_to_u64(page_parameter(&resources->page, name), &number) || number < least)
        return least;
    return (uint32_t)(number < most ? number : most);
}

static bool
wants_json(struct resources *resources)
{
    struct str format = page_parameter(&resources->page, "format");
    struct str accept = http_head_value(&resources->page.req->head, HTTP_FIELD_ACCEPT);
    if (format.len)
        return str_eq(format, STR("json"));
    return http_accept_names(accept, STR("application/json")) &&
           http_accept_quality(accept, STR("application/json")) >
               http_accept_quality(accept, STR("text/html"));
}

static void
read_query(struct resources *resources)
{
    read_order(resources);
    /* what is longer than any URL finds nothing, and so does its beginning */
    resources->search =
        str_first(str_trim(page_parameter(&resources->page, "search")), URL_MAX + 1);
    resources->number = read_number(resources, "page", 1, CACHE_INDEX_DEPTH_MAX / CACHE_PAGE_ROWS);
    resources->refresh_s = read_number(resources, "refresh", 0, 3600);
    resources->wants_json = wants_json(resources);
    resources->rows = CACHE_PAGE_ROWS;
    if (resources->wants_json)
        resources->rows = read_number(resources, "rows", CACHE_PAGE_ROWS, CACHE_PAGE_JSON_ROWS);
}

static uint32_t
page_count(const struct resources *resources)
{
    uint64_t count = resources->match_count;
    if (count > CACHE_INDEX_DEPTH_MAX)
        count = CACHE_INDEX_DEPTH_MAX;
    return count ? (uint32_t)((count + resources->rows - 1) / resources->rows) : 1;
}

/* --- links to the same list in another way --- */

static void
append_way(struct resources *resources, const struct resources_column *column, bool falls,
           uint32_t number)
{
    struct buf *out = &resources->page.out;
    buf_printf(out, "?sort=%s&amp;order=%s", column->key, falls ? "desc" : "asc");
    if (resources->search.len) {
        buf_append(out, STR("&amp;search="));
        html_append_encoded(out, resources->search, "");
    }
    if (number > 1)
        buf_printf(out, "&amp;page=%u", number);
}

static void
append_column_head(struct resources *resources, const struct resources_column *column)
{
    struct buf *out = &resources->page.out;
    bool is_sorted = column == resources->column;
    bool falls = is_sorted ? !resources->falls : column->falls;
    if (!column->key) {
        buf_printf(out, "<th scope=\"col\" class=\"fixed\">%s", column->title);
        return;
    }
    buf_append(out, STR("<th scope=\"col\""));
    if (is_sorted)
        buf_printf(out, " aria-sort=\"%s\"", resources->falls ? "descending" : "ascending");
    buf_append(out, STR("><a href=\""));
    append_way(resources, column, falls, 1);
    buf_printf(out, "\">%s</a>", column->title);
}

static void
append_paging(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    uint32_t number = resources->number, count = page_count(resources);
    if (count == 1)
        return;
    buf_append(out, STR("<nav class=\"paging\" aria-label=\"Pages of the list\">"));
    if (number > 1) {
        buf_append(out, STR("<a class=\"button\" rel=\"prev\" href=\""));
        append_way(resources, resources->column, resources->falls, number - 1);
        buf_append(out, STR("\">Previous</a>"));
    }
    buf_append(out, STR("<span>Page "));
    html_append_count(out, number);
    buf_append(out, STR(" of "));
    html_append_count(out, count);
    buf_append(out, STR("</span>"));
    if (number < count) {
        buf_append(out, STR("<a class=\"button\" rel=\"next\" href=\""));
        append_way(resources, resources->column, resources->falls, number + 1);
        buf_append(out, STR("\">Next</a>"));
    }
    buf_append(out, STR("</nav>\n"));
    if (resources->match_count > CACHE_INDEX_DEPTH_MAX && number == count)
        buf_append(out, STR("<p class=\"note\">The list ends here. Search, or sort in another way, "
                            "to see more.</p>\n"));
}

/* --- around the list --- */

static uint64_t
count_of_tab(const struct cache_figures *figures, enum resources_kind kind)
{
    switch (kind) {
    case RESOURCES_DOWNLOADING:
        return figures->running_count;
    case RESOURCES_SCHEDULED:
        return figures->queued_count;
    case RESOURCES_FAILURES:
        return figures->failed_count;
    default:
        return figures->entry_count;
    }
}

static void
append_tabs(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    buf_append(out, STR("<nav class=\"tabs\" aria-label=\"Lists\">\n"));
    for (unsigned kind = 0; kind < RESOURCES_KIND_COUNT; kind++) {
        const struct resources_tab *tab = &resources_tabs[kind];
        buf_printf(out, "<a href=\"../%s/\"%s>%s <b data-live=\"%s\" data-as=\"count\">", tab->name,
                   kind == resources->kind ? " aria-current=\"page\"" : "", tab->title, tab->key);
        html_append_count(out, count_of_tab(&resources->page.figures, kind));
        buf_append(out, STR("</b></a>\n"));
    }
    buf_append(out, STR("</nav>\n"));
}

static void
append_search(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    buf_append(out,
               STR("<div class=\"bar\"><form role=\"search\"><input type=\"search\" "
                   "name=\"search\" aria-label=\"Part of a URL\" placeholder=\"Part of a URL\" "
                   "value=\""));
    html_append_text(out, resources->search);
    buf_printf(out,
               "\"><input type=\"hidden\" name=\"sort\" value=\"%s\"><input type=\"hidden\" "
               "name=\"order\" value=\"%s\"><button>Search</button></form>\n<p role=\"status\">",
               resources->column->key, resources->falls ? "desc" : "asc");
    html_append_count(out, resources->match_count);
    buf_printf(out, " resource%s", resources->match_count == 1 ? "" : "s");
    if (resources->kind == RESOURCES_SUCCESSES && resources->match_count) {
        buf_append(out, STR(", "));
        html_append_size(out, resources->match_len);
    }
    if (resources->search.len)
        buf_append(out, STR(" found · <a href=\"?\">Show all</a>"));
    buf_append(out, STR("</p></div>\n"));
}

/* Without JavaScript nothing moves by itself. */
static void
append_refresh(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    if (resources->kind == RESOURCES_SUCCESSES)
        return;
    buf_append(out, STR("<noscript><p class=\"note\">"));
    if (resources->refresh_s)
        buf_printf(out, "This page is loaded again every %u s. <a href=\"?\">Stop</a>",
                   resources->refresh_s);
    else
        buf_append(out, STR("<a href=\"?refresh=5\">Load this page again every 5 seconds</a>"));
    buf_append(out, STR("</p></noscript>\n"));
}

/* The dialog is the script's; it stays closed without. */
static void
append_purge(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    if (resources->kind != RESOURCES_SUCCESSES || !page_config(&resources->page)->purge_token)
        return;
    buf_append(out, STR("<noscript><p class=\"note\">Purging from here needs JavaScript; "
                        "<a href=\"../../help/#purge\">it goes with curl too</a>.</p></noscript>\n"
                        "<dialog id=\"purge\" aria-labelledby=\"purge-title\"><form "
                        "method=\"dialog\"><h2 id=\"purge-title\">Purge this resource?</h2>\n"
                        "<p class=\"url\"></p>\n<p class=\"note\">It is downloaded again when "
                        "somebody asks for it. Whoever is reading it can finish.</p>\n"
                        "<p><label for=\"token\">Purge token</label><input id=\"token\" "
                        "type=\"password\" autocomplete=\"off\" required></p>\n"
                        "<p class=\"bad\" role=\"alert\" hidden></p>\n<p class=\"do\">"
                        "<button type=\"button\" class=\"plain\" value=\"no\">Cancel</button>"
                        "<button class=\"danger\">Purge</button></p></form></dialog>\n"));
}

static void
begin_list(struct resources *resources)
{
    struct page *page = &resources->page;
    struct buf *out = &page->out;
    const struct resources_tab *tab = resources->tab;
    page_begin(page, PAGES_RESOURCES, tab->title, resources->refresh_s);
    buf_append(out, STR("<h1>Resources</h1>\n"));
    append_tabs(resources);
    append_search(resources);
    buf_printf(
        out, "<div class=\"card\" id=\"list\"%s><table class=\"list %s\" data-state=\"%s\"%s>\n",
        resources->match_count ? "" : " hidden", tab->name, tab->name,
        page_config(page)->purge_token && resources->kind == RESOURCES_SUCCESSES ? " data-purge"
                                                                                 : "");
    buf_append(out, STR("<thead><tr>"));
    for (const struct resources_column *column = tab->columns; column->title; column++)
        append_column_head(resources, column);
    buf_append(out, STR("</thead>\n<tbody>\n"));
}

static void
end_list(struct resources *resources)
{
    struct page *page = &resources->page;
    buf_append(&page->out, STR("</tbody></table></div>\n"));
    buf_printf(&page->out, "<p class=\"empty\" id=\"empty\"%s>%s</p>\n",
               resources->match_count ? " hidden" : "",
               resources->search.len ? "Nothing like that is here." : resources->tab->none);
    append_paging(resources);
    append_refresh(resources);
    append_purge(resources);
    page_end(page);
    page_respond(page, 200);
}

/* --- JSON --- */

static void
begin_json(struct resources *resources)
{
    struct buf *out = &resources->page.out;
    struct cache_figures *figures = &resources->page.figures;
    cache_figures(resources->page.worker->cache, figures);
    buf_printf(out, "{\"state\": \"%s\", \"timestamp\": %lld, \"disk_usage\": %llu, ",
               resources->tab->name, (long long)page_now_s(&resources->page),
               (unsigned long long)figures->used);
    for (unsigned kind = 0; kind < RESOURCES_KIND_COUNT; kind++)
        buf_printf(out, "\"%s\": %llu, ", resources_tabs[kind].key,
                   (unsigned long long)count_of_tab(figures, kind));
    buf_printf(out, "\"match_count\": %llu, \"page\": %u, \"page_count\": %u,\n\"resources\": [",
               (unsigned long long)resources->match_count, resources->number,
               page_count(resources));
}

static void
end_json(struct resources *resources)
{
    buf_append(&resources->page.out, STR("]}\n"));
    page_respond_json(&resources->page);
}

static void
separate_json(struct resources *resources, unsigned at)
{
    buf_append(&resources->page.out, at ? STR(",\n") : STR("\n"));
}

/* --- the lists --- */

static void ask_entries(struct resources *resources);

static void
entries_are_there(struct page *page, const struct index_result *result)
{
    struct resources *resources = (struct resources *)page;
    resources->match_count = result->match_count;
    resources->match_len = result->match_len;
    if (resources->number > page_count(resources)) {
        resources->number = page_count(resources);
        ask_entries(resources);
        return;
    }
    if (resources->wants_json) {
        begin_json(resources);
        for (unsigned i = 0; i < result->count; i++) {
            separate_json(resources, i);
            rows_append_entry_json(resources, &result->entries[i]);
        }
        end_json(resources);
        return;
    }
    begin_list(resources);
    for (unsigned i = 0; i < result->count; i++)
        rows_append_entry(resources, &result->entries[i]);
    end_list(resources);
}

static void
ask_entries(struct resources *resources)
{
    static const enum index_order orders[] = {
        [RESOURCES_BY_URL] = INDEX_BY_URL,
        [RESOURCES_BY_SIZE] = INDEX_BY_LEN,
        [RESOURCES_BY_USES] = INDEX_BY_USES,
        [RESOURCES_BY_AGE] = INDEX_BY_CREATED,
        [RESOURCES_BY_LAST_USED] = INDEX_BY_LAST_USED,
    };
    enum resources_sort sort = resources->column->sort;
    /* The pages say how long ago, the index when. */
    bool is_reversed = sort == RESOURCES_BY_AGE || sort == RESOURCES_BY_LAST_USED;
    const struct index_query query = {
        .kind = INDEX_LIST,
        .order = orders[sort],
        .descending = resources->falls != is_reversed,
        .search = resources->search,
        .offset = (resources->number - 1) * resources->rows,
        .count = resources->rows,
    };
    page_ask(&resources->page, &query, entries_are_there);
}

static void
answer_flights(struct resources *resources)
{
    struct resources_flights flights;
    if (!flights_collect(resources, &flights)) {
        req_respond_error(resources->page.req, 503);
        return;
    }
    resources->match_count = flights.count;
    if (resources->number > page_count(resources))
        resources->number = page_count(resources);
    unsigned from = (resources->number - 1) * resources->rows, until = from + resources->rows;
    if (until > flights.count)
        until = flights.count;
    if (resources->wants_json)
        begin_json(resources);
    else
        begin_list(resources);
    for (unsigned i = from; i < until; i++) {
        if (resources->wants_json) {
            separate_json(resources, i - from);
            rows_append_flight_json(resources, &flights.list[i]);
        } else {
            rows_append_flight(resources, &flights.list[i]);
        }
    }
    flights_release(&flights);
    if (resources->wants_json)
        end_json(resources);
    else
        end_list(resources);
}

static int
kind_of(struct str name)
{
    for (int kind = 0; kind < RESOURCES_KIND_COUNT; kind++)
        if (str_eq(name, str_from_cstr(resources_tabs[kind].name)))
            return kind;
    return -1;
}

bool
resources_is_tab(struct str tab)
{
    return kind_of(tab) >= 0;
}

bool
resources_answer(struct req *req, struct cache_worker *worker, struct str tab)
{
    int kind = kind_of(tab);
    if (kind < 0)
        return false;
    struct resources *resources = page_new(req, worker, sizeof *resources, STR("../../"));
    if (!resources)
        return true;
    resources->kind = (enum resources_kind)kind;
    resources->tab = &resources_tabs[kind];
    read_query(resources);
    if (resources->kind == RESOURCES_SUCCESSES)
        ask_entries(resources);
    else
        answer_flights(resources);
    return true;
}
