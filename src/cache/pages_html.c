#include "cache/pages_html.h"

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* --- escaping --- */

void
html_append_text(struct buf *out, struct str s)
{
    bool is_utf8 = str_is_utf8(s);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '&')
            buf_append(out, STR("&amp;"));
        else if (c == '<')
            buf_append(out, STR("&lt;"));
        else if (c == '>')
            buf_append(out, STR("&gt;"));
        else if (c == '"')
            buf_append(out, STR("&quot;"));
        else if (c == '\'')
            buf_append(out, STR("&#39;"));
        else if ((c < 0x20 && c != '\n') || c == 0x7f || (c >= 0x80 && !is_utf8))
            buf_append(out, STR(REPLACEMENT));
        else
            buf_append_char(out, (char)c);
    }
}

void
html_append_encoded(struct buf *out, struct str s, const char *kept)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i], lower = c | 0x20;
        bool stays = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
                     (c && (strchr("-._~", c) || strchr(kept, c)));
        char encoded[3];
        if (stays)
            buf_append_char(out, (char)c);
        else
            buf_append(out, str_make(encoded, percent_put(encoded, (char)c)));
    }
}

void
html_append_json(struct buf *out, struct str s)
{
    bool is_utf8 = str_is_utf8(s);
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f || (c && strchr("\"\\<>&'", c)))
            buf_printf(out, "\\u%04x", c);
        else if (c >= 0x80 && !is_utf8)
            buf_append(out, STR("\\ufffd"));
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

/* --- numbers --- */

void
html_append_count(struct buf *out, uint64_t count)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}

void
html_append_size(struct buf *out, uint64_t len)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned power = 0;
    while (power < 6 && len >> (10 * power) >= 1024)
        power++;
    uint64_t whole = len >> (10 * power);
    if (power == 0 || whole >= 100)
        buf_printf(out, "%" PRIu64 " %s", whole, units[power]);
    else
        buf_printf(out, "%" PRIu64 ".%u %s", whole,
                   (unsigned)((len >> (10 * (power - 1)) & 1023) * 10 / 1024), units[power]);
}

void
html_append_size_element(struct buf *out, uint64_t len)
{
    buf_append(out, STR("<data title=\""));
    html_append_count(out, len);
    buf_printf(out, " byte%s\" value=\"%" PRIu64 "\">", len == 1 ? "" : "s", len);
    html_append_size(out, len);
    buf_append(out, STR("</data>"));
}

void
html_append_percent(struct buf *out, uint64_t part, uint64_t whole)
{
    double percent = whole ? 100.0 * (double)part / (double)whole : 0;
    if (part == 0 || whole == 0 || part >= whole) {
        buf_printf(out, "%.0f %%", percent);
        return;
    }
    percent = percent < 0.1 ? 0.1 : percent > 99.9 ? 99.9 : percent;
    buf_printf(out, "%.1f %%", percent);
}

/* --- times --- */

void
html_append_duration(struct buf *out, int64_t seconds)
{
    long long value = seconds > 0 ? seconds : 0;
    if (value < 60)
        buf_printf(out, "%lld s", value);
    else if (value < 3600)
        buf_printf(out, "%lld min", value / 60);
    else if (value < 48 * 3600)
        buf_printf(out, "%lld h", value / 3600);
    else
        buf_printf(out, "%lld d", value / 86400);
}

/* UTC, clamped to the years that four digits can say. */
static struct tm
split_time(int64_t seconds)
{
    const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    time_t clamped = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
    struct tm tm = {0};
    gmtime_r(&clamped, &tm);
    return tm;
}

void
html_append_date(struct buf *out, int64_t seconds)
{
    struct tm tm = split_time(seconds);
    buf_printf(out, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
               tm.tm_hour, tm.tm_min);
}

void
html_append_time_element(struct buf *out, int64_t at_s, int64_t seconds)
{
    struct tm tm = split_time(at_s);
    buf_printf(out, "<time datetime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\" title=\"", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    html_append_date(out, at_s);
    buf_append(out, STR("\">"));
    html_append_duration(out, seconds);
    buf_append(out, STR("</time>"));
}
