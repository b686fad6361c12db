#include "script/json_tree.h"

#include "base/limits.h"
#include "base/must.h"

#include <endian.h>
#include <stdlib.h>

enum { LIST_STEP = 4, LIST_SHRINK_MIN = 16 };

/* --- memory --- */

/* A chunk of glibc's heap: 8 bytes in front, a multiple of 16, at least 32. */
uint64_t
json_tree_cost(uint64_t len)
{
    return len <= 24 ? 32 : (len + 8 + 15) & ~UINT64_C(15);
}

void *
json_tree_take(struct script_json *json, uint64_t len, enum json_result *result)
{
    uint64_t cost = json_tree_cost(len);
    if (cost > json->left) {
        *result = JSON_NO_ROOM;
        return NULL;
    }
    void *memory = malloc(len);
    if (!memory) {
        *result = JSON_NO_MEMORY;
        return NULL;
    }
    json->left -= cost;
    return memory;
}

void
json_tree_untake(struct script_json *json, void *memory, uint64_t len)
{
    free(memory);
    json->left += json_tree_cost(len);
}

/* --- lists --- */

static uint64_t
list_len(size_t size, uint64_t cap)
{
    return sizeof(struct json_list) + size * cap;
}

struct json_list *
json_tree_new_list(struct script_json *json, size_t size, uint32_t cap, enum json_result *result)
{
    struct json_list *list = json_tree_take(json, list_len(size, cap), result);
    if (list)
        list->cap = cap;
    return list;
}

static size_t
item_size(const struct json_node *node)
{
    return node->type == JSON_ARRAY ? sizeof(struct json_node) : sizeof(struct json_member);
}

/* The list of an array or object gets room for `cap`, which are at least those that are there. */
static enum json_result
resize(struct script_json *json, struct json_node *node, uint64_t cap)
{
    size_t size = item_size(node);
    uint64_t old_cost = node->list ? json_tree_cost(list_len(size, node->list->cap)) : 0;
    uint64_t cost = json_tree_cost(list_len(size, cap));
    if (cap > UINT32_MAX || (cost > old_cost && cost - old_cost > json->left))
        return JSON_NO_ROOM;
    uintptr_t before = (uintptr_t)node->list;
    struct json_list *list = realloc(node->list, list_len(size, cap));
    if (!list)
        return JSON_NO_MEMORY;
    list->cap = cap;
    node->list = list;
    json->left += old_cost - cost;
    if (before && before != (uintptr_t)list)
        json_handles_moved(json, before, before + list_len(size, node->len),
                           (ptrdiff_t)((uintptr_t)list - before));
    return JSON_OK;
}

static enum json_result
make_room(struct script_json *json, struct json_node *node)
{
    uint64_t cap = node->list ? node->list->cap : 0;
    return node->len < cap ? JSON_OK : resize(json, node, cap + cap / 2 + LIST_STEP);
}

static void
give_back_room(struct script_json *json, struct json_node *node)
{
    struct json_list *list = node->list;
    if (node->len == 0) {
        node->list = NULL;
        json_tree_untake(json, list, list_len(item_size(node), list->cap));
    } else if (list->cap >= LIST_SHRINK_MIN && node->len <= list->cap / 4) {
        resize(json, node, list->cap / 2); /* or it stays as large as it was */
    }
}

/* --- what a node holds --- */

/* The first, or last, eight bytes of a short text, as a number that is ordered as they are. */
static uint64_t
word_at(const struct json_node *node, size_t off)
{
    uint64_t word;
    memcpy(&word, node->short_text + off, sizeof word);
    return be64toh(word);
}

int
json_tree_compare(const struct json_node *a, const struct json_node *b)
{
    if (a->form > JSON_SHORT_MAX || b->form > JSON_SHORT_MAX)
        return str_cmp(json_tree_text(a), json_tree_text(b));
    uint64_t x = word_at(a, 0), y = word_at(b, 0);
    if (x == y) {
        x = word_at(a, JSON_SHORT_MAX - sizeof x);
        y = word_at(b, JSON_SHORT_MAX - sizeof y);
    }
    if (x == y) { /* but for NULs at an end */
        x = a->form;
        y = b->form;
    }
    return x < y ? -1 : x > y;
}

