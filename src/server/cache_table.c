#include "server/cache_table.h"

#include "server/cli_text.h"
#include "server/size_text.h"

#include <inttypes.h>
#include <stdio.h>

/* SIZE USES AGE EXPIRES URL. No cell but the URL has a blank, so that a line can be split at them.
 */

enum { CELL_MAX = 32, GAP = 2, URL_WIDTH_MIN = 20 };

struct cells {
    char size[SIZE_TEXT_MAX], uses[CELL_MAX], age[CLI_TEXT_AGE_MAX], expires[CLI_TEXT_AGE_MAX];
};

static void
fill_cells(struct cells *cells, const struct cache_entry *entry, int64_t now_s)
{
    int64_t left_s = entry->created_s + entry->ttl_s - now_s;
    char *blank = strchr(size_text(cells->size, entry->len), ' ');
    if (blank)
        memmove(blank, blank + 1, strlen(blank));
    snprintf(cells->uses, sizeof cells->uses, "%" PRIu32, entry->use_count);
    cli_text_age(cells->age, now_s - entry->created_s);
    if (left_s > 0)
        cli_text_age(cells->expires, left_s);
    else
        snprintf(cells->expires, sizeof cells->expires, "expired");
}

static const struct cells titles = {"SIZE", "USES", "AGE", "EXPIRES"};

static void
widen(struct cache_table_widths *widths, const struct cells *cells)
{
    const char *texts[] = {cells->size, cells->uses, cells->age, cells->expires};
    unsigned *all[] = {&widths->size, &widths->uses, &widths->age, &widths->expires};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(texts[i]) > *all[i])
            *all[i] = (unsigned)strlen(texts[i]);
}

void
cache_table_measure(struct cache_table_widths *widths, const struct cache_entry *entries,
                    size_t count, int64_t now_s)
{
    struct cells cells;
    *widths = (struct cache_table_widths){0};
    widen(widths, &titles);
    for (size_t i = 0; i < count; i++) {
        fill_cells(&cells, &entries[i], now_s);
        widen(widths, &cells);
    }
}

/* Returns the columns used, with the gap behind the last cell. */
static unsigned
append_cells(struct buf *out, const struct cache_table_widths *widths, const struct cells *cells)
{
    buf_printf(out, "%*s%*s%*s%*s%*s%*s%*s%*s", (int)widths->size, cells->size, GAP, "",
               (int)widths->uses, cells->uses, GAP, "", (int)widths->age, cells->age, GAP, "",
               (int)widths->expires, cells->expires, GAP, "");
    return widths->size + widths->uses + widths->age + widths->expires + 4 * GAP;
}

void
cache_table_append_head(struct buf *out, const struct cache_table_widths *widths)
{
    append_cells(out, widths, &titles);
    buf_append(out, STR("URL\n"));
}

void
cache_table_append_row(struct buf *out, const struct cache_table_widths *widths,
                       const struct cache_entry *entry, int64_t now_s, unsigned width)
{
    struct cells cells;
    fill_cells(&cells, entry, now_s);
    unsigned used = append_cells(out, widths, &cells);
    unsigned left = width > used + URL_WIDTH_MIN ? width - used : URL_WIDTH_MIN;
    if (width)
        cli_text_append_fitted(out, entry->url, left);
    else
        cli_text_append(out, entry->url);
    buf_append_char(out, '\n');
}

static void
append_text(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "\"%s\": ", name);
    cli_text_append_json(out, value);
    buf_append(out, STR(", "));
}

static void
append_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "\"%s\": %" PRIu64 ", ", name, value);
}

void
cache_table_append_json(struct buf *out, const struct cache_entry *entry)
{
    buf_append_char(out, '{');
    append_text(out, "url", entry->url);
    append_number(out, "size", entry->len);
    append_number(out, "uses", entry->use_count);
    append_number(out, "created", (uint64_t)entry->created_s);
    append_number(out, "last_used", (uint64_t)entry->last_used_s);
    append_number(out, "expires", (uint64_t)entry->created_s + entry->ttl_s);
    append_text(out, "content_type", entry->content_type);
    append_text(out, "etag", entry->etag);
    buf_append(out, STR("\"sha256\": \""));
    for (unsigned i = 0; i < CACHE_SHA256_LEN; i++)
        buf_printf(out, "%02x", entry->sha256[i]);
    buf_append(out, STR("\"}"));
}
