/* Hot-link protection: pictures are for our own pages, not for those of others.
 *
 *   curl -i localhost:8080/images/cat.svg                                        200
 *   curl -i -e http://localhost:8080/ localhost:8080/images/cat.svg              200
 *   curl -i -e https://other.example/ localhost:8080/images/cat.svg              403
 *
 * A request without a Referer is served: some browsers never send one. It keeps other sites from
 * using our bandwidth; it keeps nobody from copying.
 */
#include <tarn.h>

/* The part between "//" and the path, or empty. */
static void
host_of(const char *url, char *host, zs_u64 host_len)
{
    zs_u64 i = 0;
    while (*url && zs_strncmp(url, "//", 2) != 0)
        url++;
    if (*url)
        url += 2;
    for (; url[i] && url[i] != '/' && i + 1 < host_len; i++)
        host[i] = url[i];
    host[i] = '\0';
}

TARN_ENTRY zs_u64
request(void)
{
    char path[16], referer[512], from[256], host[256];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strncmp(path, "/images/", 8) != 0)
        return 0;
    /* Caches must not give one site's answer to another. */
    zs_meta_set(ZS_STR("zs.response.header.vary"), ZS_STR("Referer, Accept-Encoding"));
    if (zs_req_header(ZS_STR("Referer"), referer, sizeof referer) == 0)
        return 0;

    host_of(referer, from, sizeof from);
    zs_req_header(ZS_STR("Host"), host, sizeof host);
    if (zs_strcmp(from, host) != 0) {
        zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
        zs_respond(403, ZS_STR("Please link to our page, not to the picture.\n"));
    }
    return 0;
}
