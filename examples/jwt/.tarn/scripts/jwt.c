/* JWT: /members/ is for those who show a JSON Web Token, in the Authorization header or a cookie.
 *
 *   TARN_SCRIPT_JWT_SECRET=... tarn examples/jwt
 *   curl -i -H "Authorization: Bearer $TOKEN" localhost:8080/members/
 *
 * zs_jwt_verify checks the signature and the times (exp, nbf). Who may be the issuer, and whom the
 * token was made for, is for the script to check. With the issuer's public keys (a JSON Web Key
 * Set) in place of the secret, tokens of RS256 and ES256 are good too.
 */
#include <tarn.h>

enum { TOKEN_MAX = 3000 };

#define ISSUER "https://login.example.com"
#define AUDIENCE "shop"

/* Into a buffer of TOKEN_MAX bytes. Returns its length; 0: there is none, or it is too long. */
static zs_u64
read_token(char *token)
{
    zs_s64 len = zs_req_header(ZS_STR("Authorization"), token, TOKEN_MAX);
    if (len == TOKEN_MAX)
        return 0;
    if (zs_strncmp(token, "Bearer ", 7) == 0) {
        for (zs_s64 i = 7; i <= len; i++)
            token[i - 7] = token[i];
        return len - 7;
    }
    len = zs_req_cookie(ZS_STR("token"), token, TOKEN_MAX);
    return len == TOKEN_MAX ? 0 : len;
}

static int
claim_is(zs_s64 claims, const char *name, const char *wanted)
{
    char text[128];
    zs_s64 value = zs_json_get(claims, ZS_STR(name));
    return value >= 0 && zs_json_read_string(value, text, sizeof text) >= 0 &&
           zs_strcmp(text, wanted) == 0;
}

/* The claims of a good token, or -1. */
static zs_s64
verified_claims(void)
{
    static char token[TOKEN_MAX];
    char secret[128];
    zs_s64 secret_len = zs_env_get(ZS_STR("TARN_SCRIPT_JWT_SECRET"), secret, sizeof secret);
    if (secret_len < 1) {
        zs_log(ZS_STR("TARN_SCRIPT_JWT_SECRET is not set: nobody can log in\n"));
        return -1;
    }
    zs_u64 token_len = read_token(token);
    if (token_len == 0)
        return -1;
    zs_s64 claims = zs_jwt_verify(token, token_len, secret, secret_len);
    if (claims < 0 || !claim_is(claims, "iss", ISSUER) || !claim_is(claims, "aud", AUDIENCE))
        return -1;
    return claims;
}

TARN_ENTRY zs_u64
request(void)
{
    char path[64], user[128];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strcmp(path, "/members") != 0 && zs_strncmp(path, "/members/", 9) != 0)
        return 0;

    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));
    zs_s64 claims = verified_claims();
    if (claims < 0) {
        zs_meta_set(ZS_STR("zs.response.header.www-authenticate"), ZS_STR("Bearer"));
        zs_respond(401, ZS_STR("A valid token is needed.\n"));
        return 0;
    }
    zs_s64 subject = zs_json_get(claims, ZS_STR("sub"));
    if (subject >= 0 && zs_json_read_string(subject, user, sizeof user) > 0)
        zs_meta_set(ZS_STR("user"), ZS_STR(user));
    return 0;
}
