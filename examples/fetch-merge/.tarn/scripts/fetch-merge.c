/* Fetch and merge: one answer made of two others, which come from servers behind this one.
 *
 *   TARN_SCRIPT_BACKEND=http://127.0.0.1:9000 tarn examples/fetch-merge
 *   curl 'localhost:8080/api/dashboard?user=7'     {"orders":[...],"user":{...}}
 *
 * zs_fetch waits for the answer; the server goes on with other requests meanwhile. The user's data
 * must come, or there is no answer; without the orders there is one that says so.
 */
#include <tarn.h>

enum { URL_MAX = 512, BODY_MAX = 65536, KEEP_MS = 5000 };

static char body[BODY_MAX];

/* A copy of the digits that `text` begins with. What a client sends goes into a URL only when it
 * is known to be harmless there. */
static char *
add_digits(char *end, const char *text)
{
    while (*text >= '0' && *text <= '9')
        *end++ = *text++;
    *end = '\0';
    return end;
}

/* The JSON that GET BACKEND/path/ID answers, or -1. */
static zs_s64
fetch(const char *path, const char *id)
{
    char question[URL_MAX + 128];
    zs_s64 status = 0;
    char *end = zs_stpcpy(question, "{\"timeout_ms\":2000,\"url\":\"");
    zs_s64 len = zs_env_get(ZS_STR("TARN_SCRIPT_BACKEND"), end, URL_MAX);
    if (len < 1 || len == URL_MAX)
        return -1;
    end = add_digits(zs_stpcpy(end + len, path), id);
    end = zs_stpcpy(end, "\"}");

    zs_s64 answer = zs_fetch(question, end - question);
    if (answer < 0)
        return -1;
    zs_s64 number = zs_json_get(answer, ZS_STR("status"));
    zs_s64 text = zs_json_get(answer, ZS_STR("body"));
    if (number < 0 || text < 0 || zs_json_read_i64(number, &status, sizeof status) < 0)
        return -1;
    len = zs_json_read_string(text, body, sizeof body);
    zs_object_free(number);
    zs_object_free(text);
    zs_object_free(answer);
    if (status != 200 || len < 1 || len == sizeof body)
        return -1;
    return zs_json_parse(body, len);
}

TARN_ENTRY zs_u64
request(void)
{
    char path[24], id[12];
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/api/dashboard") != 0)
        return 0;
    zs_req_query_param(ZS_STR("user"), id, sizeof id);
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));

    if (id[0] < '0' || id[0] > '9') {
        zs_respond(400, ZS_STR("Say which user.\n"));
        return 0;
    }
    zs_s64 user = fetch("/users/", id);
    if (user < 0) {
        zs_respond(502, ZS_STR("The users' server has no good answer.\n"));
        return 0;
    }
    zs_s64 orders = fetch("/orders/", id);
    if (orders < 0) {
        orders = zs_json_new_object();
        zs_json_set_null(orders);
    }
    zs_s64 merged = zs_json_new_object();
    zs_json_set(merged, ZS_STR("user"), user);
    zs_json_set(merged, ZS_STR("orders"), orders);
    zs_json_respond(200, merged);
    return 0;
}
