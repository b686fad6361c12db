/* Feature flags: .tarn/flags.json says which share of the visitors gets what, and which group gets
 * it in any case. A visitor always gets the same.
 *
 *   curl localhost:8080                                     what 100 percent get
 *   curl -H 'Cookie: visitor=beef; group=beta' localhost:8080   more
 *
 * To change a flag, edit the file and send the server SIGHUP.
 */
#include <tarn.h>

static const char *const names[] = {"dark-mode", "new-search", "one-click"};

/* A number from 0 to 99 that belongs to this visitor and this flag. */
static zs_u64
share_of(const char *visitor, const char *flag)
{
    char text[96];
    zs_u8 hash[32];
    char *end = zs_stpcpy(zs_stpcpy(zs_stpcpy(text, flag), ":"), visitor);
    zs_sha256(text, end - text, hash, sizeof hash);
    return ((zs_u64)hash[0] << 16 | (zs_u64)hash[1] << 8 | hash[2]) % 100;
}

static int
is_on(zs_s64 flags, const char *name, const char *visitor, const char *group)
{
    zs_s64 percent = 0;
    char always[32];
    zs_s64 flag = zs_json_get(flags, ZS_STR(name));
    if (flag < 0)
        return 0;
    zs_s64 value = zs_json_get(flag, ZS_STR("always"));
    if (value >= 0 && zs_json_read_string(value, always, sizeof always) > 0 &&
        zs_strcmp(always, group) == 0)
        return 1;
    value = zs_json_get(flag, ZS_STR("percent"));
    if (value >= 0)
        zs_json_read_i64(value, &percent, sizeof percent);
    return (zs_s64)share_of(visitor, name) < percent;
}

/* A visitor who comes for the first time gets a name. */
static void
name_visitor(char *visitor, zs_u64 len)
{
    char random[8], cookie[96];
    if (zs_req_cookie(ZS_STR("visitor"), visitor, len) > 0)
        return;
    zs_getrandom(random, sizeof random);
    zs_hex_encode(random, sizeof random, visitor, 16, ZS_HEX_LOWERCASE);
    visitor[16] = '\0';
    char *end = zs_stpcpy(zs_stpcpy(cookie, "visitor="), visitor);
    zs_stpcpy(end, "; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
    zs_meta_set(ZS_STR("zs.response.header.set-cookie"), ZS_STR(cookie));
}

TARN_ENTRY zs_u64
request(void)
{
    char path[8], visitor[32], group[32], list[128];
    char *end = list;
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/") != 0)
        return 0;
    zs_s64 flags = zs_load_static_json(ZS_STR(".tarn/flags.json"));
    if (flags < 0) {
        zs_log(ZS_STR("no .tarn/flags.json: all flags are off\n"));
        return 0;
    }

    name_visitor(visitor, sizeof visitor);
    zs_req_cookie(ZS_STR("group"), group, sizeof group);
    for (zs_u64 i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!is_on(flags, names[i], visitor, group))
            continue;
        end = zs_stpcpy(zs_stpcpy(end, names[i]), " ");
        if (zs_strcmp(names[i], "new-search") == 0)
            zs_meta_set(ZS_STR("search"), ZS_STR("<input type=\"search\" name=\"q\">\n"));
    }
    zs_meta_set(ZS_STR("flags"), list, end - list);
    zs_meta_set(ZS_STR("zs.response.header.vary"), ZS_STR("Cookie, Accept-Encoding"));
    return 0;
}
