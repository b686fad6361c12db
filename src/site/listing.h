/* listing: the page of a directory without an index (`--browse`): HTML and JSON, rendered at load.
 *
 * The HTML stands alone: no external asset, style and script inline, dark and light by the reader's
 * preference, sortable by name, size and date with and without a mouse, readable without JavaScript
 * and in a text browser, fits a phone. All names are escaped for HTML and percent-encoded in links.
 * The JSON is an array of {"name","type":"file"|"directory","size","mtime"} (mtime RFC 3339 UTC, as
 * nginx's autoindex json).
 */
#ifndef TARN_SITE_LISTING_H
#define TARN_SITE_LISTING_H

#include "base/buf.h"

struct listing_entry {
    struct str name; /* one segment, decoded, without slash */
    bool is_dir;
    uint64_t size; /* 0 for directories */
    int64_t mtime; /* 0: unknown */
};

/* `path`: the directory's decoded absolute path, ending in '/'. Entries are sorted by the caller:
 * directories first, then by name. */
void listing_render_html(struct buf *out, struct str path, const struct listing_entry *entries,
                         size_t count);
void listing_render_json(struct buf *out, const struct listing_entry *entries, size_t count);

#endif
