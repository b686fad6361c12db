/* A limit for each client, per second, minute and hour, that is not reached; then a static file. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    char peer[64];
    zs_s64 len = zs_req_peer(peer, sizeof peer);
    while (len > 0 && peer[len - 1] != ':') /* the port is not the client's */
        len--;
    if (zs_rate_limit(peer, (zs_u64)len, 100000000, 1000000000, 2000000000) !=
        ZS_RATE_LIMIT_ALLOWED)
        zs_respond(429, ZS_STR("slow down\n"));
    return 0;
}
