/* Custom 404: a page that names what is missing, for people; JSON for programs. And what was asked
 * for and missing is counted.
 *
 *   curl -i localhost:8080/nothing
 *   curl -i -H 'Accept: application/json' localhost:8080/nothing
 *
 * Whether something is missing shows in the response, so in a hook. A hook cannot make another
 * body, but it can have the chain run again, with a word in the metadata for the second time. A
 * page that is the same for all missing addresses needs no script: 404.html.
 */
#include <tarn.h>

TARN_CALL_ENTRY(look, nothing)
{
    char word[8];
    if (zs_res_status() != 404 || zs_meta_get(ZS_STR("not-found"), word, sizeof word) > 0)
        return nothing;
    zs_meta_set(ZS_STR("not-found"), ZS_STR("yes"));
    zs_res_continue_request();
    return nothing;
}

static int
wants_json(void)
{
    char accept[32];
    zs_req_header(ZS_STR("Accept"), accept, sizeof accept);
    return zs_strncmp(accept, "application/json", 16) == 0;
}

static void
answer_json(const char *path)
{
    zs_s64 answer = zs_json_new_object(), text = zs_json_new_object();
    zs_json_set_string(text, ZS_STR(path));
    zs_json_set(answer, ZS_STR("missing"), text);
    zs_json_respond(404, answer);
}

TARN_ENTRY zs_u64
request(void)
{
    char word[8], path[256];
    if (zs_meta_get(ZS_STR("not-found"), word, sizeof word) == 0) {
        zs_res_hook("", 0, ZS_STR("look"), zs_json_new_object());
        return 0;
    }

    /* The second time. */
    zs_req_path(path, sizeof path);
    zs_meta_set(ZS_STR("missing"), ZS_STR(path));
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
    if (wants_json())
        answer_json(path);
    else
        zs_respond_file(404, ZS_STR("not-found.html"));
    return 0;
}
