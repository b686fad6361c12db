/* json: the JSON trees of one run of a script, by handles. Not for other folders.
 *
 * A handle names a node of a tree. Handles start at 1 and are not used again within a run. A handle
 * stays good while its node is in its tree; using one whose node was replaced or removed, or that
 * never was, traps with a message. A node that gets another value (zs_json_set_string and the like)
 * stays the same node; what was in it is removed. zs_json_reset and zs_object_free take a handle
 * whose node is gone, too: it still belongs to its tree. A tree lives as long as a handle into it
 * does (zs_object_free), and no longer than the run. Everything but the list of handles itself is
 * charged to the frame (script_charge), exactly, and refunded when it goes, so that a script may
 * build and drop trees for ever.
 *
 * Bounds: SCRIPT_HANDLES_MAX live handles, SCRIPT_JSON_DEPTH_MAX levels, the frame's footprint.
 */
#ifndef TARN_SCRIPT_JSON_H
#define TARN_SCRIPT_JSON_H

#include "base/buf.h"

struct script_frame;
struct json_handle;

struct script_json {
    struct json_handle *handles; /* NULL: none yet */
    uint32_t handle_cap, live_count;
    uint64_t next_handle;
    uint64_t left; /* during a call: bytes that may still be taken */
};

/* Frees all of it; charges go with the frame. Zeroed memory is an empty one. */
void script_json_deinit(struct script_json *json);

/* A handle of the root of a new tree, or -1: not JSON, too deep. Traps when there is no room.
 * `text` may lie in the script's memory. */
int64_t script_json_parse(struct script_frame *frame, struct str text);
/* The same before the frame's run has begun, where nothing can trap: -1 also without room. */
int64_t script_json_try_parse(struct script_frame *frame, struct str text);
/* Whether it is a good handle. */
bool script_json_has(struct script_frame *frame, uint64_t handle);
/* The same of a copy of what `handle` of the frame `from` names; traps in `from` when that is no
 * handle. Both frames may be one. */
int64_t script_json_copy(struct script_frame *to, struct script_frame *from, uint64_t handle);
/* Appends compact JSON, keys sorted by their bytes. Traps when it is no handle. */
void script_json_write(struct script_frame *frame, uint64_t handle, struct buf *out);
/* Whether it is a string, which is then *value, borrowed until the frame's trees change. Traps when
 * it is no handle. */
bool script_json_string(struct script_frame *frame, uint64_t handle, struct str *value);
/* Calls `visit` for the members of an object that are strings, sorted by the bytes of their keys.
 * It must not trap, nor change the frame's trees. False: it is no object. Traps when it is no
 * handle. */
bool script_json_each_string(struct script_frame *frame, uint64_t handle,
                             void (*visit)(void *arg, struct str key, struct str value), void *arg);
/* Of an object: whether its member `key` is the string `value`. Traps when it is no handle. */
bool script_json_member_is(struct script_frame *frame, uint64_t handle, struct str key,
                           struct str value);

#endif
