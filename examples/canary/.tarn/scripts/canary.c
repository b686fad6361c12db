/* Canary by cookie: who opted in gets the new version, which lies in the folder canary/.
 *
 *   curl -i 'localhost:8080/?canary=on'               the cookie, and the new version
 *   curl -i -H 'Cookie: canary=on' localhost:8080/    the new version
 *   curl -i 'localhost:8080/?canary=off'              back to the old one
 *
 * What canary/ does not have comes from the old version. In front of other servers the same choice
 * is made between two calls of zs_reverse_proxy.
 */
#include <tarn.h>

enum { TEXT_MAX = 1024 };

static void
set_cookie(const char *value)
{
    zs_meta_set(ZS_STR("zs.response.header.set-cookie"), ZS_STR(value));
}

/* By the address, which also sets the cookie, or else by the cookie. */
static int
has_opted_in(void)
{
    char value[8];
    if (zs_req_query_param_matches(ZS_STR("canary"), ZS_STR("on"))) {
        set_cookie("canary=on; Path=/; Max-Age=604800; SameSite=Lax");
        return 1;
    }
    if (zs_req_query_param_matches(ZS_STR("canary"), ZS_STR("off"))) {
        set_cookie("canary=; Path=/; Max-Age=0");
        return 0;
    }
    zs_req_cookie(ZS_STR("canary"), value, sizeof value);
    return zs_strcmp(value, "on") == 0;
}

/* Whether the folder has the file that `path` asks for. Names of files are not percent-encoded, so
 * the normalised path is the one to look it up by; it has no slash at its end. */
static int
has_new_version(const char *path)
{
    char name[TEXT_MAX + 32];
    char *end = zs_stpcpy(name, "canary");
    zs_s64 len = zs_req_normalized_path(end, TEXT_MAX);
    if (len == TEXT_MAX)
        return 0;
    end += len;
    if (path[zs_strlen(path) - 1] == '/')
        end = zs_stpcpy(end, end[-1] == '/' ? "index.html" : "/index.html");
    return zs_load_file_metadata(name, end - name) >= 0;
}

TARN_ENTRY zs_u64
request(void)
{
    static char path[TEXT_MAX], uri[TEXT_MAX + 8];
    zs_meta_set(ZS_STR("zs.response.header.vary"), ZS_STR("Cookie, Accept-Encoding"));
    if (!has_opted_in())
        return 0;
    zs_s64 len = zs_req_path(path, sizeof path);
    if (len < 1 || len == sizeof path || !has_new_version(path))
        return 0;
    char *end = zs_stpcpy(zs_stpcpy(uri, "/canary"), path);
    zs_req_set_uri(uri, end - uri);
    return 0;
}
