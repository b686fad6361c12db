/* json_internal: from handles to nodes, and from results to traps, for json.c and the helpers of
 * the JSON family. Not for others.
 */
#ifndef TARN_SCRIPT_JSON_INTERNAL_H
#define TARN_SCRIPT_JSON_INTERNAL_H

#include "script/json_tree.h"
#include "script/task.h"

/* The entry of a handle whose node may be gone; traps when there is none. It moves when a handle is
 * added or freed. `what`: the helper, for the message. */
struct json_handle *script_json_handle(struct script_frame *frame, uint64_t handle,
                                       const char *what);
/* The same, of one whose node is there. */
struct json_handle *script_json_live(struct script_frame *frame, uint64_t handle, const char *what);
struct json_node *script_json_node(struct script_frame *frame, uint64_t handle, const char *what);

/* Levels that a value may have which is put into what the handle names. */
unsigned script_json_levels(const struct json_handle *entry);

/* A handle of a node in the tree of `parent`. Traps when there are SCRIPT_HANDLES_MAX. */
uint64_t script_json_name(struct script_frame *frame, const struct json_handle *parent,
                          struct json_node *node, const char *what);
/* Names another node of the same tree. */
void script_json_rename(struct script_frame *frame, struct json_handle *entry,
                        struct json_node *node, uint32_t depth);
/* Frees the handle, and its tree when it is the last one. */
void script_json_free(struct script_frame *frame, struct json_handle *entry);

/* A handle of a new tree that is null, or an empty array or object. Traps without room. */
uint64_t script_json_new(struct script_frame *frame, uint8_t type, const char *what);
/* Makes a text the tree of a new handle. *handle is set when it is JSON_OK. Does not trap. */
enum json_result script_json_read(struct script_frame *frame, struct str text, int64_t *handle);
/* A handle of a tree of its own to look at, whose root holds what `root` does and which takes
 * `cost`; that must stay as it is as long as the frame lives. Traps without room. */
uint64_t script_json_share(struct script_frame *frame, const struct json_node *root, uint64_t cost,
                           const char *what);
/* Before a tree is changed: makes it one that may be. Nodes of it are elsewhere then. */
void script_json_unshare(struct script_frame *frame, struct json_tree *tree, const char *what);

/* Traps for a result that nothing can be done about; comes back for JSON_OK and JSON_ABSENT, and
 * not for the others. */
void script_json_check(struct script_frame *frame, enum json_result result, const char *what);

/* Around changes of trees: what may be taken; and the charge or refund for what was, which cannot
 * trap any more. */
void script_json_begin(struct script_frame *frame);
void script_json_end(struct script_frame *frame);

#endif
