/* A JSON answer, built member by member. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    char agent[64];
    zs_s64 object = zs_json_new_object(), value = zs_json_new_object();
    zs_req_header(ZS_STR("host"), agent, sizeof agent);
    zs_json_set_string(value, ZS_STR(agent));
    zs_json_set(object, ZS_STR("host"), value);
    zs_json_set_i64(value, 42);
    zs_json_set(object, ZS_STR("answer"), value);
    zs_json_set_bool(value, 1);
    zs_json_set(object, ZS_STR("ok"), value);
    zs_json_respond(200, object);
    return 0;
}
