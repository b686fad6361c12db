/* Security headers on every answer, with a content security policy that has a fresh nonce each
 * time: of the scripts in a page only those run that carry it, so none that somebody slipped in.
 *
 *   curl -i localhost:8080
 *
 * The page has <script nonce="<zs-meta>nonce</zs-meta>">. Headers that never change need no script:
 * the file _headers sets them.
 */
#include <tarn.h>

static const struct {
    const char *name, *value;
} headers[] = {
    {"strict-transport-security", "max-age=63072000; includeSubDomains"},
    {"x-frame-options", "DENY"},
    {"referrer-policy", "strict-origin-when-cross-origin"},
    {"permissions-policy", "camera=(), geolocation=(), microphone=()"},
    {"cross-origin-opener-policy", "same-origin"},
};

/* "zs.response.header.NAME" in the metadata becomes a header of whatever answers: a file, a
 * script, an error. */
static void
set_header(const char *name, const char *value)
{
    char key[96];
    zs_stpcpy(zs_stpcpy(key, "zs.response.header."), name);
    zs_meta_set(ZS_STR(key), ZS_STR(value));
}

static void
set_policy(const char *nonce)
{
    char policy[256];
    char *end = zs_stpcpy(policy, "default-src 'self'; object-src 'none'; base-uri 'none'; "
                                  "script-src 'self' 'nonce-");
    zs_stpcpy(zs_stpcpy(end, nonce), "'");
    set_header("content-security-policy", policy);
}

TARN_ENTRY zs_u64
request(void)
{
    char random[16], nonce[33];
    for (zs_u64 i = 0; i < sizeof headers / sizeof headers[0]; i++)
        set_header(headers[i].name, headers[i].value);

    zs_getrandom(random, sizeof random);
    zs_hex_encode(random, sizeof random, nonce, 32, ZS_HEX_LOWERCASE);
    nonce[32] = '\0';
    zs_meta_set(ZS_STR("nonce"), ZS_STR(nonce));
    set_policy(nonce);
    return 0;
}
