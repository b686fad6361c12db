#include "script/fields_replace.h"

#include "http/target.h"
#include "script/request.h"
#include "script/rewrite.h"
#include "script/task.h"

/* A change of the field `at` in the list is made in the frame's scratch buffer first. Whether it
 * has changed. */
static bool
replace_in_field(struct script_frame *frame, struct script_fields *fields, uint32_t at,
                 const struct rewrite_search *search, const char *helper)
{
    struct rewrite *rewrite = script_rewrite(frame);
    struct str name = script_fields_name(fields, at);
    struct buf *made = &rewrite->query;
    struct error error;
    buf_clear(made);
    int result = rewrite_value(rewrite, search, script_fields_value(fields, at), made, &error);
    if (result < 0)
        bpf_trap(frame->run, "%s: %s", helper, error.text);
    if (result == 0)
        return false;
    if (http_field_id(name) == HTTP_FIELD_HOST && !script_host_is_valid(buf_str(made)))
        bpf_trap(frame->run, "%s: what would become of Host is no host", helper);
    switch (script_fields_set_value(fields, at, buf_str(made))) {
    case SCRIPT_FIELDS_OK:
        break;
    case SCRIPT_FIELDS_INVALID:
        bpf_trap(frame->run, "%s: the value of a field would have control characters", helper);
    case SCRIPT_FIELDS_FULL:
        bpf_trap(frame->run, "%s: header fields need more than %d bytes", helper,
                 SCRIPT_FIELDS_MAX);
    }
    return true;
}

bool
script_fields_replace(struct script_frame *frame, struct script_fields *fields, struct str ops_json,
                      const char *helper)
{
    struct rewrite_search search;
    struct error error;
    bool changed = false;
    if (rewrite_read_search(script_rewrite(frame), ops_json, &search, &error) < 0)
        bpf_trap(frame->run, "%s: %s", helper, error.text);
    for (uint32_t i = 0; i < fields->count; i++) {
        struct str name = script_fields_name(fields, i);
        if (script_field_matches(name, search.name) && !script_field_is_framing(name))
            changed = replace_in_field(frame, fields, i, &search, helper) || changed;
    }
    return changed;
}
