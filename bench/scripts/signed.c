/* A signed link: sig is HMAC-SHA256 of path and expiry, in hexadecimal. The Lua side uses
 * HMAC-SHA1, which is what it has built in, and which is less work. */
#include <tarn.h>

static const char key[] = "a secret of thirty-two bytes....";

ZS_ENTRY
zs_u64
entry(void)
{
    char text[160], given[72], expires[24];
    zs_u8 mac[32];
    char hex[64];
    zs_s64 path_len = zs_req_path(text, 128);
    zs_s64 expires_len = zs_req_query_param(ZS_STR("expires"), expires, sizeof expires);
    zs_s64 given_len = zs_req_query_param(ZS_STR("sig"), given, sizeof given);
    zs_s64 until = 0;
    for (int i = 0; i < expires_len && i < 20; i++)
        until = until * 10 + (expires[i] - '0');
    zs_memcpy(text + path_len, expires, (zs_u64)expires_len);
    zs_hmac_sha256(key, sizeof key - 1, text, (zs_u64)(path_len + expires_len), mac);
    zs_hex_encode(mac, sizeof mac, hex, sizeof hex, ZS_HEX_LOWERCASE);
    if (given_len != 64 || zs_memcmp(hex, given, 64) != 0 || until < (zs_s64)(zs_now_ms() / 1000))
        zs_respond(403, ZS_STR("forbidden\n"));
    return 0;
}
