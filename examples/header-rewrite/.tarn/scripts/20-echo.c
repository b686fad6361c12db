/* Shows /echo the request as the scripts before have left it. */
#include <tarn.h>

static const char *const shown[] = {
    "Accept", "X-Api-Version", "X-Forwarded-Proto", "X-Internal-User", "X-Request-Id",
};

static void
add(zs_s64 object, const char *key, const char *value)
{
    zs_s64 text = zs_json_new_object();
    zs_json_set_string(text, ZS_STR(value));
    zs_json_set(object, ZS_STR(key), text);
    zs_object_free(text);
}

TARN_ENTRY zs_u64
request(void)
{
    char text[256];
    zs_req_path(text, sizeof text);
    if (zs_strcmp(text, "/echo") != 0)
        return 0;

    zs_s64 answer = zs_json_new_object();
    zs_req_uri(text, sizeof text);
    add(answer, "uri", text);
    for (zs_u64 i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (zs_req_header(ZS_STR(shown[i]), text, sizeof text) > 0)
            add(answer, shown[i], text);
    zs_json_respond(200, answer);
    return 0;
}
