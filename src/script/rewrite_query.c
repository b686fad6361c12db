#include "script/rewrite_internal.h"

#include "script/form.h"

#include <stdlib.h>

struct param {
    struct str name, value;
    uint32_t order; /* of values of one name */
    bool gone;
};

struct params {
    struct param *list;
    uint32_t count;
};

struct query_changes {
    struct change_list rename, set, add, replace, delete;
};

static int
no_room_for_params(struct error *error)
{
    return error_set(error, "the query has more than %d parameters, or too much text",
                     SCRIPT_QUERY_PARAMS_MAX);
}

static bool
add_param(struct params *params, struct str name, struct str value)
{
    if (params->count == SCRIPT_QUERY_PARAMS_MAX)
        return false;
    params->list[params->count] =
        (struct param){.name = name, .value = value, .order = params->count};
    params->count++;
    return true;
}

/* A copy of the decoded text that lasts for the call. */
static struct str
decode(struct rewrite *rewrite, struct str raw)
{
    buf_clear(&rewrite->spare);
    struct str decoded = form_decode(raw, &rewrite->spare);
    rewrite->no_room = rewrite->no_room || buf_overflowed(&rewrite->spare);
    return arena_copy(&rewrite->arena, decoded);
}

static uint32_t
count_params(struct str query)
{
    struct str name, value;
    uint32_t count = 0;
    while (form_next(&query, &name, &value))
        count++;
    return count;
}

static int
read_params(struct rewrite *rewrite, struct str query, uint32_t more, struct params *out,
            struct error *error)
{
    struct str name, value;
    size_t room = (size_t)count_params(query) + more;
    if (room > SCRIPT_QUERY_PARAMS_MAX)
        return no_room_for_params(error);
    out->list = arena_alloc(&rewrite->arena, (room + 1) * sizeof *out->list);
    while (out->list && form_next(&query, &name, &value)) {
        name = decode(rewrite, name);
        add_param(out, name, decode(rewrite, value));
    }
    bool no_room = rewrite->no_room || arena_overflowed(&rewrite->arena);
    return no_room ? no_room_for_params(error) : 0;
}

static void
remove_params(struct params *params, struct str name)
{
    for (uint32_t i = 0; i < params->count; i++)
        if (str_eq(params->list[i].name, name))
            params->list[i].gone = true;
}

static bool
has_param(const struct params *params, struct str name)
{
    for (uint32_t i = 0; i < params->count; i++)
        if (!params->list[i].gone && str_eq(params->list[i].name, name))
            return true;
    return false;
}

static void
rename_params(struct params *params, const struct change *change)
{
    if (change->key.len == 0 || change->val.len == 0 || str_eq(change->key, change->val) ||
        !has_param(params, change->key))
        return;
    remove_params(params, change->val);
    for (uint32_t i = 0; i < params->count; i++)
        if (!params->list[i].gone && str_eq(params->list[i].name, change->key))
            params->list[i].name = change->val;
}

static int
replace_in_param(struct rewrite *rewrite, const struct rewrite_search *search, struct param *param,
                 struct error *error)
{
    buf_clear(&rewrite->spare);
    int result = rewrite_value(rewrite, search, param->value, &rewrite->spare, error);
    if (result > 0)
        param->value = arena_copy(&rewrite->arena, buf_str(&rewrite->spare));
    if (arena_overflowed(&rewrite->arena))
        return rewrite_no_room(error);
    return result;
}

static int
replace_in_params(struct rewrite *rewrite, struct params *params, const struct change *change,
                  struct error *error)
{
    struct rewrite_search search = {.search = change->search, .replace = change->replace};
    bool all = change->key.len == 0 || str_eq(change->key, STR("*"));
    if (change->search.len == 0 && change->search_regexp.len == 0)
        return error_set(error, "a replacement has neither search nor search_regexp");
    if (change->search_regexp.len) {
        search.regex = regex_cache_get(&rewrite->regexes, change->search_regexp, error);
        if (!search.regex)
            return -1;
    }
    for (uint32_t i = 0; i < params->count; i++) {
        struct param *param = &params->list[i];
        if (!param->gone && (all || str_eq(param->name, change->key)) &&
            replace_in_param(rewrite, &search, param, error) < 0)
            return -1;
    }
    return 0;
}

static int
compare_params(const void *left, const void *right)
{
    const struct param *a = left, *b = right;
    int order = str_cmp(a->name, b->name);
    return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

static void
write_params(struct params *params, struct buf *out)
{
    qsort(params->list, params->count, sizeof *params->list, compare_params);
    for (uint32_t i = 0; i < params->count && !buf_overflowed(out); i++) {
        if (params->list[i].gone)
            continue;
        if (out->len)
            buf_append_char(out, '&');
        form_encode(params->list[i].name, out);
        buf_append_char(out, '=');
        form_encode(params->list[i].value, out);
    }
}

static int
read_changes(struct rewrite *rewrite, struct str text, struct query_changes *out,
             struct error *error)
{
    struct json json;
    struct str name;
    if (rewrite_begin(rewrite, &json, text, error) < 0)
        return -1;
    while (json_member(&json, &name)) {
        if (str_eq(name, STR("rename")))
            rewrite_take_changes(rewrite, &json, &out->rename);
        else if (str_eq(name, STR("set")))
            rewrite_take_changes(rewrite, &json, &out->set);
        else if (str_eq(name, STR("add")))
            rewrite_take_changes(rewrite, &json, &out->add);
        else if (str_eq(name, STR("replace")))
            rewrite_take_changes(rewrite, &json, &out->replace);
        else if (str_eq(name, STR("delete")))
            rewrite_take_keys(rewrite, &json, &out->delete);
        else
            json_skip(&json);
    }
    return rewrite_end(rewrite, &json, error);
}

int
rewrite_query(struct rewrite *rewrite, struct str changes, struct str query, struct error *error)
{
    struct query_changes list = {0};
    struct params params = {0};
    if (read_changes(rewrite, changes, &list, error) < 0 ||
        read_params(rewrite, query, list.set.count + list.add.count, &params, error) < 0)
        return -1;
    for (unsigned i = 0; i < list.rename.count; i++)
        rename_params(&params, &list.rename.list[i]);
    for (unsigned i = 0; i < list.set.count; i++) {
        const struct change *change = &list.set.list[i];
        if (change->key.len == 0)
            continue;
        remove_params(&params, change->key);
        add_param(&params, change->key, change->val);
    }
    for (unsigned i = 0; i < list.add.count; i++)
        if (list.add.list[i].key.len)
            add_param(&params, list.add.list[i].key, list.add.list[i].val);
    for (unsigned i = 0; i < list.replace.count; i++)
        if (replace_in_params(rewrite, &params, &list.replace.list[i], error) < 0)
            return -1;
    for (unsigned i = 0; i < list.delete.count; i++)
        if (list.delete.list[i].key.len)
            remove_params(&params, list.delete.list[i].key);
    write_params(&params, &rewrite->query);
    return buf_overflowed(&rewrite->query) ? rewrite_no_room(error) : 0;
}
