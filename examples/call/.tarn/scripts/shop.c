/* Calling another script: this one answers /price and has the price from prices.c.
 *
 *   curl 'localhost:8080/price?item=tea&count=3'     {"cents":720,"item":"tea"}
 *
 * Argument and result are JSON and are copied; the request and its metadata are shared. What fails
 * in the called script does not fail here: zs_call gives -1.
 */
#include <tarn.h>

static void
set_string(zs_s64 object, const char *key, const char *value)
{
    zs_s64 text = zs_json_new_object();
    zs_json_set_string(text, ZS_STR(value));
    zs_json_set(object, ZS_STR(key), text);
    zs_object_free(text);
}

TARN_ENTRY zs_u64
request(void)
{
    char path[16], item[32], count[8];
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/price") != 0)
        return 0;
    zs_req_query_param(ZS_STR("item"), item, sizeof item);
    zs_req_query_param(ZS_STR("count"), count, sizeof count);

    zs_s64 question = zs_json_new_object();
    set_string(question, "item", item);
    set_string(question, "count", count);
    zs_s64 answer = zs_call(ZS_STR("prices"), ZS_STR("price"), question);
    if (answer < 0)
        zs_respond(404, ZS_STR("There is no such item.\n"));
    else
        zs_json_respond(200, answer);
    return 0;
}
