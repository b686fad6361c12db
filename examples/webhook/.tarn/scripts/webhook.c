/* Webhook: takes news from GitHub, and from it alone: each is signed with a secret that both know.
 *
 *   TARN_SCRIPT_WEBHOOK_SECRET=... tarn examples/webhook
 *   SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$TARN_SCRIPT_WEBHOOK_SECRET")
 *   curl -i localhost:8080/hooks/github -d "$BODY" \
 *       -H "X-Hub-Signature-256: sha256=${SIGNATURE##* }"
 *
 * The signature is of the body's bytes, as they came: checked before they are read as JSON.
 */
#include <tarn.h>

enum { BODY_MAX = 65536, HEX_LEN = 64, DAY_MS = 86400000 };

static char body[BODY_MAX];

static int
equal_in_constant_time(const char *a, const char *b, zs_u64 len)
{
    char difference = 0;
    for (zs_u64 i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

static int
signature_is_good(zs_u64 body_len)
{
    char secret[128], given[96], hash[32], wanted[HEX_LEN];
    zs_s64 secret_len = zs_env_get(ZS_STR("TARN_SCRIPT_WEBHOOK_SECRET"), secret, sizeof secret);
    if (secret_len < 1) {
        zs_log(ZS_STR("TARN_SCRIPT_WEBHOOK_SECRET is not set: nothing is taken\n"));
        return 0;
    }
    zs_s64 len = zs_req_header(ZS_STR("X-Hub-Signature-256"), given, sizeof given);
    if (len != 7 + HEX_LEN || zs_strncmp(given, "sha256=", 7) != 0)
        return 0;
    zs_hmac_sha256(secret, secret_len, body, body_len, hash);
    zs_hex_encode(hash, sizeof hash, wanted, sizeof wanted, ZS_HEX_LOWERCASE);
    return equal_in_constant_time(given + 7, wanted, HEX_LEN);
}

/* Whether this came before: it may come twice, by accident or by an attacker who recorded it. The
 * first one to count to 1 has it. It is known by its signature, which nobody else can make another
 * of; the header X-GitHub-Delivery, which is not signed, would not do. */
static int
came_before(void)
{
    char key[128];
    zs_req_header(ZS_STR("X-Hub-Signature-256"), key, sizeof key);
    return zs_kv_incr(ZS_STR(key), 1, DAY_MS) != 1;
}

/* What a real one would do: here it counts pushes by branch, for GET /hooks/pushes?branch=... */
static void
take(zs_s64 event)
{
    char key[160];
    char *branch = zs_stpcpy(key, "pushes:");
    zs_s64 ref = zs_json_get(event, ZS_STR("ref"));
    if (ref >= 0 && zs_json_read_string(ref, branch, sizeof key - 7) > 0)
        zs_kv_incr(ZS_STR(key), 1, 0);
    zs_respond(204, "", 0);
}

static void
receive(void)
{
    zs_s64 len = zs_req_body(body, sizeof body);
    if (len < 0 || len > BODY_MAX) {
        zs_respond(413, ZS_STR("At most 64 KiB.\n"));
        return;
    }
    if (!signature_is_good(len)) {
        zs_respond(401, ZS_STR("The signature is not good.\n"));
        return;
    }
    zs_s64 event = zs_json_parse(body, len);
    if (event < 0)
        zs_respond(400, ZS_STR("The body is not JSON.\n"));
    else if (came_before())
        zs_respond(200, ZS_STR("This one came before.\n"));
    else
        take(event);
}

static void
show_pushes(void)
{
    char key[160], text[16];
    zs_req_query_param(ZS_STR("branch"), zs_stpcpy(key, "pushes:"), sizeof key - 7);
    int len = zs_utoa10((unsigned)zs_kv_incr(ZS_STR(key), 0, DAY_MS), text, sizeof text);
    text[len] = '\n';
    zs_respond(200, text, len + 1);
}

TARN_ENTRY zs_u64
request(void)
{
    char path[24], method[8];
    zs_req_path(path, sizeof path);
    zs_req_method(method, sizeof method);
    if (zs_strcmp(path, "/hooks/github") == 0 && zs_strcmp(method, "POST") == 0)
        receive();
    else if (zs_strcmp(path, "/hooks/pushes") == 0)
        show_pushes();
    return 0;
}
