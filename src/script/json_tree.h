/* json_tree: JSON values as trees that a script can change. Not for other folders.
 *
 * A node is 16 bytes: a number that fits 64 bits, a text of up to JSON_SHORT_MAX bytes, or where
 * more is. An array has its items, and an object its members, sorted by the bytes of their keys, in
 * one list of memory; so finding is by halving, and nothing is linked. Numbers that are no 64-bit
 * integers keep the text they came with.
 *
 * Memory is counted as what the heap takes for it (json_tree_take), against `left` of the
 * script_json that all trees of a run belong to. What fails for lack of it leaves everything as it
 * was, and frees what it had begun.
 *
 * Nodes move when a list grows or something is put in front of them, and go when they are replaced
 * or removed. Those that handles name are marked (is_named), and the handles follow, or are dead
 * from then on. Nothing here traps.
 */
#ifndef TARN_SCRIPT_JSON_TREE_H
#define TARN_SCRIPT_JSON_TREE_H

#include "base/error.h"
#include "script/json.h"

/* The numbers are those of zs_json_type. */
enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

enum { JSON_SHORT_MAX = 13, JSON_LONG = 0xfe, JSON_INTEGER = 0xff };

struct json_list;

struct json_node {
    union {
        struct {
            uint8_t type;
            bool is_named;
            uint8_t form; /* of a string or number: the length of short_text, JSON_LONG (`text` of
                             `len` bytes), or JSON_INTEGER */
            char short_text[JSON_SHORT_MAX]; /* zeros behind its end */
        };
        struct {
            uint8_t head[4];
            uint32_t len; /* of an array or object: how many there are in `list` */
            union {
                bool boolean;
                int64_t integer;
                char *text;
                struct json_list *list; /* NULL: empty */
            };
        };
    };
};
_Static_assert(sizeof(struct json_node) == 16, "four to a cache line");

struct json_member {
    struct json_node key; /* a string */
    struct json_node value;
};

/* Nodes or members follow it. */
struct json_list {
    uint64_t cap;
};

static inline struct json_node *
json_items(const struct json_node *array)
{
    return (struct json_node *)(void *)(array->list + 1);
}

static inline struct json_member *
json_members(const struct json_node *object)
{
    return (struct json_member *)(void *)(object->list + 1);
}

struct json_tree {
    struct json_node root;
    uint32_t handle_count; /* it goes with the last one */
    bool is_shared;        /* what the root holds is a cache's, not to be changed or freed */
    uint64_t shared_cost;  /* that a copy of it takes, and is charged for it */
};

struct json_handle {
    uint64_t id;
    struct json_tree *tree;
    struct json_node *node; /* NULL: it was replaced or removed */
    uint32_t depth;         /* arrays and objects that it lies in */
};

enum json_result {
    JSON_OK,
    JSON_ABSENT,   /* no such member or item; or the text is not JSON */
    JSON_TOO_DEEP, /* more than SCRIPT_JSON_DEPTH_MAX levels */
    JSON_NO_ROOM,
    JSON_NO_MEMORY, /* the system has none */
    JSON_TOO_MANY,  /* handles: SCRIPT_HANDLES_MAX */
};

/* What the heap takes for `len` bytes. */
uint64_t json_tree_cost(uint64_t len);
/* Counts and allocates; NULL and why in *result. Untake gives back what was `len` bytes. */
void *json_tree_take(struct script_json *json, uint64_t len, enum json_result *result);
void json_tree_untake(struct script_json *json, void *memory, uint64_t len);
/* A list of items of `size` bytes. */
struct json_list *json_tree_new_list(struct script_json *json, size_t size, uint32_t cap,
                                     enum json_result *result);

/* Text of a string, or of a number that is not JSON_INTEGER. Borrowed from the node. */
static inline struct str
json_tree_text(const struct json_node *node)
{
    return node->form == JSON_LONG ? str_make(node->text, node->len)
                                   : str_make(node->short_text, node->form);
}

/* Order of two strings by their bytes. */
int json_tree_compare(const struct json_node *a, const struct json_node *b);
/* Of a node that holds nothing. `type`: JSON_STRING or JSON_NUMBER. */
enum json_result json_tree_put_text(struct script_json *json, struct json_node *node, uint8_t type,
                                    struct str text) MUST_USE;
void json_tree_put_integer(struct json_node *node, int64_t value);
void json_tree_put_bool(struct json_node *node, bool value);
/* An empty array or object. */
void json_tree_put_list(struct json_node *node, uint8_t type);

/* Frees what the node holds; it is null then. Handles that name the node itself stay. */
void json_tree_empty(struct script_json *json, struct json_node *node);
/* Makes the null node `to` a deep copy, with at most `levels` arrays and objects inside each other.
 * After a failure it is to be emptied. `to` does not lie in `from`. */
enum json_result json_tree_copy(struct script_json *json, struct json_node *to,
                                const struct json_node *from, unsigned levels) MUST_USE;

/* A member of an object, an item of an array; NULL: there is none. */
struct json_node *json_tree_find(const struct json_node *object, struct str key);
struct json_node *json_tree_item_at(const struct json_node *array, uint64_t index);

/* Copies of `value`, which may be anywhere, also around the place where it goes. `levels` as for
 * json_tree_copy. */
enum json_result json_tree_set(struct script_json *json, struct json_node *object, struct str key,
                               const struct json_node *value, unsigned levels) MUST_USE;
enum json_result json_tree_push(struct script_json *json, struct json_node *array,
                                const struct json_node *value, unsigned levels) MUST_USE;
/* In place of one that is there. Handles that name it are dead then. */
enum json_result json_tree_replace(struct script_json *json, struct json_node *node,
                                   const struct json_node *value, unsigned levels) MUST_USE;
enum json_result json_tree_remove(struct script_json *json, struct json_node *object,
                                  struct str key) MUST_USE;

/* --- handles --- */

/* They name something between `from` and `end` that now lies `by` bytes further. */
void json_handles_moved(struct script_json *json, uintptr_t from, uintptr_t end, ptrdiff_t by);
/* They name a node that is no more. */
void json_handles_lost(struct script_json *json, const struct json_node *node);

/* --- text --- */

/* Makes the null node what the text says, which must be one JSON value (RFC 8259) and nothing else;
 * of two members with one key the last stays. After a failure it is null. */
enum json_result json_tree_read(struct script_json *json, struct json_node *to,
                                struct str text) MUST_USE;
/* Appends compact JSON. */
void json_tree_write(const struct json_node *node, struct buf *out);

#endif
