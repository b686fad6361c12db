/* meta: the metadata map of a request: text by text, shared by the scripts of the chain, by
 * templates, and by the server, which reads "zs.response.header.NAME". Not for other folders.
 *
 * Few entries: a list that is searched. Text is copied into one buffer; when that is
 * full, what is alive moves to a new one, with room for as much again. Bounds: SCRIPT_META_MAX
 * bytes, SCRIPT_META_COUNT_MAX entries.
 */
#ifndef TARN_SCRIPT_META_H
#define TARN_SCRIPT_META_H

#include "base/buf.h"
#include "base/error.h"

struct script_meta_entry {
    uint32_t key_off, key_len, value_off, value_len; /* of text */
    bool is_header; /* its key names a header that can be sent with its value */
};

struct script_meta {
    struct buf text;
    struct script_meta_entry *list;
    uint32_t count, cap;
    size_t live_len;
    unsigned header_count; /* entries whose key names a header */
};

#define SCRIPT_META_HEADER "zs.response.header."

/* Zeroed memory is an empty map. */
void script_meta_clear(struct script_meta *meta);
void script_meta_deinit(struct script_meta *meta);

/* Valid until the map changes; ptr NULL: there is no such key. */
struct str script_meta_get(const struct script_meta *meta, struct str key);
/* False: full. key and value may lie in the map itself. */
bool script_meta_set(struct script_meta *meta, struct str key, struct str value) MUST_USE;
struct str script_meta_key(const struct script_meta *meta, uint32_t at);
struct str script_meta_value(const struct script_meta *meta, uint32_t at);

/* The NAME of a key "zs.response.header.NAME", without white space around it; empty: it is no such
 * key. And why it cannot be that header: static text; NULL: it can. */
struct str script_meta_header_name(struct str key);
const char *script_meta_header_fault(struct str name, struct str value);

#endif
