/* A JSON body is read, and one of its members answered. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    char name[64];
    zs_s64 body = zs_req_body_json();
    zs_s64 user = body < 0 ? -1 : zs_json_get((zs_u64)body, ZS_STR("user"));
    zs_s64 member = user < 0 ? -1 : zs_json_get((zs_u64)user, ZS_STR("name"));
    if (member < 0 || zs_json_read_string((zs_u64)member, name, sizeof name) < 0) {
        zs_respond(400, ZS_STR("no name\n"));
        return 0;
    }
    zs_meta_set(ZS_STR("zs.response.header.Content-Type"), ZS_STR("text/plain"));
    zs_respond(200, ZS_STR(name));
    return 0;
}