/* The node was null. */
static void
put_short_text(struct json_node *node, struct str text)
{
    memset(node->short_text, 0, sizeof node->short_text);
    node->form = (uint8_t)text.len;
    for (size_t i = 0; i < text.len; i++)
        node->short_text[i] = text.ptr[i];
}

enum json_result
json_tree_put_text(struct script_json *json, struct json_node *node, uint8_t type, struct str text)
{
    enum json_result result = JSON_NO_ROOM;
    if (text.len <= JSON_SHORT_MAX) {
        node->type = type;
        put_short_text(node, text);
        return JSON_OK;
    }
    char *copy = text.len <= UINT32_MAX ? json_tree_take(json, text.len, &result) : NULL;
    if (!copy)
        return result;
    memcpy(copy, text.ptr, text.len);
    node->type = type;
    node->form = JSON_LONG;
    node->len = (uint32_t)text.len;
    node->text = copy;
    return JSON_OK;
}

void
json_tree_put_integer(struct json_node *node, int64_t value)
{
    node->type = JSON_NUMBER;
    node->form = JSON_INTEGER;
    node->integer = value;
}

void
json_tree_put_bool(struct json_node *node, bool value)
{
    node->type = JSON_BOOL;
    node->boolean = value;
}

void
json_tree_put_list(struct json_node *node, uint8_t type)
{
    node->type = type;
    node->len = 0;
    node->list = NULL;
}

/* Frees a node that is about to be no more. */
static void
drop(struct script_json *json, struct json_node *node)
{
    if (node->is_named)
        json_handles_lost(json, node);
    json_tree_empty(json, node);
}

static void
drop_member(struct script_json *json, struct json_member *member)
{
    drop(json, &member->key);
    drop(json, &member->value);
}

void
json_tree_empty(struct script_json *json, struct json_node *node)
{
    uint8_t type = node->type;
    node->type = JSON_NULL;
    if (type == JSON_STRING || type == JSON_NUMBER) {
        if (node->form == JSON_LONG)
            json_tree_untake(json, node->text, node->len);
    } else if ((type == JSON_ARRAY || type == JSON_OBJECT) && node->list) {
        struct json_list *list = node->list;
        for (uint32_t i = 0; i < node->len; i++)
            if (type == JSON_ARRAY)
                drop(json, &json_items(node)[i]);
            else
                drop_member(json, &json_members(node)[i]);
        size_t size = type == JSON_ARRAY ? sizeof(struct json_node) : sizeof(struct json_member);
        json_tree_untake(json, list, list_len(size, list->cap));
    }
}

/* --- copies --- */

static enum json_result
copy_text(struct script_json *json, struct json_node *to, const struct json_node *from)
{
    return json_tree_put_text(json, to, from->type, json_tree_text(from));
}

static enum json_result
copy_list(struct script_json *json, struct json_node *to, const struct json_node *from,
          unsigned levels)
{
    enum json_result result = JSON_OK;
    json_tree_put_list(to, from->type);
    if (from->len == 0)
        return JSON_OK;
    to->list = json_tree_new_list(json, item_size(from), from->len, &result);
    for (uint32_t i = 0; to->list && i < from->len && result == JSON_OK; i++) {
        struct json_node *copy, *value;
        to->len = i + 1;
        if (from->type == JSON_ARRAY) {
            copy = &json_items(to)[i];
            value = &json_items(from)[i];
        } else {
            copy = &json_members(to)[i].value;
            value = &json_members(from)[i].value;
            json_members(to)[i] = (struct json_member){0};
            result = copy_text(json, &json_members(to)[i].key, &json_members(from)[i].key);
        }
        *copy = (struct json_node){0};
        if (result == JSON_OK)
            result = json_tree_copy(json, copy, value, levels);
    }
    return result;
}

