#include "cache/pages_resources.h"

#include <inttypes.h>

/* One resource as a row of a table, and as a member of a JSON array. The script draws rows of its
 * own from the JSON that look like these. */

enum {
    TEXT_HEAD_MAX = 400, /* of a URL that is shown; all of it is in the title and the link */
    TEXT_TAIL_LEN = 100,
    TAIL_MAX = 28, /* of a file's name that is never cut */
    TAIL_LEN = 24, /* of the end of a longer one */
};

/* --- HTML --- */

/* Where the part begins that says most: the name of the file, or the end. */
static size_t
find_tail(struct str url)
{
    struct str path = str_first(url, str_find_char(url, '?'));
    size_t name = str_find_last_char(path, '/') + 1;
    return url.len - name > TAIL_MAX ? url.len - TAIL_LEN : name;
}

/* Three parts: the scheme, what the style cuts where there is no room, and the tail. */
static void
append_url_text(struct buf *out, struct str url)
{
    size_t from = str_find(url, STR("//")) + 2, tail = find_tail(url);
    struct str head = str_skip(str_first(url, tail), from);
    buf_append(out, STR("<i>"));
    html_append_text(out, str_first(url, from));
    buf_append(out, STR("</i><span class=\"h\">"));
    html_append_text(out, str_first(head, TEXT_HEAD_MAX));
    if (head.len > TEXT_HEAD_MAX + TEXT_TAIL_LEN) {
        buf_append(out, STR("…"));
        head = str_skip(head, head.len - TEXT_TAIL_LEN);
    } else {
        head = str_skip(head, TEXT_HEAD_MAX);
    }
    html_append_text(out, head);
    buf_append(out, STR("</span><span>"));
    html_append_text(out, str_skip(url, tail));
    buf_append(out, STR("</span>"));
}

static void
begin_row(struct resources *resources, struct str url)
{
    struct buf *out = &resources->page.out;
    buf_append(out, STR("<tr><td class=\"u\"><a href=\""));
    buf_append(out, resources->page.root);
    buf_append(out, STR("api/v1/fetch?url="));
    html_append_encoded(out, url, ":/");
    buf_append(out, STR("\" title=\""));
    html_append_text(out, url);
    buf_append(out, STR("\">"));
    append_url_text(out, url);
    buf_append(out, STR("</a>"));
}

/* The next cell; the label shows on narrow screens, where there are no columns. */
static void
next_cell(struct buf *out, const char *label)
{
    buf_printf(out, "<td data-label=\"%s\">", label);
}

void
rows_append_entry(struct resources *resources, const struct cache_entry *entry)
{
    struct buf *out = &resources->page.out;
    int64_t now_s = page_now_s(&resources->page);
    int64_t expires_s = entry->created_s + entry->ttl_s;
    begin_row(resources, entry->url);
    next_cell(out, "Size");
    html_append_size_element(out, entry->len);
    next_cell(out, "Uses");
    html_append_count(out, entry->use_count);
    next_cell(out, "Age");
    html_append_time_element(out, entry->created_s, now_s - entry->created_s);
    next_cell(out, "Expires in");
    if (expires_s > now_s)
        html_append_time_element(out, expires_s, expires_s - now_s);
    else
        buf_append(out, STR("<span class=\"soft\">expired</span>"));
    next_cell(out, "Last used");
    html_append_time_element(out, entry->last_used_s, now_s - entry->last_used_s);
    buf_append(out, STR(" ago"));
    buf_append_char(out, '\n');
}

static void
append_progress(struct buf *out, const struct resources_flight *flight)
{
    uint64_t received = flight->received_len, total = flight->total_len;
    buf_append(out,
               STR("<td class=\"p\" data-label=\"Progress\"><progress aria-label=\"Progress\""));
    if (total != OBJECT_LEN_UNKNOWN)
        buf_printf(out, " max=\"%" PRIu64 "\" value=\"%" PRIu64 "\"", total ? total : 1,
                   total ? received : 1);
    buf_append(out, STR("></progress><span>"));
    html_append_size(out, received);
    if (total != OBJECT_LEN_UNKNOWN) {
        buf_append(out, STR(" · "));
        html_append_percent(out, received, total);
    }
    buf_append(out, STR("</span>"));
}

