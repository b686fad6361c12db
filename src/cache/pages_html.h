/* pages_html: text, numbers and times as the cache's pages show them, escaped for HTML, URLs and
 * JSON. What is appended is always well-formed UTF-8, whatever the input is. Pure; the ceiling is
 * the buffer's.
 */
#ifndef TARN_CACHE_PAGES_HTML_H
#define TARN_CACHE_PAGES_HTML_H

#include "base/buf.h"

/* For elements and for attributes in either kind of quotes. Bytes that are no UTF-8 and control
 * characters become U+FFFD. */
void html_append_text(struct buf *out, struct str s);

/* Percent-encoded: only letters, digits, "-._~" and the characters of `kept` stay, so nothing needs
 * escaping or quoting in HTML or a shell unless `kept` does. */
void html_append_encoded(struct buf *out, struct str s, const char *kept);

/* A JSON string with its quotes; also harmless inside HTML. */
void html_append_json(struct buf *out, struct str s);

/* "1,234,567" */
void html_append_count(struct buf *out, uint64_t count);
/* "1023 B", "34.5 MiB", "120 GiB": rounded down. */
void html_append_size(struct buf *out, uint64_t len);
/* The same, with the exact number of bytes in the title. */
void html_append_size_element(struct buf *out, uint64_t len);
/* "59 s", "12 min", "3 h", "10 d": rounded down; negative ones are "0 s". */
void html_append_duration(struct buf *out, int64_t seconds);
/* "94.2 %"; "0 %" and "100 %" only when it is that. Nothing of nothing is "0 %". */
void html_append_percent(struct buf *out, uint64_t part, uint64_t whole);
/* How long ago, or until, with the moment in the title: "3 h". */
void html_append_time_element(struct buf *out, int64_t at_s, int64_t seconds);
/* "2024-05-01 07:53 UTC" */
void html_append_date(struct buf *out, int64_t seconds);

#endif