enum json_result
json_tree_copy(struct script_json *json, struct json_node *to, const struct json_node *from,
               unsigned levels)
{
    switch ((enum json_type)from->type) {
    case JSON_NULL:
        break;
    case JSON_BOOL:
        json_tree_put_bool(to, from->boolean);
        break;
    case JSON_NUMBER:
        if (from->form != JSON_INTEGER)
            return copy_text(json, to, from);
        json_tree_put_integer(to, from->integer);
        break;
    case JSON_STRING:
        return copy_text(json, to, from);
    case JSON_ARRAY:
    case JSON_OBJECT:
        return levels ? copy_list(json, to, from, levels - 1) : JSON_TOO_DEEP;
    }
    return JSON_OK;
}

/* --- finding --- */

/* Whether the object has the key; *at: where it is, or would be. */
static bool
search(const struct json_node *object, struct str key, uint32_t *at)
{
    uint32_t low = 0, high = object->len;
    struct json_node wanted = {0};
    if (key.len <= JSON_SHORT_MAX) {
        put_short_text(&wanted, key);
    } else {
        wanted.form = JSON_LONG;
        wanted.len = key.len < UINT32_MAX ? (uint32_t)key.len : UINT32_MAX;
        wanted.text = (char *)(uintptr_t)key.ptr;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = json_tree_compare(&json_members(object)[middle].key, &wanted);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

struct json_node *
json_tree_find(const struct json_node *object, struct str key)
{
    uint32_t at;
    return search(object, key, &at) ? &json_members(object)[at].value : NULL;
}

struct json_node *
json_tree_item_at(const struct json_node *array, uint64_t index)
{
    return index < array->len ? &json_items(array)[index] : NULL;
}

/* --- changes --- */

enum json_result
json_tree_replace(struct script_json *json, struct json_node *node, const struct json_node *value,
                  unsigned levels)
{
    struct json_node copy = {0};
    enum json_result result = json_tree_copy(json, &copy, value, levels);
    if (result != JSON_OK) {
        json_tree_empty(json, &copy);
        return result;
    }
    drop(json, node);
    *node = copy;
    return JSON_OK;
}

/* Moves what stands from `at` on, to make a gap or to close one. */
static void
shift(struct script_json *json, struct json_node *node, uint32_t at, uint32_t to)
{
    size_t size = item_size(node), len = (node->len - at) * size;
    char *first = (char *)(node->list + 1);
    char *from = first + at * size;
    ptrdiff_t by = ((ptrdiff_t)to - (ptrdiff_t)at) * (ptrdiff_t)size;
    if (len == 0)
        return;
    memmove(from + by, from, len);
    json_handles_moved(json, (uintptr_t)from, (uintptr_t)from + len, by);
}

static enum json_result
insert_member(struct script_json *json, struct json_node *object, uint32_t at, struct str key,
              const struct json_node *value, unsigned levels)
{
    struct json_member member = {0};
    enum json_result result = json_tree_copy(json, &member.value, value, levels);
    if (result == JSON_OK)
        result = json_tree_put_text(json, &member.key, JSON_STRING, key);
    if (result == JSON_OK)
        result = make_room(json, object);
    if (result != JSON_OK) {
        drop_member(json, &member);
        return result;
    }
    shift(json, object, at, at + 1);
    json_members(object)[at] = member;
    object->len++;
    return JSON_OK;
}

enum json_result
json_tree_set(struct script_json *json, struct json_node *object, struct str key,
              const struct json_node *value, unsigned levels)
{
    uint32_t at;
    if (search(object, key, &at))
        return json_tree_replace(json, &json_members(object)[at].value, value, levels);
    return insert_member(json, object, at, key, value, levels);
}

enum json_result
json_tree_push(struct script_json *json, struct json_node *array, const struct json_node *value,
               unsigned levels)
{
    struct json_node copy = {0};
    enum json_result result = json_tree_copy(json, &copy, value, levels);
    if (result == JSON_OK)
        result = make_room(json, array);
    if (result != JSON_OK) {
        json_tree_empty(json, &copy);
        return result;
    }
    json_items(array)[array->len++] = copy;
    return JSON_OK;
}

enum json_result
json_tree_remove(struct script_json *json, struct json_node *object, struct str key)
{
    uint32_t at;
    if (!search(object, key, &at))
        return JSON_ABSENT;
    drop_member(json, &json_members(object)[at]);
    shift(json, object, at + 1, at);
    object->len--;
    give_back_room(json, object);
    return JSON_OK;
}
