/* Fuzzes the JSON reader, by itself and as the commands of the cache use it on what a peer sends.
 *
 * Checked: what json_skip accepts is read in the same way by a walk that takes every value for what
 * it is; a string that was decoded and is written again (cli_text_append_json) is the same string.
 */
#include "base/json.h"
#include "server/cache_list.h"
#include "server/cache_stats.h"
#include "server/cli_text.h"

#include <stdlib.h>

enum { INPUT_MAX = 4096 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static bool
skip_all(struct str text)
{
    struct json json;
    json_init(&json, text);
    json_skip(&json);
    return json_done(&json);
}

static void
check_string(struct str value, struct arena *arena)
{
    struct buf again;
    struct json json;
    struct str out;
    buf_init(&again, 8 * INPUT_MAX);
    cli_text_append_json(&again, value);
    check(!buf_overflowed(&again));
    for (size_t i = 0; i < again.len; i++)
        check(again.ptr[i] >= ' ' && again.ptr[i] < 0x7f);
    json_init(&json, buf_str(&again));
    check(json_string(&json, arena, &out) && json_done(&json) && str_eq(out, value));
    buf_deinit(&again);
}

/* Takes the next value by its first character. False: a string or number that cannot be had. */
static bool
walk(struct json *json, struct arena *arena)
{
    struct str name, text;
    size_t at = 0;
    while (at < json->rest.len && json->rest.ptr[at] && strchr(" \t\r\n", json->rest.ptr[at]))
        at++;
    switch (at < json->rest.len ? json->rest.ptr[at] : '\0') {
    case '{':
        check(json_object(json));
        while (json_member(json, &name))
            if (!walk(json, arena))
                return false;
        return !json->failed;
    case '[':
        check(json_array(json));
        while (json_item(json))
            if (!walk(json, arena))
                return false;
        return !json->failed;
    case '"':
        if (!json_string(json, arena, &text))
            return false;
        check_string(text, arena);
        return true;
    default:
        return json_skip(json);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache_list list = {0};
    struct cache_stats stats;
    struct arena arena;
    struct json json;
    uint64_t pages;
    if (size > INPUT_MAX)
        return 0;
    char *exact = malloc(size ? size : 1);
    check(exact != NULL);
    if (size)
        memcpy(exact, data, size);
    struct str text = str_make(exact, size);
    arena_init(&arena, 16 * INPUT_MAX, INPUT_MAX);
    bool is_json = skip_all(text);
    if (is_json) {
        json_init(&json, text);
        if (walk(&json, &arena))
            check(json_done(&json));
    }
    arena_init(&list.arena, 16 * INPUT_MAX, INPUT_MAX);
    check(!cache_list_add_page(&list, text, &pages) || is_json);
    check(!cache_stats_parse(&stats, text) || is_json);
    cache_list_deinit(&list);
    arena_deinit(&arena);
    free(exact);
    return 0;
}
