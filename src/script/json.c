/* Handles, and the frame's account.
 *
 * A trap jumps out of a helper. So what can trap comes before anything is taken (handles, views) or
 * after all is in its place or freed again (room): a change of a tree counts against `left`, fails
 * by a result, and is charged when it is done, which cannot fail any more.
 *
 * The list of handles is short and stands in the order of their numbers: it is searched from its
 * end, where the newest are.
 */
#include "base/limits.h"
#include "base/must.h"
#include "script/json_internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { HANDLES_FIRST = 8 };

/* --- the account --- */

void
script_json_begin(struct script_frame *frame)
{
    frame->json.left = script_room(frame);
}

void
script_json_end(struct script_frame *frame)
{
    uint64_t before = script_room(frame), left = frame->json.left;
    if (left < before)
        script_charge(frame, before - left);
    else
        script_refund(frame, left - before);
}

/* The run that calls a helper, whose ever the trees are. */
static struct bpf_run *
running(const struct script_frame *frame)
{
    return frame->task->running->run;
}

void
script_json_check(struct script_frame *frame, enum json_result result, const char *what)
{
    switch (result) {
    case JSON_OK:
    case JSON_ABSENT:
        break;
    case JSON_TOO_DEEP:
        bpf_trap(running(frame), "%s: more than %d arrays and objects inside each other", what,
                 SCRIPT_JSON_DEPTH_MAX);
    case JSON_NO_ROOM:
        script_charge(frame, UINT64_MAX); /* traps, and says what the limit is */
        break;
    case JSON_NO_MEMORY:
        bpf_trap(running(frame), "%s: the system has no memory", what);
    case JSON_TOO_MANY:
        bpf_trap(running(frame), "%s: more than %d handles; zs_object_free gives one back", what,
                 SCRIPT_HANDLES_MAX);
    }
}

/* --- the list --- */

static struct json_handle *
find(const struct script_json *json, uint64_t id)
{
    for (uint32_t i = json->live_count; i-- > 0;)
        if (json->handles[i].id == id)
            return &json->handles[i];
    return NULL;
}

static enum json_result
reserve_handle(struct script_json *json)
{
    if (json->live_count < json->handle_cap)
        return JSON_OK;
    if (json->live_count == SCRIPT_HANDLES_MAX)
        return JSON_TOO_MANY;
    uint32_t cap = json->handle_cap ? 2 * json->handle_cap : HANDLES_FIRST;
    struct json_handle *handles = realloc(json->handles, cap * sizeof *handles);
    if (!handles)
        return JSON_NO_MEMORY;
    json->handles = handles;
    json->handle_cap = cap;
    return JSON_OK;
}

/* The entry names a node, which is marked if it may be. */
static void
name(struct json_handle *entry, struct json_node *node, uint32_t depth)
{
    entry->node = node;
    entry->depth = depth;
    if (!entry->tree->is_shared)
        node->is_named = true;
}

/* Room was reserved. */
static uint64_t
add_handle(struct script_json *json, struct json_tree *tree, struct json_node *node, uint32_t depth)
{
    struct json_handle *entry = &json->handles[json->live_count++];
    entry->id = ++json->next_handle;
    entry->tree = tree;
    tree->handle_count++;
    name(entry, node, depth);
    return entry->id;
}

/* The handle stops naming its node, which others may still name. */
static void
unname(struct script_json *json, struct json_handle *entry)
{
    struct json_node *node = entry->node;
    entry->node = NULL;
    if (!node || entry->tree->is_shared)
        return;
    node->is_named = false;
    for (uint32_t i = 0; i < json->live_count; i++)
        if (json->handles[i].node == node)
            node->is_named = true;
}

void
json_handles_moved(struct script_json *json, uintptr_t from, uintptr_t end, ptrdiff_t by)
{
    for (uint32_t i = 0; i < json->live_count; i++) {
        uintptr_t at = (uintptr_t)json->handles[i].node;
        if (at >= from && at < end)
            json->handles[i].node = (struct json_node *)(at + (uintptr_t)by);
    }
}

void
json_handles_lost(struct script_json *json, const struct json_node *node)
{
    for (uint32_t i = 0; i < json->live_count; i++)
        if (json->handles[i].node == node)
            json->handles[i].node = NULL;
}

static void
free_tree(struct script_json *json, struct json_tree *tree)
{
    if (tree->is_shared)
        json->left += tree->shared_cost;
    else
        json_tree_empty(json, &tree->root);
    json_tree_untake(json, tree, sizeof *tree);
}

