/* Conditional cache headers: how long an answer may be kept depends on what was asked for, by whom,
 * and on what came out.
 *
 *   curl -i 'localhost:8080/assets/app.js?v=42'          a year: the version is in the address
 *   curl -i localhost:8080/assets/app.js                 five minutes
 *   curl -i -H 'Cookie: session=1' localhost:8080/       private
 *   curl -i localhost:8080/missing                       ten seconds
 *
 * By the path alone, the file _headers does this without a script.
 */
#include <tarn.h>

static int
path_is_in(const char *folder)
{
    char path[256];
    zs_req_normalized_path(path, sizeof path);
    return zs_strncmp(path, folder, zs_strlen(folder)) == 0;
}

static int
has_header(const char *name)
{
    char value[2];
    return zs_req_header(ZS_STR(name), value, sizeof value) > 0;
}

static const char *
policy(void)
{
    zs_s64 status = zs_res_status();
    if (path_is_in("/account") || has_header("Authorization"))
        return "private, no-store";
    if (status == 404)
        return "public, max-age=10"; /* enough to stop a stampede, and soon forgotten */
    if (status >= 400)
        return "no-store";
    if (path_is_in("/assets/"))
        return zs_req_query_param_matches(ZS_STR("v"), ZS_STR("*"))
                   ? "public, max-age=31536000, immutable"
                   : "public, max-age=300, stale-while-revalidate=600";
    return has_header("Cookie") ? "private, no-cache" : "public, no-cache";
}

/* A hook, because the status counts: a missing file must not be kept for a year. */
TARN_CALL_ENTRY(set_cache_control, nothing)
{
    zs_res_set_header(ZS_STR("Cache-Control"), ZS_STR(policy()));
    return nothing;
}

TARN_ENTRY zs_u64
request(void)
{
    zs_res_hook("", 0, ZS_STR("set_cache_control"), zs_json_new_object());
    return 0;
}
