/* JSON, as scripts change it: values that are put into others are copied first, so that an object
 * may be put into itself. What is replaced or removed is refunded; handles of it are dead. A tree
 * that is a cache's is copied when it is about to be changed: nodes are asked for anew then.
 */
#include "script/helpers.h"
#include "script/json_internal.h"

static const uint64_t ABSENT = (uint64_t)-1;

/* Behind script_json_begin: the account, then what cannot be helped. */
static uint64_t
finish(struct script_frame *frame, enum json_result result, const char *what)
{
    script_json_end(frame);
    script_json_check(frame, result, what);
    return result == JSON_OK ? 0 : ABSENT;
}

SCRIPT_HELPER(zs_json_new_object)
{
    return script_json_new(script_frame_of(run), JSON_OBJECT, "zs_json_new_object");
}

SCRIPT_HELPER(zs_json_new_array)
{
    return script_json_new(script_frame_of(run), JSON_ARRAY, "zs_json_new_array");
}

SCRIPT_HELPER(zs_json_clone)
{
    struct script_frame *frame = script_frame_of(run);
    script_json_node(frame, r1, "zs_json_clone");
    return (uint64_t)script_json_copy(frame, frame, r1);
}

SCRIPT_HELPER(zs_json_set)
{
    struct script_frame *frame = script_frame_of(run);
    struct str key = bpf_view(run, r2, r3);
    script_json_node(frame, r4, "zs_json_set: value");
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_set");
    if (entry->node->type != JSON_OBJECT || !str_is_utf8(key))
        return ABSENT;
    script_json_unshare(frame, entry->tree, "zs_json_set");
    const struct json_node *value = script_json_node(frame, r4, "zs_json_set: value");
    script_json_begin(frame);
    return finish(frame,
                  json_tree_set(&frame->json, entry->node, key, value, script_json_levels(entry)),
                  "zs_json_set");
}

SCRIPT_HELPER(zs_json_remove)
{
    struct script_frame *frame = script_frame_of(run);
    struct str key = bpf_view(run, r2, r3);
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_remove");
    if (entry->node->type != JSON_OBJECT)
        return ABSENT;
    script_json_unshare(frame, entry->tree, "zs_json_remove");
    script_json_begin(frame);
    return finish(frame, json_tree_remove(&frame->json, entry->node, key), "zs_json_remove");
}

SCRIPT_HELPER(zs_json_array_push)
{
    struct script_frame *frame = script_frame_of(run);
    script_json_node(frame, r2, "zs_json_array_push: value");
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_array_push");
    if (entry->node->type != JSON_ARRAY)
        return ABSENT;
    script_json_unshare(frame, entry->tree, "zs_json_array_push");
    const struct json_node *value = script_json_node(frame, r2, "zs_json_array_push: value");
    struct json_node *array = entry->node;
    script_json_begin(frame);
    finish(frame, json_tree_push(&frame->json, array, value, script_json_levels(entry)),
           "zs_json_array_push");
    return array->len;
}

SCRIPT_HELPER(zs_json_array_set)
{
    struct script_frame *frame = script_frame_of(run);
    script_json_node(frame, r3, "zs_json_array_set: value");
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_array_set");
    if (entry->node->type != JSON_ARRAY || !json_tree_item_at(entry->node, r2))
        return ABSENT;
    script_json_unshare(frame, entry->tree, "zs_json_array_set");
    const struct json_node *value = script_json_node(frame, r3, "zs_json_array_set: value");
    struct json_node *item = json_tree_item_at(entry->node, r2);
    script_json_begin(frame);
    return finish(frame, json_tree_replace(&frame->json, item, value, script_json_levels(entry)),
                  "zs_json_array_set");
}

/* --- a node that becomes a plain value --- */

/* It is null, and what was in it is free for what comes. */
static struct json_node *
begin_value(struct script_frame *frame, uint64_t handle, const char *what)
{
    const struct json_handle *entry = script_json_live(frame, handle, what);
    script_json_unshare(frame, entry->tree, what);
    script_json_begin(frame);
    json_tree_empty(&frame->json, entry->node);
    return entry->node;
}

SCRIPT_HELPER(zs_json_set_string)
{
    struct script_frame *frame = script_frame_of(run);
    struct str text = bpf_view(run, r2, r3);
    script_json_node(frame, r1, "zs_json_set_string");
    if (!str_is_utf8(text))
        return ABSENT;
    struct json_node *node = begin_value(frame, r1, "zs_json_set_string");
    return finish(frame, json_tree_put_text(&frame->json, node, JSON_STRING, text),
                  "zs_json_set_string");
}

SCRIPT_HELPER(zs_json_set_i64)
{
    struct script_frame *frame = script_frame_of(run);
    json_tree_put_integer(begin_value(frame, r1, "zs_json_set_i64"), (int64_t)r2);
    return finish(frame, JSON_OK, "zs_json_set_i64");
}

SCRIPT_HELPER(zs_json_set_bool)
{
    struct script_frame *frame = script_frame_of(run);
    json_tree_put_bool(begin_value(frame, r1, "zs_json_set_bool"), r2 != 0);
    return finish(frame, JSON_OK, "zs_json_set_bool");
}

SCRIPT_HELPER(zs_json_set_null)
{
    struct script_frame *frame = script_frame_of(run);
    begin_value(frame, r1, "zs_json_set_null");
    return finish(frame, JSON_OK, "zs_json_set_null");
}