void
script_json_deinit(struct script_json *json)
{
    for (uint32_t i = 0; i < json->live_count; i++) {
        struct json_tree *tree = json->handles[i].tree;
        if (--tree->handle_count == 0)
            free_tree(json, tree);
    }
    free(json->handles);
    *json = (struct script_json){0};
}

/* --- for helpers --- */

struct json_handle *
script_json_handle(struct script_frame *frame, uint64_t handle, const char *what)
{
    struct json_handle *entry = find(&frame->json, handle);
    if (!entry)
        bpf_trap(running(frame), "%s: %" PRIi64 " is no handle", what, (int64_t)handle);
    return entry;
}

struct json_handle *
script_json_live(struct script_frame *frame, uint64_t handle, const char *what)
{
    struct json_handle *entry = script_json_handle(frame, handle, what);
    if (!entry->node)
        bpf_trap(running(frame), "%s: the value of handle %" PRIu64 " was replaced or removed",
                 what, handle);
    return entry;
}

struct json_node *
script_json_node(struct script_frame *frame, uint64_t handle, const char *what)
{
    return script_json_live(frame, handle, what)->node;
}

unsigned
script_json_levels(const struct json_handle *entry)
{
    return SCRIPT_JSON_DEPTH_MAX - 1 - entry->depth;
}

uint64_t
script_json_name(struct script_frame *frame, const struct json_handle *parent,
                 struct json_node *node, const char *what)
{
    struct json_tree *tree = parent->tree;
    uint32_t depth = parent->depth + 1;
    script_json_check(frame, reserve_handle(&frame->json), what);
    return add_handle(&frame->json, tree, node, depth);
}

void
script_json_rename(struct script_frame *frame, struct json_handle *entry, struct json_node *node,
                   uint32_t depth)
{
    unname(&frame->json, entry);
    name(entry, node, depth);
}

void
script_json_free(struct script_frame *frame, struct json_handle *entry)
{
    struct script_json *json = &frame->json;
    struct json_tree *tree = entry->tree;
    unname(json, entry);
    struct json_handle *end = json->handles + --json->live_count;
    memmove(entry, entry + 1, (size_t)(end - entry) * sizeof *entry);
    if (--tree->handle_count)
        return;
    script_json_begin(frame);
    free_tree(json, tree);
    script_json_end(frame);
}

/* --- new trees --- */

static struct json_tree *
new_tree(struct script_json *json, enum json_result *result)
{
    struct json_tree *tree = json_tree_take(json, sizeof *tree, result);
    if (tree)
        *tree = (struct json_tree){0};
    return tree;
}

/* What has become of a tree's root: a handle, or nothing of it stays. */
static enum json_result
finish_tree(struct script_frame *frame, struct json_tree *tree, enum json_result result,
            int64_t *handle)
{
    if (result == JSON_OK)
        result = reserve_handle(&frame->json);
    if (result == JSON_OK)
        *handle = (int64_t)add_handle(&frame->json, tree, &tree->root, 0);
    else
        free_tree(&frame->json, tree);
    script_json_end(frame);
    return result;
}

enum json_result
script_json_read(struct script_frame *frame, struct str text, int64_t *handle)
{
    enum json_result result = JSON_OK;
    script_json_begin(frame);
    struct json_tree *tree = new_tree(&frame->json, &result);
    if (!tree)
        return result;
    return finish_tree(frame, tree, json_tree_read(&frame->json, &tree->root, text), handle);
}

uint64_t
script_json_new(struct script_frame *frame, uint8_t type, const char *what)
{
    enum json_result result = JSON_OK;
    int64_t handle = -1;
    script_json_begin(frame);
    struct json_tree *tree = new_tree(&frame->json, &result);
    if (tree) {
        if (type != JSON_NULL)
            json_tree_put_list(&tree->root, type);
        result = finish_tree(frame, tree, JSON_OK, &handle);
    }
    script_json_check(frame, result, what);
    return (uint64_t)handle;
}

int64_t
script_json_parse(struct script_frame *frame, struct str text)
{
    int64_t handle = -1;
    enum json_result result = script_json_read(frame, text, &handle);
    if (result != JSON_TOO_DEEP)
        script_json_check(frame, result, "JSON");
    return handle;
}

int64_t
script_json_try_parse(struct script_frame *frame, struct str text)
{
    int64_t handle = -1;
    return script_json_read(frame, text, &handle) == JSON_OK ? handle : -1;
}

int64_t
script_json_copy(struct script_frame *to, struct script_frame *from, uint64_t handle)
{
    const struct json_node *node = script_json_node(from, handle, "JSON");
    enum json_result result = JSON_OK;
    int64_t copy = -1;
    script_json_begin(to);
    struct json_tree *tree = new_tree(&to->json, &result);
    if (tree) {
        result = json_tree_copy(&to->json, &tree->root, node, SCRIPT_JSON_DEPTH_MAX);
        result = finish_tree(to, tree, result, &copy);
    }
    script_json_check(to, result, "JSON");
    return copy;
}

