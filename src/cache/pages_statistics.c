#include "cache/pages_internal.h"

#include "cache/pages_chart.h"

/* What the cache has done: since it was made, in the last hours, in the last days. Two questions to
 * the index, one after the other. */

enum { HOURS = 48, DAYS = 30 };

struct statistics {
    struct page page; /* first */
    unsigned hour_count;
    struct index_period hours[HOURS];
};

/* --- tiles: a name, a figure, what it is made of --- */

static void
begin_tile(struct buf *out, const char *name)
{
    buf_printf(out, "<div class=\"tile\"><span>%s</span><b>", name);
}

static void
note_tile(struct buf *out)
{
    buf_append(out, STR("</b><i>"));
}

static void
end_tile(struct buf *out)
{
    buf_append(out, STR("</i></div>\n"));
}

static void
append_hits_tile(struct buf *out, const uint64_t *totals)
{
    uint64_t requests = totals[CACHE_TOTAL_REQUESTS], hits = totals[CACHE_TOTAL_HITS];
    begin_tile(out, "Hit ratio");
    html_append_percent(out, hits, requests);
    note_tile(out);
    html_append_count(out, hits);
    buf_append(out, STR(" of "));
    html_append_count(out, requests);
    buf_append(out, STR(" requests"));
    end_tile(out);
}

static void
append_saved_tile(struct buf *out, const uint64_t *totals)
{
    uint64_t up = totals[CACHE_TOTAL_UPLOAD], down = totals[CACHE_TOTAL_DOWNLOAD];
    begin_tile(out, "Saved");
    html_append_size(out, up > down ? up - down : 0);
    note_tile(out);
    buf_append(out, STR("not downloaded again"));
    end_tile(out);
}

static void
append_ratio_tile(struct buf *out, const uint64_t *totals)
{
    uint64_t up = totals[CACHE_TOTAL_UPLOAD], down = totals[CACHE_TOTAL_DOWNLOAD];
    begin_tile(out, "Reuse");
    if (down == 0)
        buf_append(out, STR("–"));
    else if (up / down >= 100)
        buf_printf(out, "%llu×", (unsigned long long)(up / down));
    else
        buf_printf(out, "%.1f×", (double)up / (double)down);
    note_tile(out);
    html_append_size(out, up);
    buf_append(out, STR(" served, "));
    html_append_size(out, down);
    buf_append(out, STR(" downloaded"));
    end_tile(out);
}

static void
append_downloads_tile(struct buf *out, const uint64_t *totals)
{
    uint64_t good = totals[CACHE_TOTAL_SUCCESSES], bad = totals[CACHE_TOTAL_FAILURES];
    begin_tile(out, "Downloads");
    html_append_count(out, good + bad);
    note_tile(out);
    html_append_count(out, good);
    buf_append(out, STR(" ended well, "));
    html_append_count(out, bad);
    buf_append(out, STR(" failed"));
    end_tile(out);
}

static void
append_since_start(struct page *page)
{
    const struct cache_figures *figures = &page->figures;
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"confirmed by upstream", figures->revalidated},
        {"tried again", figures->retried},
        {"resumed", figures->resumed},
        {"evicted to make room", figures->evicted},
        {"refused for lack of room", figures->refused_full},
    };
    buf_append(&page->out, STR("<h2>Since the start of the server</h2>\n<dl class=\"card\">\n"));
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(&page->out, "<div><dt>%s<dd>", rows[i].name);
        html_append_count(&page->out, rows[i].count);
        buf_append(&page->out, STR("</div>\n"));
    }
    buf_append(&page->out, STR("</dl>\n"));
}

/* --- periods --- */

static void
append_charts(struct buf *out, const struct index_period *periods, unsigned count, bool by_day)
{
    struct chart chart = {
        .title = by_day ? "Requests a day" : "Requests an hour",
        .by_day = by_day,
        .is_part = true,
        .back = CACHE_TOTAL_REQUESTS,
        .front = CACHE_TOTAL_HITS,
        .back_text = "requests",
        .front_text = "of them from the disk",
        .own_key = "from disk",
        .up_key = "fetched",
        .periods = periods,
        .count = count,
    };
    chart_append(out, &chart);
    chart.title = by_day ? "Bytes a day" : "Bytes an hour";
    chart.is_part = false;
    chart.is_bytes = true;
    chart.back = CACHE_TOTAL_UPLOAD;
    chart.front = CACHE_TOTAL_DOWNLOAD;
    chart.back_text = "served";
    chart.front_text = "downloaded";
    chart.own_key = "served";
    chart.up_key = "downloaded";
    chart_append(out, &chart);
}

