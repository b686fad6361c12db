#include "script/rewrite_internal.h"

#include "base/hex.h"

/* --- paths without detours --- */

/* 1 or 2: the segment is "." or "..", its dots written plainly; or, `decode`, as %2E, too. */
static int
dot_count(struct str segment, bool decode)
{
    int count = 0;
    while (segment.len && count < 3) {
        bool escaped = decode && percent_value(segment) == '.';
        if (!escaped && segment.ptr[0] != '.')
            return 0;
        segment = str_skip(segment, escaped ? 3 : 1);
        count++;
    }
    return count < 3 ? count : 0;
}

/* Takes the last segment from `out`, whose path begins at `start`. */
static void
pop_segment(struct buf *out, size_t start)
{
    if (out->len == start)
        return;
    struct str path = str_make(out->ptr + start, out->len - start);
    out->len = start + str_find_last_char(path, '/');
}

/* Between segments, `out` has "" or "/a/b" behind `start`. Empty ones are kept with `doubles`; a
 * ".." at the root is dropped. */
static void
clean(struct str path, bool doubles, bool decode, struct buf *out)
{
    size_t start = out->len;
    bool is_folder = path.len && path.ptr[path.len - 1] == '/';
    if (path.len && path.ptr[0] == '/')
        path = str_skip(path, 1);
    while (path.len) {
        struct str segment = str_cut(&path, '/');
        int dots = dot_count(segment, decode);
        if (dots == 2)
            pop_segment(out, start);
        if (dots)
            is_folder = is_folder || (decode && path.len == 0);
        else if (segment.len || doubles) {
            buf_append_char(out, '/');
            buf_append(out, segment);
        }
    }
    if (is_folder || out->len == start)
        buf_append_char(out, '/');
}

void
rewrite_clean_path(struct str path, struct buf *out)
{
    clean(path, false, true, out);
}

/* --- prefix and suffix --- */

static bool
same_letter(unsigned char a, unsigned char b)
{
    return str_lower_char((char)a) == str_lower_char((char)b);
}

/* Bytes of the path that the prefix is, or 0. */
static size_t
prefix_len(struct str path, struct str prefix)
{
    struct str rest = path;
    for (size_t i = 0; i < prefix.len; i++) {
        int escaped = prefix.ptr[i] == '%' ? -1 : percent_value(rest);
        if (rest.len == 0)
            return 0;
        unsigned char c = escaped < 0 ? (unsigned char)rest.ptr[0] : (unsigned char)escaped;
        if (!same_letter(c, (unsigned char)prefix.ptr[i]))
            return 0;
        rest = str_skip(rest, escaped < 0 ? 1 : 3);
    }
    return path.len - rest.len;
}

/* The same of a suffix, from its end. */
static size_t
suffix_len(struct str path, struct str suffix)
{
    struct str rest = path;
    while (suffix.len) {
        struct str tail = rest.len >= 3 ? str_skip(rest, rest.len - 3) : (struct str){0};
        bool is_literal = suffix.len >= 3 && percent_value(str_skip(suffix, suffix.len - 3)) >= 0;
        int escaped = is_literal ? -1 : percent_value(tail);
        if (rest.len == 0)
            return 0;
        unsigned char last = (unsigned char)rest.ptr[rest.len - 1];
        unsigned char c = escaped < 0 ? last : (unsigned char)escaped;
        if (!same_letter(c, (unsigned char)suffix.ptr[suffix.len - 1]))
            return 0;
        rest.len -= escaped < 0 ? 1 : 3;
        suffix.len--;
    }
    return path.len - rest.len;
}

/* --- steps --- */

/* The path is made by steps: each reads rewrite->path and writes `spare`; then they swap. */
static void
swap_with(struct rewrite *rewrite, struct buf *text)
{
    struct buf before = *text;
    rewrite->no_room = rewrite->no_room || buf_overflowed(&rewrite->spare);
    *text = rewrite->spare;
    rewrite->spare = before;
    buf_clear(&rewrite->spare);
}

static void
swap(struct rewrite *rewrite)
{
    swap_with(rewrite, &rewrite->path);
}

/* Keeps [from, to) of the path, with a slash in front. */
static void
cut(struct rewrite *rewrite, size_t from, size_t to)
{
    struct str kept = str_make(rewrite->path.ptr + from, to - from);
    if (kept.len == 0 || kept.ptr[0] != '/')
        buf_append_char(&rewrite->spare, '/');
    buf_append(&rewrite->spare, kept);
    swap(rewrite);
}