/* --- shared trees --- */

uint64_t
script_json_share(struct script_frame *frame, const struct json_node *root, uint64_t cost,
                  const char *what)
{
    struct script_json *json = &frame->json;
    enum json_result result = JSON_OK;
    int64_t handle = -1;
    script_json_begin(frame);
    struct json_tree *tree = new_tree(json, &result);
    if (tree) {
        result = cost <= json->left ? JSON_OK : JSON_NO_ROOM;
        if (result == JSON_OK) {
            tree->root = *root;
            tree->is_shared = true;
            tree->shared_cost = cost;
            json->left -= cost;
        }
        result = finish_tree(frame, tree, result, &handle);
    }
    script_json_check(frame, result, what);
    return (uint64_t)handle;
}

/* The `*count` handles that name what is in `from` name the same in its copy. */
static void
follow(struct script_json *json, const struct json_node *from, const struct json_node *to,
       const struct json_tree *tree, unsigned *count)
{
    bool is_array = from->type == JSON_ARRAY;
    if (!is_array && from->type != JSON_OBJECT)
        return;
    for (uint32_t i = 0; *count && i < from->len; i++) {
        const struct json_node *old =
            is_array ? &json_items(from)[i] : &json_members(from)[i].value;
        struct json_node *copy = is_array ? &json_items(to)[i] : &json_members(to)[i].value;
        for (uint32_t h = 0; h < json->live_count; h++) {
            struct json_handle *entry = &json->handles[h];
            if (entry->tree != tree || entry->node != old)
                continue;
            name(entry, copy, entry->depth);
            --*count;
        }
        follow(json, old, copy, tree, count);
    }
}

/* The root of the tree has become a copy of `from`. */
static void
follow_all(struct script_json *json, const struct json_tree *tree, const struct json_node *from)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < json->live_count; i++) {
        struct json_handle *entry = &json->handles[i];
        if (entry->tree != tree)
            continue;
        if (entry->node == &tree->root)
            name(entry, entry->node, 0);
        else
            count++;
    }
    follow(json, from, &tree->root, tree, &count);
    must(count == 0); /* in a shared tree no node goes */
}

void
script_json_unshare(struct script_frame *frame, struct json_tree *tree, const char *what)
{
    struct script_json *json = &frame->json;
    struct json_node copy = {0}, from = tree->root;
    if (!tree->is_shared)
        return;
    script_json_begin(frame);
    json->left += tree->shared_cost;
    enum json_result result = json_tree_copy(json, &copy, &from, SCRIPT_JSON_DEPTH_MAX);
    if (result == JSON_OK) {
        tree->is_shared = false;
        tree->root = copy;
        follow_all(json, tree, &from);
    } else {
        json_tree_empty(json, &copy);
        json->left -= tree->shared_cost;
    }
    script_json_end(frame);
    script_json_check(frame, result, what);
}

/* --- looking at them --- */

bool
script_json_has(struct script_frame *frame, uint64_t handle)
{
    const struct json_handle *entry = find(&frame->json, handle);
    return entry && entry->node;
}

void
script_json_write(struct script_frame *frame, uint64_t handle, struct buf *out)
{
    json_tree_write(script_json_node(frame, handle, "JSON"), out);
}

static bool
get_string(const struct json_node *node, struct str *value)
{
    if (!node || node->type != JSON_STRING)
        return false;
    *value = json_tree_text(node);
    return true;
}

bool
script_json_string(struct script_frame *frame, uint64_t handle, struct str *value)
{
    return get_string(script_json_node(frame, handle, "JSON"), value);
}

bool
script_json_member_is(struct script_frame *frame, uint64_t handle, struct str key, struct str value)
{
    const struct json_node *node = script_json_node(frame, handle, "JSON");
    struct str text;
    return node->type == JSON_OBJECT && get_string(json_tree_find(node, key), &text) &&
           str_eq(text, value);
}

bool
script_json_each_string(struct script_frame *frame, uint64_t handle,
                        void (*visit)(void *arg, struct str key, struct str value), void *arg)
{
    const struct json_node *node = script_json_node(frame, handle, "JSON");
    if (node->type != JSON_OBJECT)
        return false;
    for (uint32_t i = 0; i < node->len; i++) {
        const struct json_member *member = &json_members(node)[i];
        struct str value;
        if (get_string(&member->value, &value))
            visit(arg, json_tree_text(&member->key), value);
    }
    return true;
}
