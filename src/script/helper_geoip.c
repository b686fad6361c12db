/* The helper that looks addresses up. */
#include "script/geoip.h"
#include "script/helpers.h"
#include "script/task.h"

/* A handle of the record, or -1: no database, no address, or nothing known of it. */
SCRIPT_HELPER(zs_geoip)
{
    struct script_frame *frame = script_frame_of(run);
    const struct geoip *geoip = frame->task->worker->shared->geoip;
    char json[GEOIP_RECORD_MAX];
    size_t len;
    struct str address = script_trimmed(run, r1, r2, "zs_geoip: ip");
    if (!geoip || !geoip_find(geoip, address, json, &len))
        return (uint64_t)-1;
    return (uint64_t)script_json_parse(frame, str_make(json, len));
}
