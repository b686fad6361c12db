/* JSON API: notes that can be made, read, changed and removed, kept in the key-value store.
 *
 *   curl -i localhost:8080/api/notes -d '{"text":"buy milk"}'          201, Location
 *   curl localhost:8080/api/notes/1                                    {"text":"buy milk"}
 *   curl -X PUT localhost:8080/api/notes/1 -d '{"text":"buy bread"}'   204
 *   curl localhost:8080/api/notes                                      [1]
 *   curl -X DELETE localhost:8080/api/notes/1                          204
 *
 * The store is memory that all workers share. It lasts over reloads, not over restarts, and when it
 * is full it drops what was not used for longest: good for sessions, counters and caches. What must
 * last belongs into a database behind zs_fetch.
 */
#include <tarn.h>

enum { NOTE_MAX = 4096, LISTED_MAX = 100 };

#define NEXT_ID "notes:next"

static char note[NOTE_MAX + 1]; /* the text of the note that this request is about */

static void
respond_error(zs_u64 status, const char *why)
{
    zs_s64 answer = zs_json_new_object(), text = zs_json_new_object();
    zs_json_set_string(text, ZS_STR(why));
    zs_json_set(answer, ZS_STR("error"), text);
    zs_json_respond(status, answer);
}

static void
refuse_method(const char *allowed)
{
    zs_meta_set(ZS_STR("zs.response.header.allow"), ZS_STR(allowed));
    respond_error(405, "this method is not for this address");
}

static void
make_key(char *key, zs_u64 id)
{
    zs_utoa10((unsigned)id, zs_stpcpy(key, "notes:"), 11);
}

/* The request's body, into `note`: its length, or 0 when it was refused. */
static zs_u64
take_body(void)
{
    if (zs_req_body_limit(NOTE_MAX)) {
        respond_error(413, "a note has at most 4096 bytes");
        return 0;
    }
    zs_s64 body = zs_req_body_json(); /* is it JSON, and an object? */
    if (body < 0 || zs_json_type(body) != ZS_JSON_OBJECT) {
        respond_error(400, "the body must be a JSON object of at most 4096 bytes");
        return 0;
    }
    return zs_req_body(note, sizeof note);
}

static int
exists(const char *key)
{
    char byte[2];
    return zs_kv_get(ZS_STR(key), byte, sizeof byte) > 0;
}

/* The numbers of the last ones. All notes in one answer would be more than a script may hold. */
static void
list_notes(void)
{
    zs_s64 list = zs_json_new_array(), number = zs_json_new_object();
    zs_s64 last = zs_kv_incr(ZS_STR(NEXT_ID), 0, 0);
    for (zs_s64 id = ZS_MAX(last - LISTED_MAX, 0) + 1; id <= last; id++) {
        char key[32];
        make_key(key, id);
        if (!exists(key))
            continue; /* removed */
        zs_json_set_i64(number, id);
        zs_json_array_push(list, number); /* a copy: `number` can have the next value */
    }
    zs_json_respond(200, list);
}

static void
add_note(void)
{
    char key[32], location[48];
    zs_u64 len = take_body();
    if (len == 0)
        return;
    zs_s64 id = zs_kv_incr(ZS_STR(NEXT_ID), 1, 0); /* no two workers get the same */
    make_key(key, id);
    if (id < 1 || zs_kv_set(ZS_STR(key), note, len, 0) != 0) {
        respond_error(507, "no room");
        return;
    }
    zs_utoa10((unsigned)id, zs_stpcpy(location, "/api/notes/"), 11);
    zs_meta_set(ZS_STR("zs.response.header.location"), ZS_STR(location));
    zs_json_respond(201, zs_json_parse(note, len));
}

static void
show_note(const char *key)
{
    zs_s64 len = zs_kv_get(ZS_STR(key), note, sizeof note);
    if (len < 1)
        respond_error(404, "no such note");
    else
        zs_json_respond(200, zs_json_parse(note, len));
}

static void
change_note(const char *key)
{
    if (!exists(key)) {
        respond_error(404, "no such note");
        return;
    }
    zs_u64 len = take_body();
    if (len == 0)
        return;
    if (zs_kv_set(ZS_STR(key), note, len, 0) != 0)
        respond_error(507, "no room");
    else
        zs_respond(204, "", 0);
}

static void
remove_note(const char *key)
{
    if (zs_kv_delete(ZS_STR(key)) < 1)
        respond_error(404, "no such note");
    else
        zs_respond(204, "", 0);
}

/* 1 to 9 digits, or 0. */
static zs_u64
id_of(const char *text)
{
    zs_u64 id = 0, count = 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || ++count > 9)
            return 0;
        id = id * 10 + (zs_u64)(*text - '0');
    }
    return id;
}

static int
is(const char *text, const char *other)
{
    return zs_strcmp(text, other) == 0;
}

TARN_ENTRY zs_u64
request(void)
{
    char path[64], method[16], key[32];
    zs_req_normalized_path(path, sizeof path);
    zs_req_method(method, sizeof method);
    zs_u64 id = zs_strncmp(path, "/api/notes/", 11) == 0 ? id_of(path + 11) : 0;

    if (is(path, "/api/notes")) {
        if (is(method, "GET") || is(method, "HEAD"))
            list_notes();
        else if (is(method, "POST"))
            add_note();
        else
            refuse_method("GET, HEAD, POST");
    } else if (id) {
        make_key(key, id);
        if (is(method, "GET") || is(method, "HEAD"))
            show_note(key);
        else if (is(method, "PUT"))
            change_note(key);
        else if (is(method, "DELETE"))
            remove_note(key);
        else
            refuse_method("GET, HEAD, PUT, DELETE");
    } else if (zs_strncmp(path, "/api/", 5) == 0) {
        respond_error(404, "no such address");
    }
    return 0;
}
