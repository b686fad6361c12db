/* Templates: a page with <zs-meta>KEY</zs-meta> gets what scripts put into the metadata.
 *
 *   curl 'localhost:8080/?name=Ada'
 *
 * Values are escaped, so that a name may be <script>alert(1)</script>. <zs-meta raw>KEY</zs-meta>
 * is not escaped: for HTML that the script itself wrote.
 */
#include <tarn.h>

static void
set(const char *key, const char *value)
{
    zs_meta_set(ZS_STR(key), ZS_STR(value));
}

static const char *
time_of_day(void)
{
    zs_u64 hour = zs_now_ms() / 3600000 % 24; /* in UTC */
    return hour < 5 ? "night" : hour < 12 ? "morning" : hour < 18 ? "afternoon" : "evening";
}

TARN_ENTRY zs_u64
request(void)
{
    char path[16], name[64], theme[8];
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/") != 0)
        return 0;

    int has_name = zs_req_query_param(ZS_STR("name"), name, sizeof name) > 0;
    set("name", has_name ? name : "stranger");
    set("time-of-day", time_of_day());
    set("protocol", zs_req_proto_major() == 2 ? "HTTP/2" : "HTTP/1.1");
    if (!has_name)
        set("hint", "<p>Tell me your name: <a href=\"/?name=Ada\">I am Ada</a>\n");

    zs_req_cookie(ZS_STR("theme"), theme, sizeof theme);
    set("theme", zs_strcmp(theme, "dark") == 0 ? "dark" : "light");
    return 0;
}