static void
clean_for(struct rewrite *rewrite, struct str text)
{
    clean(buf_str(&rewrite->path), str_find(text, STR("//")) < text.len, false, &rewrite->spare);
    swap(rewrite);
}

static void
strip_prefix(struct rewrite *rewrite, struct str prefix)
{
    if (prefix.len && prefix.ptr[0] != '/')
        prefix = arena_join(&rewrite->arena, STR("/"), prefix);
    if (prefix.len == 0)
        return;
    clean_for(rewrite, prefix);
    cut(rewrite, prefix_len(buf_str(&rewrite->path), prefix), rewrite->path.len);
}

static void
strip_suffix(struct rewrite *rewrite, struct str suffix)
{
    if (suffix.len == 0)
        return;
    clean_for(rewrite, suffix);
    cut(rewrite, 0, rewrite->path.len - suffix_len(buf_str(&rewrite->path), suffix));
}

static void
replace_substring(struct rewrite *rewrite, const struct change *change)
{
    if (change->find.len == 0)
        return;
    clean_for(rewrite, change->find);
    rewrite_literal(buf_str(&rewrite->path), change->find, change->replace, change->limit,
                    &rewrite->spare);
    swap(rewrite);
    rewrite_literal(buf_str(&rewrite->query), change->find, change->replace, change->limit,
                    &rewrite->spare);
    swap_with(rewrite, &rewrite->query);
}

static int
replace_in_path(struct rewrite *rewrite, const struct change *change, struct error *error)
{
    if (change->find.len == 0)
        return 0;
    const struct regex *regex = regex_cache_get(&rewrite->regexes, change->find, error);
    if (!regex)
        return -1;
    int result = rewrite_regexp(rewrite, regex, buf_str(&rewrite->path), change->replace,
                                &rewrite->spare, error);
    if (result > 0)
        swap(rewrite);
    return result < 0 ? -1 : 0;
}

struct uri_changes {
    struct str prefix, suffix;
    struct change_list substrings, regexps;
};

static int
read_changes(struct rewrite *rewrite, struct str text, struct uri_changes *out, struct error *error)
{
    struct json json;
    struct str name;
    if (rewrite_begin(rewrite, &json, text, error) < 0)
        return -1;
    while (json_member(&json, &name)) {
        if (str_eq(name, STR("strip_path_prefix")))
            rewrite_take_string(rewrite, &json, &out->prefix);
        else if (str_eq(name, STR("strip_path_suffix")))
            rewrite_take_string(rewrite, &json, &out->suffix);
        else if (str_eq(name, STR("uri_substring")))
            rewrite_take_changes(rewrite, &json, &out->substrings);
        else if (str_eq(name, STR("path_regexp")))
            rewrite_take_changes(rewrite, &json, &out->regexps);
        else
            json_skip(&json);
    }
    return rewrite_end(rewrite, &json, error);
}

static bool
has_room(const struct rewrite *rewrite)
{
    return !rewrite->no_room && !buf_overflowed(&rewrite->path) &&
           !buf_overflowed(&rewrite->query) && !arena_overflowed(&rewrite->arena);
}

int
rewrite_uri(struct rewrite *rewrite, struct str changes, struct str path, struct str query,
            struct error *error)
{
    struct uri_changes list = {0};
    if (read_changes(rewrite, changes, &list, error) < 0)
        return -1;
    buf_append(&rewrite->path, path);
    buf_append(&rewrite->query, query);
    if (!has_room(rewrite))
        return rewrite_no_room(error);
    strip_prefix(rewrite, list.prefix);
    strip_suffix(rewrite, list.suffix);
    for (unsigned i = 0; i < list.substrings.count && has_room(rewrite); i++)
        replace_substring(rewrite, &list.substrings.list[i]);
    if (!has_room(rewrite))
        return rewrite_no_room(error);
    for (unsigned i = 0; i < list.regexps.count; i++)
        if (replace_in_path(rewrite, &list.regexps.list[i], error) < 0)
            return -1;
    cut(rewrite, 0, rewrite->path.len);
    return has_room(rewrite) ? 0 : rewrite_no_room(error);
}
