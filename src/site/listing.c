/* The page is built in one go: fixed text from listing_page.c, and rows. Links are relative, so
 * that a listing works below any prefix that a proxy may put in front of it. The script only adds
 * to what is there: buttons in the heads of the columns, a filter, dates in the reader's time. */
#include "site/listing.h"

#include "site/listing_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* HTML. */

static void
append_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            buf_append(out, STR("&amp;"));
            break;
        case '<':
            buf_append(out, STR("&lt;"));
            break;
        case '>':
            buf_append(out, STR("&gt;"));
            break;
        case '"':
            buf_append(out, STR("&quot;"));
            break;
        default:
            buf_append_char(out, s.ptr[i]);
        }
    }
}

/* One segment for an href. Only unreserved characters stay, so that a colon makes no scheme of it
 * and nothing needs escaping in an attribute. */
static void
append_segment(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i], lower = c | 0x20;
        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c)))
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static void
append_icon(struct buf *out, char id)
{
    buf_printf(out, "<svg aria-hidden=\"true\"><use href=\"#%c\"/></svg>", id);
}

/* "1,234,567": for the exact size. */
static void
append_grouped(struct buf *out, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, value);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}

/* "999 B", "1.2 kB", "34 MB": three digits at most, rounded down so that a file never looks larger
 * than it is. */
static void
append_size(struct buf *out, uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    uint64_t unit = 1;
    size_t power = 0;
    while (size / unit >= 1000) {
        unit *= 1000;
        power++;
    }
    if (power > 0 && size / unit < 10)
        buf_printf(out, "%" PRIu64 ".%" PRIu64, size / unit, size % unit / (unit / 10));
    else
        buf_printf(out, "%" PRIu64, size / unit);
    buf_printf(out, " %s", units[power]);
}

/* UTC; false for an unknown time. Clamped to the years that four digits can say. */
static bool
split_time(int64_t seconds, struct tm *out)
{
    const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    time_t clamped = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
    return seconds != 0 && gmtime_r(&clamped, out) != NULL;
}

static void
append_rfc3339(struct buf *out, const struct tm *tm)
{
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm->tm_year + 1900, tm->tm_mon + 1,
               tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
}

static void
append_time(struct buf *out, int64_t seconds)
{
    struct tm tm;
    if (!split_time(seconds, &tm))
        return;
    buf_append(out, STR("<time datetime=\""));
    append_rfc3339(out, &tm);
    buf_printf(out, "\">%04d-%02d-%02d <span>%02d:%02d UTC</span></time>", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min);
}

/* The icon of a file by its extension; what is not listed is a plain sheet. */
static char
icon_of(struct str name)
{
    static const struct {
        char icon;
        const char *extensions;
    } kinds[] = {
        {'i', " png jpg jpeg gif webp avif svg ico bmp tif tiff "},
        {'m', " mp4 webm mkv mov mp3 ogg oga ogv opus flac wav m4a avi "},
        {'z', " zip tar gz tgz xz zst br bz2 7z deb rpm jar iso "},
        {'t', " txt md html htm css js mjs ts json xml yaml yml toml csv log c h py sh go rs pdf "},
    };
    char word[8] = " ";
    size_t dot = str_find_last_char(name, '.');
    struct str extension = str_skip(name, dot + 1);
    if (dot == name.len || extension.len == 0 || extension.len > sizeof word - 3)
        return 'f';
    for (size_t i = 0; i < extension.len; i++)
        word[1 + i] = str_lower_char(extension.ptr[i]);
    word[1 + extension.len] = ' ';
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strstr(kinds[i].extensions, word))
            return kinds[i].icon;
    }
    return 'f';
}

static void
append_row(struct buf *out, const struct listing_entry *entry)
{
    struct str slash = entry->is_dir ? STR("/") : STR("");
    buf_printf(out, "<tr><td><a %shref=\"", entry->is_dir ? "class=\"d\" " : "");
    append_segment(out, entry->name);
    buf_append(out, slash);
    buf_append(out, STR("\">"));
    append_icon(out, entry->is_dir ? 'd' : icon_of(entry->name));
    buf_append(out, STR("<bdi>"));
    append_text(out, entry->name);
    buf_append(out, slash);
    buf_append(out, STR("</bdi></a><td"));
    if (!entry->is_dir) {
        buf_append(out, STR(" title=\""));
        append_grouped(out, entry->size);
        buf_printf(out, " byte%s\"><data value=\"%" PRIu64 "\">", entry->size == 1 ? "" : "s",
                   entry->size);
        append_size(out, entry->size);
        buf_append(out, STR("</data><td>"));
    } else {
        buf_append(out, STR("><td>"));
    }
    append_time(out, entry->mtime);
    buf_append_char(out, '\n');
}

static size_t
count_segments(struct str path)
{
    size_t count = 0;
    while (path.len > 0)
        count += str_cut(&path, '/').len > 0;
    return count;
}

