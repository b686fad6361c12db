/* json: reading a JSON text (RFC 8259) in one pass, value by value, as its reader knows it to be.
 *
 * The reader walks the text and says at each value what it takes it for; members come in the order
 * of the text. A value of another kind than asked for, a text that is no JSON, one that nests
 * deeper than JSON_DEPTH_MAX or goes on behind its value, are one failure that sticks: every call
 * after it returns false, so a whole walk is written first and json_done asked once. What has been
 * taken before a failure is not to be believed.
 *
 *     json_init(&json, text);
 *     json_object(&json);
 *     while (json_member(&json, &name))
 *         if (str_eq(name, STR("size")))
 *             json_u64(&json, &size);
 *         else
 *             json_skip(&json);
 *     if (!json_done(&json)) ...
 *
 * Pure: nothing is allocated but in the arena given. Thread rule: one owner.
 */
#ifndef TARN_BASE_JSON_H
#define TARN_BASE_JSON_H

#include "base/arena.h"

enum { JSON_DEPTH_MAX = 32 };

struct json {
    struct str rest; /* what has not been read */
    uint32_t arrays; /* a bit for each open level: it is an array */
    uint8_t depth;
    bool fresh; /* the innermost array or object has no value yet */
    bool failed;
};

/* `text` is borrowed until the end. */
void json_init(struct json *json, struct str text);

/* Begins an object or array. False: failed. */
bool json_object(struct json *json);
bool json_array(struct json *json);

/* The next member of the innermost object: its value comes next, and must be taken. False: there is
 * none, and the object is closed; or failed. *name is the text between the quotes as it stands,
 * with its escapes: good for comparing with plain names. */
bool json_member(struct json *json, struct str *name);
/* The same for an array. */
bool json_item(struct json *json);

/* Takes a string, decoded to UTF-8, into the arena (NUL-terminated behind its end; it may hold
 * NULs). False: failed; also for a surrogate without its other half, for bytes that are no UTF-8
 * and when the arena is full. */
bool json_string(struct json *json, struct arena *arena, struct str *out);
/* Takes an integer from 0 to UINT64_MAX, written without point or exponent. */
bool json_u64(struct json *json, uint64_t *out);
/* Takes any value; of strings in it only the shape is looked at. */
bool json_skip(struct json *json);
/* The character that the next value begins with, which tells its kind; NUL: there is none. */
char json_peek(struct json *json);

/* Whether all went well, and nothing but white space is left. */
bool json_done(struct json *json);

/* --- for readers of their own --- */

/* The length of the number at the start of s (RFC 8259 section 6); 0: there is none. */
size_t json_number_len(struct str s);
/* What the text between a string's quotes stands for: *len bytes, at most raw.len, written to `out`
 * unless that is NULL. A character must follow each backslash. False: a bad escape. That it is
 * UTF-8 is not looked at. */
bool json_unescape(struct str raw, char *out, size_t *len);

#endif
