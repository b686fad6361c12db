/* Maintenance page: everybody gets 503 and a page that says so, but for those who work on the site.
 *
 *   curl -i localhost:8080                             503, Retry-After: 600
 *   curl -i 'localhost:8080/?bypass=let-me-in-9f2c'    the site, and a cookie that keeps it open
 *
 * .tarn/maintenance.json is the switch: change "on", then send the server SIGHUP.
 */
#include <tarn.h>

enum { WORD_MAX = 64 };

/* A member of `object` that is a string; empty when there is none. */
static void
read_text(zs_s64 object, const char *key, char *out, zs_u64 out_len)
{
    zs_s64 value = zs_json_get(object, ZS_STR(key));
    if (value < 0 || zs_json_read_string(value, out, out_len) < 0)
        out[0] = '\0';
}

static int
is_on(zs_s64 settings)
{
    zs_u8 on = 0;
    zs_s64 value = zs_json_get(settings, ZS_STR("on"));
    return value >= 0 && zs_json_read_bool(value, &on, sizeof on) > 0 && on;
}

/* Takes as long for a wrong first character as for a wrong last one: nobody can guess the word one
 * character after the other by the time that it takes. */
static int
is_same_word(const char *said, const char *word)
{
    char difference = 0;
    for (int i = 0; i < WORD_MAX; i++) {
        difference |= said[i] ^ word[i];
        if (!said[i])
            break;
    }
    return difference == 0;
}

/* Whether the visitor knows the word, from the address or from the cookie. */
static int
may_pass(const char *word)
{
    char said[WORD_MAX];
    if (!word[0])
        return 0;
    if (zs_req_query_param(ZS_STR("bypass"), said, sizeof said) > 0 && is_same_word(said, word)) {
        char cookie[160];
        zs_stpcpy(zs_stpcpy(zs_stpcpy(cookie, "bypass="), word), "; Path=/; HttpOnly");
        zs_meta_set(ZS_STR("zs.response.header.set-cookie"), ZS_STR(cookie));
        return 1;
    }
    return zs_req_cookie(ZS_STR("bypass"), said, sizeof said) > 0 && is_same_word(said, word);
}

TARN_ENTRY zs_u64
request(void)
{
    char word[WORD_MAX], seconds[16];
    zs_s64 settings = zs_load_static_json(ZS_STR(".tarn/maintenance.json"));
    if (settings < 0 || !is_on(settings))
        return 0;
    read_text(settings, "bypass", word, sizeof word);
    if (may_pass(word))
        return 0;

    /* 503 with Retry-After tells search engines to come again instead of forgetting the page. */
    read_text(settings, "retry_after", seconds, sizeof seconds);
    if (seconds[0])
        zs_meta_set(ZS_STR("zs.response.header.retry-after"), ZS_STR(seconds));
    zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
    zs_respond_file(503, ZS_STR("/maintenance.html"));
    return 0;
}
