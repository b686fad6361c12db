/* Basic authentication: /private/ asks for a name and a password.
 *
 *   curl -i localhost:8080/private/                                        401
 *   curl -i -u alice:correct-horse-battery-staple localhost:8080/private/  200
 *
 * .tarn/users.json has the users. Nothing below .tarn/ is ever served. For a new password, with any
 * salt:
 *
 *   printf %s PASSWORD | openssl dgst -sha256 -hmac SALT
 *
 * Such a hash is quick to compute, for a thief of the file too: give out long random passwords.
 * Basic authentication sends the password with each request: use TLS.
 */
#include <tarn.h>

enum { HASH_HEX_LEN = 64 };

/* Takes as long for a wrong first character as for a wrong last one, so that nobody can guess one
 * after the other by the time that it takes. */
static int
equal_in_constant_time(const char *a, const char *b, zs_u64 len)
{
    char difference = 0;
    for (zs_u64 i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

static int
password_is_right(const char *user, const char *password, zs_u64 password_len)
{
    char salt[64], wanted[HASH_HEX_LEN + 1], hash[32], hex[HASH_HEX_LEN];
    zs_s64 users = zs_load_static_json(ZS_STR(".tarn/users.json"));
    if (users < 0) {
        zs_log(ZS_STR("no .tarn/users.json: nobody can log in\n"));
        return 0;
    }
    zs_s64 entry = zs_json_get(users, ZS_STR(user));
    if (entry < 0)
        return 0;
    zs_s64 salt_json = zs_json_get(entry, ZS_STR("salt"));
    zs_s64 hash_json = zs_json_get(entry, ZS_STR("hash"));
    if (salt_json < 0 || zs_json_read_string(salt_json, salt, sizeof salt) < 0)
        return 0;
    if (hash_json < 0 || zs_json_read_string(hash_json, wanted, sizeof wanted) != HASH_HEX_LEN)
        return 0;
    zs_hmac_sha256(ZS_STR(salt), password, password_len, hash);
    zs_hex_encode(hash, sizeof hash, hex, sizeof hex, ZS_HEX_LOWERCASE);
    return equal_in_constant_time(hex, wanted, sizeof hex);
}

/* What helpers take as text must be UTF-8, or they end the script. What a client sends may be
 * anything: here only printable ASCII goes on. */
static int
is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return 0;
    return 1;
}

static int
is_logged_in(void)
{
    char text[512];
    zs_s64 len = zs_req_header(ZS_STR("Authorization"), text, sizeof text);
    if (len == sizeof text || zs_strncmp(text, "Basic ", 6) != 0)
        return 0;
    char *user = text + 6;
    len = zs_base64_decode_in_place(user, len - 6, ZS_BASE64_STANDARD);
    if (len < 0)
        return 0;
    user[len] = '\0';
    char *colon = user;
    while (*colon && *colon != ':')
        colon++;
    if (!*colon)
        return 0;
    *colon = '\0';
    char *password = colon + 1;
    if (!is_printable(user) || !password_is_right(user, password, user + len - password))
        return 0;
    zs_meta_set(ZS_STR("user"), ZS_STR(user)); /* for <zs-meta>user</zs-meta>, and later scripts */
    return 1;
}

TARN_ENTRY zs_u64
request(void)
{
    /* The normalised path is decoded and has no "..", "//" and trailing slash: the one to decide
     * about access by. zs_req_path would not show that /%70rivate/ is the same place. */
    char path[64];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strcmp(path, "/private") != 0 && zs_strncmp(path, "/private/", 9) != 0)
        return 0;

    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));
    if (is_logged_in())
        return 0;
    zs_meta_set(ZS_STR("zs.response.header.www-authenticate"),
                ZS_STR("Basic realm=\"members\", charset=\"UTF-8\""));
    zs_respond(401, ZS_STR("Please log in.\n"));
    return 0;
}
