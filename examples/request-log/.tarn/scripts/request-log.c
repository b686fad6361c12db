/* Request log: one line of JSON for each answer, with what the access log does not have.
 *
 *   curl localhost:8080/?q=1
 *
 * The line is written when the response is known, so by a hook. zs_log writes a line for each
 * newline; the server puts request id and script name before it.
 */
#include <tarn.h>

enum { LINE_MAX = 448, TEXT_MAX = 200 };

/* Appends a string of JSON. What would need an escape becomes '?': what clients send must not be
 * able to forge a line. */
static char *
add_text(char *end, const char *text)
{
    *end++ = '"';
    for (; *text; text++)
        *end++ = *text < ' ' || *text > '~' || *text == '"' || *text == '\\' ? '?' : *text;
    *end++ = '"';
    return end;
}

static char *
add_number(char *end, zs_u64 number)
{
    return end + zs_utoa10((unsigned)number, end, 11);
}

/* Calls for hooks have a JSON argument: what zs_res_hook was given. */
TARN_CALL_ENTRY(write_line, started)
{
    char line[LINE_MAX + 128], text[TEXT_MAX];
    zs_s64 started_ms = 0;
    zs_json_read_i64(started, &started_ms, sizeof started_ms);

    char *end = zs_stpcpy(line, "{\"method\":");
    zs_req_method(text, 16);
    end = add_text(end, text);
    end = zs_stpcpy(end, ",\"uri\":");
    zs_req_uri(text, sizeof text);
    end = add_text(end, text);
    end = zs_stpcpy(end, ",\"language\":");
    zs_req_header(ZS_STR("Accept-Language"), text, 32);
    end = add_text(end, text);
    end = zs_stpcpy(end, ",\"status\":");
    end = add_number(end, zs_res_status());
    end = zs_stpcpy(end, ",\"ms\":");
    end = add_number(end, zs_now_ms() - started_ms);
    end = zs_stpcpy(end, "}\n");
    zs_log(line, end - line);
    return started; /* a handle; a negative number would say that the hook failed */
}

TARN_ENTRY zs_u64
request(void)
{
    zs_s64 started = zs_json_new_object();
    zs_json_set_i64(started, (zs_s64)zs_now_ms());
    zs_res_hook("", 0, ZS_STR("write_line"), started); /* no name: this script */
    return 0;
}