/* The path as links to each directory above; the last one, this one, is text. */
static void
append_breadcrumb(struct buf *out, struct str path)
{
    size_t left = count_segments(path);
    buf_append(out, STR("<nav aria-label=\"Path\"><h1>"));
    if (left == 0) {
        append_icon(out, 'h');
        buf_append(out, STR(" <span>Home</span>"));
    } else {
        buf_append(out, STR("<a href=\""));
        for (size_t i = 0; i < left; i++)
            buf_append(out, STR("../"));
        buf_append(out, STR("\" aria-label=\"Home\">"));
        append_icon(out, 'h');
        buf_append(out, STR("</a>"));
    }
    while (path.len > 0) {
        struct str segment = str_cut(&path, '/');
        if (segment.len == 0)
            continue;
        left--;
        buf_append(out, STR("<i>/</i>"));
        buf_append(out, left > 0 ? STR("<a href=\"") : STR("<span aria-current=\"page\">"));
        for (size_t i = 0; i < left; i++)
            buf_append(out, STR("../"));
        if (left > 0)
            buf_append(out, STR("\">"));
        append_text(out, segment);
        buf_append(out, left > 0 ? STR("</a>") : STR("</span>"));
    }
    buf_append(out, STR("</h1></nav>\n"));
}

static void
append_count(struct buf *out, size_t count, const char *noun)
{
    append_grouped(out, count);
    buf_printf(out, " %s%s", noun, count == 1 ? "" : "s");
}

static void
append_summary(struct buf *out, const struct listing_entry *entries, size_t count)
{
    size_t dirs = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        dirs += entries[i].is_dir;
        total += entries[i].is_dir ? 0 : entries[i].size;
    }
    buf_append(out, STR("<div class=\"bar\"><p>"));
    if (count == 0)
        buf_append(out, STR("Nothing in this folder"));
    if (dirs > 0)
        append_count(out, dirs, "folder");
    if (dirs > 0 && count > dirs)
        buf_append(out, STR(", "));
    if (count > dirs) {
        append_count(out, count - dirs, "file");
        buf_append(out, STR(", "));
        append_size(out, total);
    }
    buf_append(out, STR("</p></div>\n"));
}

static void
append_head(struct buf *out, struct str path)
{
    buf_append(out, STR("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta http-equiv=\"Content-Security-Policy\" content=\""));
    buf_append(out, listing_page_policy);
    buf_append(out, STR("\">\n<meta name=\"viewport\" content=\"width=device-width, "
                        "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
                        "<title>"));
    append_text(out, path);
    buf_append(out, STR("</title>\n<style>"));
    buf_append(out, listing_page_style);
    buf_append(out, STR("</style>\n</head>\n<body>\n"));
    buf_append(out, listing_page_icons);
    buf_append(out, STR("\n<header>\n"));
}

void
listing_render_html(struct buf *out, struct str path, const struct listing_entry *entries,
                    size_t count)
{
    bool is_root = count_segments(path) == 0, has_table = count > 0 || !is_root;
    append_head(out, path);
    append_breadcrumb(out, path);
    append_summary(out, entries, count);
    buf_append(out, STR("</header>\n<main>\n"));
    if (has_table) {
        buf_append(out, STR("<table>\n<thead><tr><th scope=\"col\" aria-sort=\"ascending\">Name"
                            "<th scope=\"col\">Size<th scope=\"col\">Modified</thead>\n<tbody>\n"));
        if (!is_root) {
            buf_append(out, STR("<tr class=\"up\"><td><a href=\"../\">"));
            append_icon(out, 'u');
            buf_append(out, STR("<bdi>Parent folder</bdi></a><td><td>\n"));
        }
        for (size_t i = 0; i < count; i++)
            append_row(out, &entries[i]);
        buf_append(out, STR("</tbody>\n</table>\n"));
    }
    buf_append(out, STR("</main>\n<footer><p>tarn</p></footer>\n"));
    if (has_table) {
        buf_append(out, STR("<script>"));
        buf_append(out, listing_page_script);
        buf_append(out, STR("</script>\n"));
    }
    buf_append(out, STR("</body>\n</html>\n"));
}

/* JSON. */

/* A name is UTF-8 by the rule of member_path_is_public; one that is not must still give valid JSON,
 * so its bytes above ASCII are replaced. */
static void
append_json_string(struct buf *out, struct str s)
{
    bool is_utf8 = str_is_utf8(s);
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            buf_append_char(out, '\\');
        if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else if (c >= 0x80 && !is_utf8)
            buf_append(out, STR("\\ufffd"));
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

void
listing_render_json(struct buf *out, const struct listing_entry *entries, size_t count)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        struct tm tm;
        buf_append(out, i > 0 ? STR(",\n{\"name\":") : STR("\n{\"name\":"));
        append_json_string(out, entries[i].name);
        buf_printf(out, ",\"type\":\"%s\",\"size\":%" PRIu64 ",\"mtime\":",
                   entries[i].is_dir ? "directory" : "file",
                   entries[i].is_dir ? 0 : entries[i].size);
        if (split_time(entries[i].mtime, &tm)) {
            buf_append_char(out, '"');
            append_rfc3339(out, &tm);
            buf_append(out, STR("\"}"));
        } else {
            buf_append(out, STR("null}"));
        }
    }
    buf_append(out, count > 0 ? STR("\n]\n") : STR("]\n"));
}
