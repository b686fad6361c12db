/* Geo block: no service for some countries, by the address of the client.
 *
 *   tarn --geoip GeoLite2-Country.mmdb examples/geo-block
 *
 * Needs a database of addresses in the format of MaxMind (GeoLite2, DB-IP and others).
 */
#include <tarn.h>

/* ISO 3166 codes. */
static const char *const blocked[] = {"AQ", "BV"};

/* "203.0.113.7:50123" and "[2001:db8::1]:50123" without brackets and port. */
static char *
client_address(char *peer, zs_u64 len)
{
    zs_req_peer(peer, len);
    char *colon = zs_strrchr(peer, ':');
    if (!colon)
        return peer;
    *colon = '\0';
    if (peer[0] != '[')
        return peer;
    colon[-1] = '\0';
    return peer + 1;
}

/* Empty when it is not known. */
static void
country_of(const char *address, char *code, zs_u64 code_len)
{
    code[0] = '\0';
    zs_s64 record = zs_geoip(ZS_STR(address));
    if (record < 1)
        return;
    zs_s64 country = zs_json_get(record, ZS_STR("country"));
    zs_s64 iso_code = country < 0 ? -1 : zs_json_get(country, ZS_STR("iso_code"));
    if (iso_code >= 0 && zs_json_read_string(iso_code, code, code_len) < 0)
        code[0] = '\0';
}

TARN_ENTRY zs_u64
request(void)
{
    char peer[64], country[8];
    country_of(client_address(peer, sizeof peer), country, sizeof country);
    zs_meta_set(ZS_STR("country"), ZS_STR(country));

    for (zs_u64 i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
        if (zs_strcmp(country, blocked[i]) == 0) {
            zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
            zs_respond(451, ZS_STR("Not available in your country.\n"));
            return 0;
        }
    return 0;
}
