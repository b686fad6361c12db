/* CORS: pages of other origins may use /api/ from browsers, if they are on the list.
 *
 *   curl -i -H 'Origin: https://app.example.com' localhost:8080/api/rates.json
 *   curl -i -X OPTIONS -H 'Origin: https://app.example.com' \
 *       -H 'Access-Control-Request-Method: PUT' localhost:8080/api/rates.json
 *
 * Where every origin may read, two lines of the file _headers do, without a script.
 */
#include <tarn.h>

static const char *const origins[] = {"https://app.example.com", "http://localhost:3000"};

static void
set_header(const char *name, const char *value)
{
    char key[96];
    zs_stpcpy(zs_stpcpy(key, "zs.response.header."), name);
    zs_meta_set(ZS_STR(key), ZS_STR(value));
}

static int
is_welcome(const char *origin)
{
    for (zs_u64 i = 0; i < sizeof origins / sizeof origins[0]; i++)
        if (zs_strcmp(origin, origins[i]) == 0)
            return 1;
    return 0;
}

/* A browser asks before it sends what a form could not send. */
static int
is_preflight(void)
{
    char method[16], wanted[32];
    zs_req_method(method, sizeof method);
    return zs_strcmp(method, "OPTIONS") == 0 &&
           zs_req_header(ZS_STR("Access-Control-Request-Method"), wanted, sizeof wanted) > 0;
}

TARN_ENTRY zs_u64
request(void)
{
    char path[16], origin[128];
    zs_req_normalized_path(path, sizeof path);
    if (zs_strncmp(path, "/api/", 5) != 0)
        return 0;

    /* The answer depends on the origin: without this, caches would mix them up. */
    set_header("vary", "Origin, Accept-Encoding");
    zs_req_header(ZS_STR("Origin"), origin, sizeof origin);
    if (is_welcome(origin)) {
        set_header("access-control-allow-origin", origin);
        set_header("access-control-allow-credentials", "true");
    }
    if (is_preflight()) {
        if (is_welcome(origin)) {
            set_header("access-control-allow-methods", "GET, PUT, DELETE");
            set_header("access-control-allow-headers", "Content-Type, X-Api-Key");
            set_header("access-control-max-age", "600");
        }
        zs_respond(204, "", 0);
    }
    return 0;
}
