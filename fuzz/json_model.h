/* json_model: JSON trees once more, as simply as can be, to compare src/script's with: nodes of an
 * arena that are never freed but marked, children in the order they came, everything found by
 * looking at all.
 */
#ifndef TARN_FUZZ_JSON_MODEL_H
#define TARN_FUZZ_JSON_MODEL_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdlib.h>

enum { MODEL_NULL, MODEL_BOOL, MODEL_NUMBER, MODEL_STRING, MODEL_ARRAY, MODEL_OBJECT };

struct model_child {
    struct str key;
    struct model *node;
};

struct model {
    int type;
    bool boolean, is_integer;
    bool is_gone;
    int64_t integer;
    struct str text; /* of a string, or of a number that is no 64-bit integer */
    struct model_child *children;
    unsigned count, cap;
};

static inline void
check(bool holds)
{
    if (!holds)
        abort();
}

static inline struct model *
model_new(struct arena *arena, int type)
{
    struct model *node = arena_alloc(arena, sizeof *node);
    check(node != NULL);
    node->type = type;
    return node;
}

static inline void
model_add(struct arena *arena, struct model *parent, struct str key, struct model *child)
{
    if (parent->count == parent->cap) {
        parent->cap = 2 * parent->cap + 4;
        struct model_child *list = arena_alloc(arena, parent->cap * sizeof *list);
        check(list != NULL);
        if (parent->count)
            memcpy(list, parent->children, parent->count * sizeof *list);
        parent->children = list;
    }
    parent->children[parent->count++] = (struct model_child){arena_copy(arena, key), child};
}

static inline struct model *
model_copy(struct arena *arena, const struct model *from)
{
    struct model *to = model_new(arena, from->type);
    *to = *from;
    to->is_gone = false;
    to->children = NULL;
    to->count = to->cap = 0;
    for (unsigned i = 0; i < from->count; i++)
        model_add(arena, to, from->children[i].key, model_copy(arena, from->children[i].node));
    return to;
}

static inline void
model_kill_children(struct model *node)
{
    for (unsigned i = 0; i < node->count; i++) {
        model_kill_children(node->children[i].node);
        node->children[i].node->is_gone = true;
    }
    node->count = 0;
}

static inline void
model_kill(struct model *node)
{
    model_kill_children(node);
    node->is_gone = true;
}

static inline struct model_child *
model_find(const struct model *node, struct str key)
{
    for (unsigned i = 0; node->type == MODEL_OBJECT && i < node->count; i++)
        if (str_eq(node->children[i].key, key))
            return &node->children[i];
    return NULL;
}

/* Of an object; the value is in the arena already. */
static inline void
model_set(struct arena *arena, struct model *node, struct str key, struct model *value)
{
    struct model_child *old = model_find(node, key);
    if (!old) {
        model_add(arena, node, key, value);
        return;
    }
    model_kill(old->node);
    old->node = value;
}

static inline bool
model_remove(struct model *node, struct str key)
{
    struct model_child *old = model_find(node, key);
    if (!old)
        return false;
    model_kill(old->node);
    *old = node->children[--node->count];
    return true;
}

static inline unsigned
model_height(const struct model *node)
{
    unsigned height = 0;
    for (unsigned i = 0; i < node->count; i++) {
        unsigned child = model_height(node->children[i].node);
        height = child > height ? child : height;
    }
    return height + (node->type >= MODEL_ARRAY);
}

/* Arrays and objects around `node` in the tree of `root`, or -1: it is not there. */
static inline int
model_depth(const struct model *root, const struct model *node)
{
    if (root == node)
        return 0;
    for (unsigned i = 0; i < root->count; i++) {
        int depth = model_depth(root->children[i].node, node);
        if (depth >= 0)
            return depth + 1;
    }
    return -1;
}

static inline void
model_write_string(struct buf *out, struct str s)
{
    static const char plain[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        const char *name = c ? strchr(plain, c) : NULL;
        if (name)
            buf_printf(out, "\\%c", names[name - plain]);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static inline int
model_compare(const void *left, const void *right)
{
    const struct model_child *a = left, *b = right;
    return str_cmp(a->key, b->key);
}

static inline void
model_write(struct buf *out, struct model *node)
{
    if (node->type == MODEL_OBJECT && node->count)
        qsort(node->children, node->count, sizeof *node->children, model_compare);
    if (node->type == MODEL_NULL)
        buf_append(out, STR("null"));
    else if (node->type == MODEL_BOOL)
        buf_append(out, node->boolean ? STR("true") : STR("false"));
    else if (node->type == MODEL_NUMBER && node->is_integer)
        buf_printf(out, "%lld", (long long)node->integer);
    else if (node->type == MODEL_NUMBER)
        buf_append(out, node->text);
    else if (node->type == MODEL_STRING)
        model_write_string(out, node->text);
    if (node->type < MODEL_ARRAY)
        return;
    buf_append_char(out, node->type == MODEL_ARRAY ? '[' : '{');
    for (unsigned i = 0; i < node->count; i++) {
        if (i)
            buf_append_char(out, ',');
        if (node->type == MODEL_OBJECT) {
            model_write_string(out, node->children[i].key);
            buf_append_char(out, ':');
        }
        model_write(out, node->children[i].node);
    }
    buf_append_char(out, node->type == MODEL_ARRAY ? ']' : '}');
}

#endif
