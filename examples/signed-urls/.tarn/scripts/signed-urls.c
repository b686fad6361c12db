/* Signed URLs: a link into /downloads/ works until it expires, and for that file only.
 *
 *   TARN_SCRIPT_URL_KEY=... tarn examples/signed-urls
 *
 * The home page has a fresh link. Other programs that know the key make links too:
 *
 *   FILE=/downloads/report.txt EXPIRES=$(($(date +%s) + 300))
 *   SIGNATURE=$(printf '%s\n%s' $FILE $EXPIRES | openssl dgst -sha256 -hmac $TARN_SCRIPT_URL_KEY)
 *   echo "$FILE?expires=$EXPIRES&signature=${SIGNATURE##* }"
 */
#include <tarn.h>

enum { PATH_MAX = 512, SIGNATURE_LEN = 64, TIME_MAX = 16 };

/* Scripts see variables of the environment that begin with TARN_SCRIPT_, and no others. */
static zs_u64
read_key(char *key, zs_u64 key_len)
{
    zs_s64 len = zs_env_get(ZS_STR("TARN_SCRIPT_URL_KEY"), key, key_len);
    if (len < 1)
        zs_log(ZS_STR("TARN_SCRIPT_URL_KEY is not set: no link works\n"));
    return len < 1 ? 0 : len;
}

/* The path and the time are signed together: neither can be changed. Returns 0 without a key. */
static int
sign(const char *path, const char *expires, char *signature)
{
    char key[128], text[PATH_MAX + TIME_MAX + 1], hash[32];
    zs_u64 key_len = read_key(key, sizeof key);
    if (key_len == 0)
        return 0;
    char *end = zs_stpcpy(zs_stpcpy(zs_stpcpy(text, path), "\n"), expires);
    zs_hmac_sha256(key, key_len, text, end - text, hash);
    zs_hex_encode(hash, sizeof hash, signature, SIGNATURE_LEN, ZS_HEX_LOWERCASE);
    return 1;
}

static int
equal_in_constant_time(const char *a, const char *b, zs_u64 len)
{
    char difference = 0;
    for (zs_u64 i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

/* Digits only, and not so many that the number could overflow; 0: it is none. */
static zs_u64
number(const char *text)
{
    zs_u64 value = 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        value = value * 10 + (zs_u64)(*text - '0');
    }
    return value;
}

static void
refuse(const char *why)
{
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
    zs_respond(403, ZS_STR(why));
}

static void
check_link(const char *path)
{
    char expires[TIME_MAX], given[SIGNATURE_LEN + 2], wanted[SIGNATURE_LEN];
    zs_req_query_param(ZS_STR("expires"), expires, sizeof expires);
    zs_s64 len = zs_req_query_param(ZS_STR("signature"), given, sizeof given);
    if (len != SIGNATURE_LEN || !sign(path, expires, wanted) ||
        !equal_in_constant_time(given, wanted, SIGNATURE_LEN))
        refuse("This link is not valid.\n");
    else if (number(expires) * 1000 < zs_now_ms())
        refuse("This link has expired.\n");
    else
        zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-store"));
}

static void
make_link(const char *path)
{
    char link[PATH_MAX + TIME_MAX + SIGNATURE_LEN + 32], expires[TIME_MAX];
    zs_utoa10((unsigned)(zs_now_ms() / 1000 + 300), expires, sizeof expires);
    char *end = zs_stpcpy(zs_stpcpy(zs_stpcpy(link, path), "?expires="), expires);
    end = zs_stpcpy(end, "&signature=");
    if (sign(path, expires, end))
        zs_meta_set(ZS_STR("link"), link, end - link + SIGNATURE_LEN);
}

TARN_ENTRY zs_u64
request(void)
{
    char path[PATH_MAX];
    if (zs_req_normalized_path(path, sizeof path) == sizeof path)
        refuse("This path is too long.\n"); /* what is cut must not be taken for the whole */
    else if (zs_strncmp(path, "/downloads/", 11) == 0)
        check_link(path);
    else if (zs_strcmp(path, "/") == 0)
        make_link("/downloads/report.txt");
    return 0;
}
