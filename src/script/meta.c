#include "script/meta.h"

#include "base/limits.h"
#include "script/fields.h"
#include "script/response.h"

#include <stdlib.h>

enum { FIRST_CAP = 8, LIST_KEPT = 64, TEXT_KEPT = 8 << 10 };

void
script_meta_clear(struct script_meta *meta)
{
    if (meta->cap > LIST_KEPT || meta->text.cap > TEXT_KEPT) {
        script_meta_deinit(meta);
        return;
    }
    if (meta->text.max)
        buf_clear(&meta->text);
    meta->count = 0;
    meta->live_len = 0;
    meta->header_count = 0;
}

void
script_meta_deinit(struct script_meta *meta)
{
    buf_deinit(&meta->text);
    free(meta->list);
    *meta = (struct script_meta){0};
}

struct str
script_meta_key(const struct script_meta *meta, uint32_t at)
{
    const struct script_meta_entry *entry = &meta->list[at];
    return str_make(meta->text.ptr + entry->key_off, entry->key_len);
}

struct str
script_meta_value(const struct script_meta *meta, uint32_t at)
{
    const struct script_meta_entry *entry = &meta->list[at];
    return str_make(meta->text.ptr + entry->value_off, entry->value_len);
}

static struct script_meta_entry *
find(const struct script_meta *meta, struct str key)
{
    for (uint32_t i = 0; i < meta->count; i++)
        if (meta->list[i].key_len == key.len && str_eq(script_meta_key(meta, i), key))
            return &meta->list[i];
    return NULL;
}

struct str
script_meta_get(const struct script_meta *meta, struct str key)
{
    const struct script_meta_entry *entry = find(meta, key);
    if (!entry)
        return (struct str){0};
    return script_meta_value(meta, (uint32_t)(entry - meta->list));
}

/* --- changing --- */

/* Room for one more entry. */
static bool
grow_list(struct script_meta *meta)
{
    if (meta->count < meta->cap)
        return true;
    uint32_t cap = meta->cap ? 2 * meta->cap : FIRST_CAP;
    struct script_meta_entry *list = realloc(meta->list, cap * sizeof *list);
    if (!list)
        return false;
    meta->list = list;
    meta->cap = cap;
    return true;
}

/* Moves what is alive to a new text with room for `len` more bytes. The old one is *old then, so
 * that what borrows from it stays good. */
static bool
move_text(struct script_meta *meta, size_t len, struct buf *old)
{
    struct buf text;
    size_t want = meta->live_len + len;
    buf_init(&text, SCRIPT_META_MAX);
    if (!buf_reserve(&text, want ? want : 1)) {
        buf_deinit(&text);
        return false;
    }
    for (uint32_t i = 0; i < meta->count; i++) {
        struct script_meta_entry *entry = &meta->list[i];
        struct str key = script_meta_key(meta, i), value = script_meta_value(meta, i);
        entry->key_off = (uint32_t)text.len;
        buf_append(&text, key);
        entry->value_off = (uint32_t)text.len;
        buf_append(&text, value);
    }
    *old = meta->text;
    meta->text = text;
    return true;
}

static uint32_t
append(struct script_meta *meta, struct str s)
{
    uint32_t off = (uint32_t)meta->text.len;
    buf_append(&meta->text, s);
    return off;
}

/* Room for `len` more bytes of text, without moving it, or with what was there in *old. */
static bool
make_room(struct script_meta *meta, size_t len, struct buf *old)
{
    *old = (struct buf){0};
    if (len > SCRIPT_META_MAX - meta->live_len)
        return false;
    if (meta->text.ptr && meta->text.cap - meta->text.len >= len)
        return true;
    return move_text(meta, len < meta->live_len ? meta->live_len : len, old) ||
           move_text(meta, len, old);
}

/* Looked at here, not at each response. */
static void
note_header(const struct script_meta *meta, struct script_meta_entry *entry)
{
    uint32_t at = (uint32_t)(entry - meta->list);
    struct str name = script_meta_header_name(script_meta_key(meta, at));
    entry->is_header = name.len && !script_meta_header_fault(name, script_meta_value(meta, at));
}

static bool
replace(struct script_meta *meta, struct script_meta_entry *entry, struct str value)
{
    struct buf old = {0};
    if (value.len <= entry->value_len) {
        if (value.len)
            memmove(meta->text.ptr + entry->value_off, value.ptr, value.len);
    } else {
        meta->live_len -= entry->value_len;
        uint32_t was = entry->value_len;
        entry->value_len = 0;
        if (!make_room(meta, value.len, &old)) {
            entry->value_len = was;
            meta->live_len += was;
            return false;
        }
        entry->value_off = append(meta, value);
        buf_deinit(&old);
    }
    meta->live_len = meta->live_len - entry->value_len + value.len;
    entry->value_len = (uint32_t)value.len;
    note_header(meta, entry);
    return true;
}

bool
script_meta_set(struct script_meta *meta, struct str key, struct str value)
{
    struct script_meta_entry *entry = find(meta, key);
    struct buf old;
    if (entry)
        return replace(meta, entry, value);
    if (meta->count == SCRIPT_META_COUNT_MAX || key.len > SCRIPT_META_MAX ||
        value.len > SCRIPT_META_MAX - key.len || !grow_list(meta) ||
        !make_room(meta, key.len + value.len, &old))
        return false;
    uint32_t key_off = append(meta, key), value_off = append(meta, value);
    buf_deinit(&old);
    meta->list[meta->count++] = (struct script_meta_entry){
        .key_off = key_off,
        .key_len = (uint32_t)key.len,
        .value_off = value_off,
        .value_len = (uint32_t)value.len,
    };
    meta->live_len += key.len + value.len;
    meta->header_count +=
        str_starts_with(script_meta_key(meta, meta->count - 1), STR(SCRIPT_META_HEADER));
    note_header(meta, &meta->list[meta->count - 1]);
    return true;
}

/* --- headers --- */

struct str
script_meta_header_name(struct str key)
{
    if (!str_starts_with(key, STR(SCRIPT_META_HEADER)))
        return STR("");
    return str_trim(str_skip(key, sizeof SCRIPT_META_HEADER - 1));
}

const char *
script_meta_header_fault(struct str name, struct str value)
{
    if (!script_field_name_is_valid(name))
        return "is no name of a header";
    if (script_response_name_is_framing(name))
        return "is the server's own header";
    if (!script_field_value_is_valid(value))
        return "has a value with control characters";
    return NULL;
}
