/* IP allow-list: /admin/ is for some networks only. To everybody else it does not exist.
 *
 *   curl -i localhost:8080/admin/                            200
 *   curl -i --interface 127.0.0.2 localhost:8080/admin/      404
 *
 * The address is that of the connection, which cannot be forged. Behind a load balancer all
 * connections are the balancer's: then the list must stand there.
 */
#include <tarn.h>

#define ALLOWED "[\"127.0.0.1\", \"::1\", \"10.0.0.0/8\", \"192.168.0.0/16\", \"fd00::/8\"]"

TARN_ENTRY zs_u64
request(void)
{
    /* Decide by the normalised path: /%61dmin/ and /x/../admin/ are /admin, too. */
    char path[16];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strcmp(path, "/admin") != 0 && zs_strncmp(path, "/admin/", 7) != 0)
        return 0;

    if (!zs_req_remote_ip_matches(ZS_STR(ALLOWED)))
        zs_respond(404, ZS_STR("404 Not Found\n")); /* as for what really is not there */
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
    return 0;
}
