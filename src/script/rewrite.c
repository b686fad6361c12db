/* What all kinds of changes have in common, and header values, which need nothing else. */
#include "script/rewrite_internal.h"

#include <stdlib.h>

enum { ARENA_BLOCK = 16384 };

struct rewrite *
rewrite_new(void)
{
    struct rewrite *rewrite = calloc(1, sizeof *rewrite);
    if (!rewrite)
        return NULL;
    arena_init(&rewrite->arena, SCRIPT_CHANGES_MEMORY, ARENA_BLOCK);
    buf_init(&rewrite->path, SCRIPT_TARGET_MAX);
    buf_init(&rewrite->query, SCRIPT_TARGET_MAX);
    buf_init(&rewrite->spare, SCRIPT_TARGET_MAX);
    return rewrite;
}

void
rewrite_free(struct rewrite *rewrite)
{
    if (!rewrite)
        return;
    regex_cache_deinit(&rewrite->regexes);
    regex_matcher_deinit(&rewrite->matcher);
    arena_deinit(&rewrite->arena);
    buf_deinit(&rewrite->path);
    buf_deinit(&rewrite->query);
    buf_deinit(&rewrite->spare);
    free(rewrite);
}

int
rewrite_no_room(struct error *error)
{
    return error_set(error, "what it makes is longer than %d bytes, or there is no memory",
                     SCRIPT_TARGET_MAX);
}

/* --- reading --- */

int
rewrite_begin(struct rewrite *rewrite, struct json *json, struct str changes, struct error *error)
{
    arena_reset(&rewrite->arena);
    buf_clear(&rewrite->path);
    buf_clear(&rewrite->query);
    buf_clear(&rewrite->spare);
    rewrite->no_room = false;
    rewrite->matcher.steps_left = REGEX_STEPS_MAX;
    if (changes.len > SCRIPT_CHANGES_MAX)
        return error_set(error, "the JSON is longer than %d bytes", SCRIPT_CHANGES_MAX);
    json_init(json, changes);
    json_object(json);
    return 0;
}

int
rewrite_end(struct rewrite *rewrite, struct json *json, struct error *error)
{
    if (!json_done(json))
        return error_set(error,
                         "its argument is not the JSON object that it should be, or has more "
                         "than %d changes of a kind",
                         SCRIPT_CHANGE_COUNT_MAX);
    return 0;
}

void
rewrite_take_string(struct rewrite *rewrite, struct json *json, struct str *out)
{
    json_string(json, &rewrite->arena, out);
}

/* Below 1 is no limit. */
static void
take_limit(struct json *json, uint64_t *out)
{
    if (json_peek(json) == '-')
        json_skip(json);
    else
        json_u64(json, out);
}

void
rewrite_take_change(struct rewrite *rewrite, struct json *json, struct change *out)
{
    struct {
        struct str name;
        struct str *value;
    } const members[] = {
        {STR("key"), &out->key},
        {STR("val"), &out->val},
        {STR("find"), &out->find},
        {STR("search"), &out->search},
        {STR("search_regexp"), &out->search_regexp},
        {STR("replace"), &out->replace},
    };
    struct str name;
    json_object(json);
    while (json_member(json, &name)) {
        struct str *value = NULL;
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (str_eq(name, members[i].name))
                value = members[i].value;
        if (value)
            rewrite_take_string(rewrite, json, value);
        else if (str_eq(name, STR("limit")))
            take_limit(json, &out->limit);
        else
            json_skip(json);
    }
}

/* Room for one more; NULL: there is none. */
static struct change *
add_change(struct rewrite *rewrite, struct json *json, struct change_list *list)
{
    if (!list->list)
        list->list = arena_alloc(&rewrite->arena, SCRIPT_CHANGE_COUNT_MAX * sizeof(struct change));
    if (list->list && list->count < SCRIPT_CHANGE_COUNT_MAX)
        return &list->list[list->count++];
    json->failed = true;
    return NULL;
}

void
rewrite_take_changes(struct rewrite *rewrite, struct json *json, struct change_list *out)
{
    *out = (struct change_list){0}; /* of two members with one name the last counts */
    json_array(json);
    while (json_item(json)) {
        struct change *change = add_change(rewrite, json, out);
        if (change)
            rewrite_take_change(rewrite, json, change);
    }
}

void
rewrite_take_keys(struct rewrite *rewrite, struct json *json, struct change_list *out)
{
    *out = (struct change_list){0};
    json_array(json);
    while (json_item(json)) {
        struct change *change = add_change(rewrite, json, out);
        if (change)
            rewrite_take_string(rewrite, json, &change->key);
    }
}

/* --- replacing --- */

void
rewrite_literal(struct str text, struct str find, struct str replace, uint64_t limit,
                struct buf *out)
{
    for (uint64_t count = 0; limit == 0 || count < limit; count++) {
        size_t at = str_find(text, find);
        if (at == text.len)
            break;
        buf_append(out, str_first(text, at));
        buf_append(out, replace);
        text = str_skip(text, at + find.len);
        if (buf_overflowed(out))
            return;
    }
    buf_append(out, text);
}

int
rewrite_regexp(struct rewrite *rewrite, const struct regex *regex, struct str text,
               struct str replace, struct buf *out, struct error *error)
{
    enum regex_result result = regex_replace(regex, &rewrite->matcher, text, replace, out);
    if (result == REGEX_TOO_SLOW)
        return error_set(error, "the regular expression takes too many steps for this text");
    if (result == REGEX_NO_MEMORY)
        return error_set(error, "no memory for a regular expression");
    if (buf_overflowed(out))
        return rewrite_no_room(error);
    return result == REGEX_MATCH;
}

/* --- header values --- */

int
rewrite_read_search(struct rewrite *rewrite, struct str changes, struct rewrite_search *out,
                    struct error *error)
{
    struct json json;
    struct str name, regexp = {0};
    *out = (struct rewrite_search){0};
    if (rewrite_begin(rewrite, &json, changes, error) < 0)
        return -1;
    while (json_member(&json, &name)) {
        if (str_eq(name, STR("name")))
            rewrite_take_string(rewrite, &json, &out->name);
        else if (str_eq(name, STR("search")))
            rewrite_take_string(rewrite, &json, &out->search);
        else if (str_eq(name, STR("search_regexp")))
            rewrite_take_string(rewrite, &json, &regexp);
        else if (str_eq(name, STR("replace")))
            rewrite_take_string(rewrite, &json, &out->replace);
        else
            json_skip(&json);
    }
    if (rewrite_end(rewrite, &json, error) < 0)
        return -1;
    out->name = str_trim(out->name);
    if (out->name.len == 0)
        return error_set(error, "its argument has no name");
    if (out->search.len == 0 && regexp.len == 0)
        return error_set(error, "its argument has neither search nor search_regexp");
    if (regexp.len)
        out->regex = regex_cache_get(&rewrite->regexes, regexp, error);
    return regexp.len && !out->regex ? -1 : 0;
}

int
rewrite_value(struct rewrite *rewrite, const struct rewrite_search *search, struct str value,
              struct buf *out, struct error *error)
{
    if (search->regex)
        return rewrite_regexp(rewrite, search->regex, value, search->replace, out, error);
    if (str_find(value, search->search) == value.len)
        return 0;
    rewrite_literal(value, search->search, search->replace, 0, out);
    return buf_overflowed(out) ? rewrite_no_room(error) : 1;
}