static void
append_downloading(struct buf *out, const struct resources_flight *flight)
{
    append_progress(out, flight);
    next_cell(out, "Size");
    if (flight->total_len != OBJECT_LEN_UNKNOWN)
        html_append_size_element(out, flight->total_len);
    else
        buf_append(out, STR("<span class=\"soft\">unknown</span>"));
}

static void
append_clients(struct buf *out, struct cache_flight *flight)
{
    uint64_t left_ns;
    next_cell(out, "Clients");
    html_append_count(out, flight_waiters(flight, &left_ns));
}

static void
append_failure(struct resources *resources, const struct resources_flight *flight)
{
    struct buf *out = &resources->page.out;
    struct flight_view view;
    flight_look(flight->flight, &view);
    object_unref(view.object);
    next_cell(out, "Status");
    buf_printf(out, "<b class=\"bad\">%d</b>", view.status);
    buf_append(out, STR("<td class=\"r\" data-label=\"Reason\"><bdi>"));
    html_append_text(out, str_from_cstr(view.reason));
    buf_append(out, STR("</bdi>"));
    next_cell(out, "Forgotten in");
    html_append_duration(out, flight->expires_s - page_now_s(&resources->page));
}

void
rows_append_flight(struct resources *resources, const struct resources_flight *flight)
{
    struct buf *out = &resources->page.out;
    int64_t started_s = flight->flight->started_s;
    bool is_failure = resources->kind == RESOURCES_FAILURES;
    begin_row(resources, flight_url(flight->flight));
    if (is_failure)
        append_failure(resources, flight);
    if (resources->kind == RESOURCES_DOWNLOADING)
        append_downloading(out, flight);
    if (!is_failure)
        append_clients(out, flight->flight);
    next_cell(out, is_failure                                 ? "Asked"
                   : resources->kind == RESOURCES_DOWNLOADING ? "Running"
                                                              : "Waiting");
    html_append_time_element(out, started_s, page_now_s(&resources->page) - started_s);
    buf_append(out, is_failure ? STR(" ago\n") : STR("\n"));
}

/* --- JSON --- */

static void
append_member(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, ", \"%s\": ", name);
    html_append_json(out, value);
}

static void
append_number(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, ", \"%s\": %" PRId64, name, value);
}

static void
begin_json(struct buf *out, struct str url)
{
    buf_append(out, STR("{\"url\": "));
    html_append_json(out, url);
}

void
rows_append_entry_json(struct resources *resources, const struct cache_entry *entry)
{
    struct buf *out = &resources->page.out;
    begin_json(out, entry->url);
    append_number(out, "size", (int64_t)entry->len);
    append_number(out, "uses", entry->use_count);
    append_number(out, "created", entry->created_s);
    append_number(out, "last_used", entry->last_used_s);
    append_number(out, "expires", entry->created_s + entry->ttl_s);
    append_member(out, "content_type", entry->content_type);
    append_member(out, "etag", entry->etag);
    buf_append(out, STR(", \"sha256\": \""));
    for (unsigned i = 0; i < CACHE_SHA256_LEN; i++)
        buf_printf(out, "%02x", entry->sha256[i]);
    buf_append(out, STR("\"}"));
}

void
rows_append_flight_json(struct resources *resources, const struct resources_flight *flight)
{
    struct buf *out = &resources->page.out;
    struct flight_view view;
    uint64_t left_ns;
    begin_json(out, flight_url(flight->flight));
    append_number(out, "started", flight->flight->started_s);
    append_number(out, "clients", flight_waiters(flight->flight, &left_ns));
    if (resources->kind == RESOURCES_DOWNLOADING) {
        append_number(out, "received", (int64_t)flight->received_len);
        if (flight->total_len != OBJECT_LEN_UNKNOWN)
            append_number(out, "size", (int64_t)flight->total_len);
        else
            buf_append(out, STR(", \"size\": null"));
    }
    if (resources->kind == RESOURCES_FAILURES) {
        flight_look(flight->flight, &view);
        object_unref(view.object);
        append_number(out, "status", view.status);
        append_member(out, "reason", str_from_cstr(view.reason));
        append_number(out, "forgotten", flight->expires_s);
    }
    buf_append_char(out, '}');
}
