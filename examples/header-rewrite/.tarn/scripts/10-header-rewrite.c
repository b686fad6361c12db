/* Header rewriting: the request is put in order before anything else sees it.
 *
 *   curl -H 'X-Internal-User: root' -H 'X-Forwarded-Proto: https' \
 *       'localhost:8080/app/echo?utm_source=mail&q=1'
 *
 * Scripts run in the order of their names: 20-echo.c shows what this one has left.
 */
#include <tarn.h>

/* An id that travels with the request, in logs and to other servers. One that the client chose is
 * not taken: it may be long, or somebody else's. */
static void
set_request_id(void)
{
    char random[8], id[16];
    zs_getrandom(random, sizeof random);
    zs_hex_encode(random, sizeof random, id, sizeof id, ZS_HEX_LOWERCASE);
    zs_req_set_header(ZS_STR("X-Request-Id"), id, sizeof id);
    zs_meta_set(ZS_STR("zs.response.header.x-request-id"), id, sizeof id);
}

/* Clients can send bytes that are no text; helpers that take text would end the script. */
static int
is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return 0;
    return 1;
}

TARN_ENTRY zs_u64
request(void)
{
    /* Nobody outside may say what only our own servers say. */
    zs_req_delete_header(ZS_STR("X-Internal-*"));
    zs_req_delete_header(ZS_STR("X-Forwarded-*"));

    /* One header under its new name, another with a part replaced. */
    char version[32];
    if (zs_req_header(ZS_STR("X-Old-Version"), version, sizeof version) > 0 && is_plain(version))
        zs_req_set_header(ZS_STR("X-Api-Version"), ZS_STR(version));
    zs_req_delete_header(ZS_STR("X-Old-Version"));
    zs_req_replace_header(
        ZS_STR("{\"name\":\"Accept\",\"search\":\"text/json\",\"replace\":\"application/json\"}"));

    /* The address: /app/x is x, and the marks of advertisers go. */
    zs_req_rewrite_uri(ZS_STR("{\"strip_path_prefix\":\"/app\"}"));
    zs_req_rewrite_query(ZS_STR("{\"delete\":[\"utm_source\",\"utm_medium\",\"utm_campaign\"]}"));

    set_request_id();
    return 0;
}
