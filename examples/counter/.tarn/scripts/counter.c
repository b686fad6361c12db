/* Counter: how often each page was seen, in all and today, in the key-value store.
 *
 *   curl localhost:8080            <h1>Seen 1 times</h1>
 *   curl 'localhost:8080/count?page=/'     {"page":"/","seen":1,"today":1}
 *
 * zs_kv_incr is one step for all workers: no count is lost. It is memory: counts last over reloads,
 * not over restarts.
 */
#include <tarn.h>

enum { DAY_MS = 86400000, PAGE_MAX = 100, KEY_MAX = 160, NUMBER_MAX = 24 };

/* "seen:PAGE", or "day-NUMBER:PAGE". */
static zs_u64
make_key(char *key, const char *page, int today)
{
    char *end = key;
    if (today) {
        end = zs_stpcpy(end, "day-");
        end += zs_utoa10((unsigned)(zs_now_ms() / DAY_MS), end, NUMBER_MAX);
        end = zs_stpcpy(end, ":");
    } else {
        end = zs_stpcpy(end, "seen:");
    }
    return zs_stpcpy(end, page) - key;
}

/* Adds, and gives the sum. The count of a day is dropped when two days are over. */
static zs_s64
add(const char *page, int today, zs_s64 number)
{
    char key[KEY_MAX];
    zs_u64 len = make_key(key, page, today);
    return zs_kv_incr(key, len, number, today ? 2 * DAY_MS : 0);
}

static void
set_number(zs_s64 object, const char *key, zs_s64 number)
{
    zs_s64 value = zs_json_new_object();
    zs_json_set_i64(value, number);
    zs_json_set(object, ZS_STR(key), value);
}

static void
report(const char *page)
{
    zs_s64 answer = zs_json_new_object(), name = zs_json_new_object();
    zs_json_set_string(name, ZS_STR(page));
    zs_json_set(answer, ZS_STR("page"), name);
    set_number(answer, "seen", add(page, 0, 0));
    set_number(answer, "today", add(page, 1, 0));
    zs_json_respond(200, answer);
}

/* Only pages that there are: else anybody could fill the store with names. */
static int
is_page(const char *path, zs_s64 len)
{
    if (zs_strcmp(path, "/") == 0)
        return 1;
    return len > 5 && zs_strcmp(path + len - 5, ".html") == 0 &&
           zs_load_file_metadata(ZS_STR(path + 1)) >= 0;
}

TARN_ENTRY zs_u64
request(void)
{
    char page[PAGE_MAX], text[NUMBER_MAX];
    zs_s64 len = zs_req_normalized_path(page, sizeof page);
    if (len == sizeof page)
        return 0; /* cut: not the name of any of our pages */

    if (zs_strcmp(page, "/count") == 0) {
        zs_req_query_param(ZS_STR("page"), page, sizeof page);
        report(page);
    } else if (is_page(page, len)) {
        add(page, 1, 1);
        zs_utoa10((unsigned)add(page, 0, 1), text, sizeof text);
        zs_meta_set(ZS_STR("seen"), ZS_STR(text));
    }
    return 0;
}
