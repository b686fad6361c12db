/* Response hook: a script looks at the response, whatever made it, and changes its head.
 *
 *   curl -i localhost:8080/report.csv     Content-Disposition, Server-Timing
 *
 * A hook runs when the response is known and before it goes out. It may change status and headers;
 * the body is on its way already.
 */
#include <tarn.h>

static int
starts_with(const char *text, const char *start)
{
    return zs_strncmp(text, start, zs_strlen(start)) == 0;
}

/* Tables are saved, not shown. */
static void
make_download(void)
{
    char type[64];
    zs_res_header(ZS_STR("Content-Type"), type, sizeof type);
    if (zs_res_status() == 200 && starts_with(type, "text/csv"))
        zs_res_set_header(ZS_STR("Content-Disposition"), ZS_STR("attachment"));
}

/* How long it took, where browsers show it. */
static void
add_timing(zs_s64 started)
{
    char value[48];
    zs_s64 started_ms = 0;
    zs_json_read_i64(started, &started_ms, sizeof started_ms);
    char *end = zs_stpcpy(value, "app;dur=");
    zs_utoa10((unsigned)(zs_now_ms() - started_ms), end, 11);
    zs_res_append_header(ZS_STR("Server-Timing"), ZS_STR(value));
}

/* What is wrong inside of the house is called the same outside. */
static void
hide_status(void)
{
    if (zs_res_status() == 501 || zs_res_status() == 502)
        zs_res_set_status(503);
    zs_res_remove_header(ZS_STR("Server"));
}

TARN_CALL_ENTRY(on_response, started)
{
    make_download();
    add_timing(started);
    hide_status();
    return started; /* any handle: it went well. Otherwise what the hook changed is taken back */
}

TARN_ENTRY zs_u64
request(void)
{
    /* The hook's argument is JSON: here a number. */
    zs_s64 started = zs_json_new_object();
    zs_json_set_i64(started, (zs_s64)zs_now_ms());
    zs_res_hook("", 0, ZS_STR("on_response"), started);

    if (zs_req_query_param_matches(ZS_STR("broken"), ZS_STR("*")))
        zs_respond(502, ZS_STR("The database does not answer.\n"));
    return 0;
}
