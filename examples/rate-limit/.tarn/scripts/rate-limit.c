/* Rate limit by key: /api/ answers each client so many times a second and a minute. A client is who
 * shows a key that we gave out, with limits of its own, or else an address.
 *
 *   curl -H 'X-Api-Key: office-55b2d3c8' localhost:8080/api/quote.json
 *
 * All workers count together, and a reload does not forget. What is refused is not counted.
 */
#include <tarn.h>

enum { PER_SECOND = 5, PER_MINUTE = 100, NO_LIMIT = 0 };

struct limits {
    char client[128];
    zs_s64 per_second, per_minute;
};

static void
read_number(zs_s64 object, const char *key, zs_s64 *number)
{
    zs_s64 value = zs_json_get(object, ZS_STR(key));
    if (value >= 0)
        zs_json_read_i64(value, number, sizeof *number);
}

/* Only keys that we know have a count of their own: else everybody would get around the limit with
 * a new key for each request. */
static int
find_key(struct limits *limits)
{
    char *key = zs_stpcpy(limits->client, "key:");
    zs_s64 len = zs_req_header(ZS_STR("X-Api-Key"), key, sizeof limits->client - 4);
    zs_s64 keys = len > 0 ? zs_load_static_json(ZS_STR(".tarn/limits.json")) : -1;
    zs_s64 entry = keys < 0 ? -1 : zs_json_get(keys, key, len);
    if (entry < 0)
        return 0;
    read_number(entry, "per_second", &limits->per_second);
    read_number(entry, "per_minute", &limits->per_minute);
    return 1;
}

static void
take_address(struct limits *limits)
{
    char *address = zs_stpcpy(limits->client, "ip:");
    zs_req_peer(address, sizeof limits->client - 3);
    char *colon = zs_strrchr(address, ':'); /* each connection has another port */
    if (colon)
        *colon = '\0';
}

TARN_ENTRY zs_u64
request(void)
{
    struct limits limits = {.per_second = PER_SECOND, .per_minute = PER_MINUTE};
    char path[16];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strncmp(path, "/api/", 5) != 0)
        return 0;

    if (!find_key(&limits))
        take_address(&limits);
    switch (zs_rate_limit(ZS_STR(limits.client), limits.per_second, limits.per_minute, NO_LIMIT)) {
    case ZS_RATE_LIMIT_ALLOWED:
        return 0;
    case ZS_RATE_LIMIT_EXCEEDED_SECOND:
        zs_meta_set(ZS_STR("zs.response.header.retry-after"), ZS_STR("1"));
        break;
    default:
        zs_meta_set(ZS_STR("zs.response.header.retry-after"), ZS_STR("60"));
    }
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
    zs_respond(429, ZS_STR("Too many requests.\n"));
    return 0;
}
