/* A/B test: half of the visitors see another home page, always the same one, and we count which of
 * the two sells more.
 *
 *   curl -i localhost:8080/                       one of the pages, and a cookie for next time
 *   curl -i -H 'Cookie: home=b' localhost:8080/   page B
 *   curl localhost:8080/ab-report                 {"a":{"bought":0,"seen":1},"b":{...}}
 */
#include <tarn.h>

/* "home:KIND:VARIANT" in the key-value store, which all workers share. */
static void
make_key(char *key, const char *kind, char variant)
{
    char *end = zs_stpcpy(zs_stpcpy(zs_stpcpy(key, "home:"), kind), ":");
    end[0] = variant;
    end[1] = '\0';
}

static void
count(const char *kind, char variant)
{
    char key[64];
    make_key(key, kind, variant);
    zs_kv_incr(ZS_STR(key), 1, 0);
}

static void
report_number(zs_s64 object, const char *kind, char variant)
{
    char key[64];
    make_key(key, kind, variant);
    zs_s64 number = zs_json_new_object();
    zs_json_set_i64(number, zs_kv_incr(ZS_STR(key), 0, 0)); /* plus 0: reads it */
    zs_json_set(object, ZS_STR(kind), number);
    zs_object_free(number);
}

static void
report(void)
{
    zs_s64 all = zs_json_new_object();
    for (char variant = 'a'; variant <= 'b'; variant++) {
        zs_s64 one = zs_json_new_object();
        report_number(one, "seen", variant);
        report_number(one, "bought", variant);
        zs_json_set(all, &variant, 1, one);
        zs_object_free(one);
    }
    zs_json_respond(200, all);
}

/* 'a' or 'b' by the cookie; 0: a new visitor. */
static char
variant_of_cookie(void)
{
    char value[4];
    zs_s64 len = zs_req_cookie(ZS_STR("home"), value, sizeof value);
    return len == 1 && (value[0] == 'a' || value[0] == 'b') ? value[0] : 0;
}

static char
choose_variant(void)
{
    char cookie[] = "home=a; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax";
    zs_u8 random;
    zs_getrandom(&random, 1);
    cookie[5] = random & 1 ? 'b' : 'a';
    zs_meta_set(ZS_STR("zs.response.header.set-cookie"), ZS_STR(cookie));
    count("seen", cookie[5]);
    return cookie[5];
}

TARN_ENTRY zs_u64
request(void)
{
    char path[64], file[] = "/home/a.html";
    zs_req_path(path, sizeof path);
    char variant = variant_of_cookie();

    if (zs_strcmp(path, "/ab-report") == 0) {
        report();
    } else if (zs_strcmp(path, "/thanks.html") == 0) {
        if (variant)
            count("bought", variant);
    } else if (zs_strcmp(path, "/") == 0) {
        if (!variant)
            variant = choose_variant();
        file[6] = variant;
        zs_req_set_uri(ZS_STR(file));
        /* One address, two contents: nobody else's cache may keep it. */
        zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("private, no-cache"));
        zs_meta_set(ZS_STR("zs.response.header.vary"), ZS_STR("Cookie, Accept-Encoding"));
    }
    return 0;
}