static void
append_period_row(struct buf *out, const struct index_period *period, bool by_day)
{
    const uint64_t *values = period->totals.values;
    buf_append(out, STR("<tr><th scope=\"row\">"));
    chart_append_period(out, period->start_s, by_day);
    buf_append(out, STR("<td>"));
    html_append_count(out, values[CACHE_TOTAL_REQUESTS]);
    buf_append(out, STR("<td>"));
    html_append_count(out, values[CACHE_TOTAL_HITS]);
    buf_append(out, STR("<td>"));
    html_append_size(out, values[CACHE_TOTAL_UPLOAD]);
    buf_append(out, STR("<td>"));
    html_append_size(out, values[CACHE_TOTAL_DOWNLOAD]);
    buf_append(out, STR("<td>"));
    html_append_count(out, values[CACHE_TOTAL_FAILURES]);
    buf_append(out, STR("\n"));
}

/* Newest first. */
static void
append_period_table(struct buf *out, const struct index_period *periods, unsigned count,
                    bool by_day)
{
    buf_append(out, STR("<details class=\"card\"><summary>The same as a table</summary>\n"
                        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
                        "aria-label=\"Table\"><table class=\"figures\">\n<thead><tr>"));
    buf_printf(out,
               "<th scope=\"col\">%s<th scope=\"col\">Requests<th scope=\"col\">From disk"
               "<th scope=\"col\">Served<th scope=\"col\">Downloaded<th scope=\"col\">Failures"
               "</thead>\n<tbody>\n",
               by_day ? "Day" : "Hour");
    for (unsigned i = count; i-- > 0;)
        append_period_row(out, &periods[i], by_day);
    buf_append(out, STR("</tbody></table></div></details>\n"));
}

static void
append_periods(struct buf *out, const char *title, const struct index_period *periods,
               unsigned count, bool by_day)
{
    buf_printf(out, "<h2>%s <small>times are UTC</small></h2>\n<div class=\"charts\">\n", title);
    append_charts(out, periods, count, by_day);
    buf_append(out, STR("</div>\n"));
    append_period_table(out, periods, count, by_day);
}

/* --- the page --- */

static void
days_are_there(struct page *page, const struct index_result *result)
{
    struct statistics *statistics = (struct statistics *)page;
    struct buf *out = &page->out;
    page_begin(page, PAGES_STATISTICS, "Statistics", 0);
    const uint64_t *totals = page->figures.totals.values;
    buf_append(out, STR("<h1>Statistics</h1>\n<div class=\"tiles wide\">\n"));
    append_hits_tile(out, totals);
    append_saved_tile(out, totals);
    append_ratio_tile(out, totals);
    append_downloads_tile(out, totals);
    buf_append(out, STR("</div>\n"));
    page_append_quota(page);
    append_periods(out, "Last 48 hours", statistics->hours, statistics->hour_count, false);
    append_periods(out, "Last 30 days", result->periods, result->count, true);
    append_since_start(page);
    page_end(page);
    page_respond(page, 200);
}

static void
hours_are_there(struct page *page, const struct index_result *result)
{
    struct statistics *statistics = (struct statistics *)page;
    statistics->hour_count = result->count < HOURS ? result->count : HOURS;
    for (unsigned i = 0; i < statistics->hour_count; i++)
        statistics->hours[i] = result->periods[i];
    const struct index_query query = {
        .kind = INDEX_DAYS,
        .count = DAYS,
        .now_s = page_now_s(page),
    };
    page_ask(page, &query, days_are_there);
}

void
statistics_answer(struct req *req, struct cache_worker *worker)
{
    struct statistics *statistics = page_new(req, worker, sizeof *statistics, STR("../"));
    if (!statistics)
        return;
    const struct index_query query = {
        .kind = INDEX_HOURS,
        .count = HOURS,
        .now_s = page_now_s(&statistics->page),
    };
    page_ask(&statistics->page, &query, hours_are_there);
}
