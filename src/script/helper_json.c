/* JSON, as scripts read it, and answer with it. */
#include "script/helpers.h"
#include "script/json_internal.h"

#include <inttypes.h>

static const uint64_t ABSENT = (uint64_t)-1;

SCRIPT_HELPER(zs_json_parse)
{
    return (uint64_t)script_json_parse(script_frame_of(run), bpf_view(run, r1, r2));
}

/* --- to other nodes --- */

SCRIPT_HELPER(zs_json_get)
{
    struct script_frame *frame = script_frame_of(run);
    struct str key = bpf_view(run, r2, r3);
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_get");
    struct json_node *member =
        entry->node->type == JSON_OBJECT ? json_tree_find(entry->node, key) : NULL;
    return member ? script_json_name(frame, entry, member, "zs_json_get") : ABSENT;
}

SCRIPT_HELPER(zs_json_array_get)
{
    struct script_frame *frame = script_frame_of(run);
    const struct json_handle *entry = script_json_live(frame, r1, "zs_json_array_get");
    struct json_node *item =
        entry->node->type == JSON_ARRAY ? json_tree_item_at(entry->node, r2) : NULL;
    return item ? script_json_name(frame, entry, item, "zs_json_array_get") : ABSENT;
}

SCRIPT_HELPER(zs_json_reset)
{
    struct script_frame *frame = script_frame_of(run);
    struct json_handle *entry = script_json_handle(frame, r1, "zs_json_reset");
    script_json_rename(frame, entry, &entry->tree->root, 0);
    return 0;
}

SCRIPT_HELPER(zs_object_free)
{
    struct script_frame *frame = script_frame_of(run);
    script_json_free(frame, script_json_handle(frame, r1, "zs_object_free"));
    return 0;
}

/* --- what a node is --- */

SCRIPT_HELPER(zs_json_type)
{
    return script_json_node(script_frame_of(run), r1, "zs_json_type")->type;
}

SCRIPT_HELPER(zs_json_len)
{
    const struct json_node *node = script_json_node(script_frame_of(run), r1, "zs_json_len");
    switch ((enum json_type)node->type) {
    case JSON_STRING:
        return json_tree_text(node).len;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return node->len;
    default:
        return ABSENT;
    }
}

SCRIPT_HELPER(zs_json_read_string)
{
    const struct json_node *node =
        script_json_node(script_frame_of(run), r1, "zs_json_read_string");
    if (node->type != JSON_STRING)
        return ABSENT;
    return script_put_text(run, r2, r3, json_tree_text(node));
}

/* For values of one length. */
static void
want_len(struct bpf_run *run, const char *helper, uint64_t len, uint64_t wanted)
{
    if (len != wanted)
        bpf_trap(run, "%s: out_len is %" PRIu64 ", expected %" PRIu64, helper, len, wanted);
}

SCRIPT_HELPER(zs_json_read_i64)
{
    const struct json_node *node = script_json_node(script_frame_of(run), r1, "zs_json_read_i64");
    if (node->type != JSON_NUMBER || node->form != JSON_INTEGER)
        return ABSENT;
    want_len(run, "zs_json_read_i64", r3, sizeof node->integer);
    bpf_copy_out(run, r2, &node->integer, sizeof node->integer);
    return sizeof node->integer;
}

SCRIPT_HELPER(zs_json_read_bool)
{
    const struct json_node *node = script_json_node(script_frame_of(run), r1, "zs_json_read_bool");
    if (node->type != JSON_BOOL)
        return ABSENT;
    want_len(run, "zs_json_read_bool", r3, 1);
    *bpf_view_writable(run, r2, 1) = node->boolean;
    return 1;
}

/* --- the answer --- */

SCRIPT_HELPER(zs_json_respond)
{
    struct script_frame *frame = script_frame_of(run);
    struct buf *text = &frame->task->worker->scratch;
    script_want_request(frame, "zs_json_respond");
    const struct json_node *node = script_json_node(frame, r2, "zs_json_respond");
    buf_clear(text);
    json_tree_write(node, text);
    if (buf_overflowed(text))
        bpf_trap(run, "zs_json_respond: the text has more than %zu bytes", text->max);
    if (!script_answer_respond(&frame->task->answer, r1, STR("application/json"), buf_str(text)))
        bpf_trap(run, "zs_json_respond: no memory for the response");
    return 0;
}
