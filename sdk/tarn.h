/* tarn.h: the script header of tarn, and the reference to what a script can do.
 *
 * A script is a C file that runs, compiled to eBPF and in a sandbox, for every request:
 *
 *     #include <tarn.h>
 *
 *     TARN_ENTRY zs_u64 request(void)
 *     {
 *         char path[256];
 *         zs_req_path(path, sizeof path);
 *         if (zs_strcmp(path, "/old") == 0)
 *             zs_redirect(308, ZS_STR("/new"));
 *         return 0;
 *     }
 *
 * Put it below `.tarn/scripts/` of a site and serve the site's directory, or `tarn pack` it; or try
 * it alone: `tarn serve hello.c`. Scripts run one after the other, in the byte order of their
 * names. After each of them the first of these that is so counts: it failed (the client gets 500);
 * zs_abort (the connection ends); a response was set (it is sent); a proxy was set (the request
 * goes there); a file was chosen (it is sent); else the next script runs. After the last one the
 * site's own file answers, for the target as scripts left it.
 *
 * What is shared along the chain, and with functions called by zs_call: the request as it was
 * changed, the metadata, the hooks, the body. What each script has for itself: its variables, which
 * start afresh with each run, its JSON handles, its log buffer.
 *
 * This header needs no other. There is no C library behind it: what is declared here is all.
 *
 * CONVENTIONS
 *
 * Arguments are addresses and numbers. Text comes as an address and a length, so the macro ZS_STR
 * stands for both: zs_log(ZS_STR("hello")). Text is UTF-8 unless it says otherwise here.
 *
 * Text results ("text out" below) go to `out`, a buffer of `out_len` bytes: as much as fits, and
 * always a NUL behind it. The result is the length of the whole text when it fits with its NUL,
 * else `out_len`: so a result below `out_len` says that nothing was cut. With `out_len` 0 nothing
 * is written and the result is 0. What does not exist is the empty text. Names and keys are taken
 * without white space at both ends, and names of headers in any case.
 *
 * JSON values are named by handles: numbers from 1 on, at most 32 at a time. A handle stays good as
 * long as its node is in its tree; zs_object_free gives it back. Those that are left go with the
 * script.
 *
 * TRAPS
 *
 * A helper that is called with what makes no sense ends the script: a "trap". So does access to
 * memory that is not the script's, a ninth call inside of calls, and a limit. The client gets 500,
 * and the log names script, instruction, file and line, and why. Every helper traps when
 *   - memory it shall read is not the script's, or memory it shall write is not writable
 *     (a length of 0 never touches the address);
 *   - text is not UTF-8 (where it becomes JSON, that is no trap: see there);
 *   - an output overlaps an input, or another output, of the same call;
 *   - a handle was never given out, was freed, or its node was replaced or removed.
 * Below only those are named that come on top. Negative results are no traps: the script goes on.
 *
 * LIMITS (and the option that sets each)
 *
 *   1 ms      of running, then others have their turn           --script-slice-ms
 *   20 ms     of CPU time, then a pause of 100 ms, each time
 *   1 s       of CPU time in all                                --script-cpu-limit-ms
 *   256 KiB   of JSON and the like                              --max-request-external-memory-
 *                                                               footprint-kb
 *   256 KiB   of request body to be read                        --max-buffered-body-size-kb
 *   4 MiB     of machine code                                   --script-code-size-limit-kb
 *   4096      bytes of variables in one function; 8 functions open at a time
 *   32        handles; 8 zs_call inside of each other; 128 levels of JSON
 */
#ifndef TARN_H
#define TARN_H

/* --- types --- */

/* Whoever has <stdint.h> already, to compile a script for the host, has these from there. */
#ifndef UINT64_MAX
typedef unsigned long long uint64_t;
typedef long long int64_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned short uint16_t;
typedef short int16_t;
typedef unsigned char uint8_t;
typedef signed char int8_t;
#endif
typedef __SIZE_TYPE__ size_t;
typedef long ssize_t;

typedef uint64_t zs_u64;
typedef int64_t zs_s64;
typedef uint32_t zs_u32;
typedef int32_t zs_s32;
typedef uint16_t zs_u16;
typedef int16_t zs_s16;
typedef uint8_t zs_u8;
typedef int8_t zs_s8;

/* --- macros --- */

/* The two arguments, address and length, that stand for a text with a NUL at its end. That of a
 * literal is counted by the compiler. The second one counts the NUL, too. */
#define ZS_STR(s) (s), ZS__LEN(s)
#define ZS_STR_WITH_NULL(s) (s), (ZS__LEN(s) + 1)
#define ZS__LEN(s)                                                                         \
    __builtin_choose_expr(__builtin_constant_p(__builtin_strlen(s)), __builtin_strlen(s), \
                          zs_strlen(s))

#define ZS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ZS_MAX(a, b) ((a) > (b) ? (a) : (b))

#define ZS_INLINE __attribute__((always_inline))
#define ZS_MAYBE_UNUSED __attribute__((unused))

/* What a function is called for is said by the section it is in. */
#define ZS_SECTION(name) __attribute__((section(name), used))

/* The function that runs for each request: `TARN_ENTRY zs_u64 request(void)`. Its result is not
 * looked at. ZS_ENTRY is the same. A script without it only offers functions to others. */
#define TARN_ENTRY ZS_SECTION("tarn.request")
#define ZS_ENTRY ZS_SECTION("zeroserve.request")

/* A function that other scripts can zs_call, and that can be a hook. `input` names the handle of
 * the argument; the result is a handle, or negative when it failed:
 *
 *     ZS_CALL_ENTRY(double_it, input)
 *     {
 *         zs_s64 number = 0;
 *         zs_json_read_i64(input, &number, sizeof number);
 *         zs_json_set_i64(input, 2 * number);
 *         return input;
 *     }
 */
#define TARN_CALL_ENTRY(name, input) ZS__CALL_ENTRY("tarn.call." #name, name, input)
#define ZS_CALL_ENTRY(name, input) ZS__CALL_ENTRY("zeroserve.call." #name, name, input)
#define ZS__CALL_ENTRY(section_name, name, input)                          \
    static zs_s64 zs__call_body_##name(zs_s64 input);                      \
    ZS_SECTION(section_name) zs_s64 zs__call_entry_##name(const zs_s64 *at) \
    {                                                                      \
        return zs__call_body_##name(*at);                                  \
    }                                                                      \
    static zs_s64 zs__call_body_##name(ZS_MAYBE_UNUSED zs_s64 input)

/* Sections for the TLS handshake: scripts that have them compile, and are refused when they are
 * loaded. */
#define ZS_TLS_ENTRY ZS_SECTION("zeroserve.tls")
#define ZS_TLS_REQUEST_ENTRY ZS_SECTION("zeroserve.tls.request")

/* Encodings of zs_base64_*. */
#define ZS_BASE64_STANDARD 0
#define ZS_BASE64_STANDARD_NO_PAD 1
#define ZS_BASE64_URL 2
#define ZS_BASE64_URL_NO_PAD 3

/* Cases of zs_hex_encode. */
#define ZS_HEX_LOWERCASE 0
#define ZS_HEX_UPPERCASE 1

/* Results of zs_json_type. */
#define ZS_JSON_NULL 0
#define ZS_JSON_BOOL 1
#define ZS_JSON_NUMBER 2
#define ZS_JSON_STRING 3
#define ZS_JSON_ARRAY 4
#define ZS_JSON_OBJECT 5

/* Results of zs_rate_limit. */
#define ZS_RATE_LIMIT_ALLOWED 0
#define ZS_RATE_LIMIT_EXCEEDED_SECOND 1
#define ZS_RATE_LIMIT_EXCEEDED_MINUTE 2
#define ZS_RATE_LIMIT_EXCEEDED_HOUR 3
#define ZS_RATE_LIMIT_EXCEEDED_BUCKET_LIMIT 4

/* --- log, time, surroundings --- */

/* Writes to the server's log. What is collected until a newline or 512 bytes is one line, with the
 * script's name and the request's X-Request-Id; control characters become '?'. What has no newline
 * goes out when the script ends. 100 lines of one run are written, others counted. Any bytes.
 * Result: 0.
 *
 *     zs_log(ZS_STR("no such user\n"));
 */
extern zs_s64 zs_log(const char *msg, zs_u64 len);

/* Milliseconds since 1970. */
extern zs_u64 zs_now_ms(void);

/* The server's version, as "0.1.0". Text out. */
extern zs_s64 zs_version(char *out, zs_u64 out_len);

/* An environment variable of the server. Text out; empty when it is not set, is not UTF-8, or is
 * not one of those that --script-env lets scripts see (by itself: TARN_SCRIPT_*). */
extern zs_s64 zs_env_get(const char *name, zs_u64 name_len, char *out, zs_u64 out_len);

/* Fills `out` with random bytes, good enough for keys. Result: out_len. */
extern zs_s64 zs_getrandom(void *out, zs_u64 out_len);

/* --- hashes and encodings --- */

/* SHA-256 of bytes, 32 bytes out. Result: 32. Traps when out_len is not 32. */
extern zs_s64 zs_sha256(const void *data, zs_u64 data_len, void *out, zs_u64 out_len);

/* HMAC-SHA-256 (RFC 2104) of bytes, 32 bytes out. Result: 32. */
extern zs_s64 zs_hmac_sha256(const void *key, zs_u64 key_len, const void *msg, zs_u64 msg_len,
                             void *out);

/* Base64 (RFC 4648) of bytes, in one of ZS_BASE64_*. Result: the length of the text; with out_len 0
 * only that. Writes no NUL. Traps when it does not fit, or for another encoding. */
extern zs_s64 zs_base64_encode(const void *data, zs_u64 data_len, void *out, zs_u64 out_len,
                               zs_u64 encoding);

/* The bytes that a text in base64 stands for, in its place. Result: their length, or -1 when it is
 * not base64 of that kind, to the last padding character and bit. */
extern zs_s64 zs_base64_decode_in_place(void *buf, zs_u64 buf_len, zs_u64 encoding);

/* Two hexadecimal digits for each byte, in one of ZS_HEX_*. Result: 2 * data_len; with out_len 0
 * only that. Writes no NUL. Traps when it does not fit, or for another case. */
extern zs_s64 zs_hex_encode(const void *data, zs_u64 data_len, void *out, zs_u64 out_len,
                            zs_u64 case_flag);

/* The bytes that hexadecimal digits of either case stand for, in their place. Result: half of
 * buf_len, or -1. */
extern zs_s64 zs_hex_decode_in_place(void *buf, zs_u64 buf_len);

/* Text with &, <, >, " and ' as entities, fit for HTML text and for quoted attributes. Text out. */
extern zs_s64 zs_html_escape(const char *text, zs_u64 text_len, char *out, zs_u64 out_len);

/* --- memory --- */

/* As in C. zs_memcpy traps when source and target overlap. zs_memcmp: the difference of the first
 * bytes that are not equal, or 0. The functions below in this header (zs_strlen and so on) are
 * compiled into the script; these are the server's, and quicker for more than a few bytes. */
extern void *zs_memcpy(void *dst, const void *src, size_t n);
extern void *zs_memset(void *dst, int c, size_t n);
extern int zs_memcmp(const void *a, const void *b, size_t n);

/* --- JSON --- */

/* Reads a JSON text. Result: a handle of its root, or -1 when it is not JSON, or nested more than
 * 128 deep. Of members with one name the last one counts. */
extern zs_s64 zs_json_parse(const void *data, zs_u64 data_len);

/* Reads a file of the site as JSON. `path` is the file's name there, exactly: "data/flags.json", no
 * slash before it; ".tarn/flags.json" is one that clients cannot ask for. Result: a handle, or -1
 * when there is no such file or it is not JSON. */
extern zs_s64 zs_load_static_json(const char *path, zs_u64 path_len);

/* What is known of a file of the site: a handle of {"size": 9, "etag": "d1…", "mtime": 1704164645},
 * the tag without its quotes, the time in seconds since 1970; or -1. */
extern zs_s64 zs_load_file_metadata(const char *path, zs_u64 path_len);

/* A new object {}, a new array [], a copy of a value with all that is in it. Result: a handle. */
extern zs_s64 zs_json_new_object(void);
extern zs_s64 zs_json_new_array(void);
extern zs_s64 zs_json_clone(zs_u64 json);

/* Gives a handle back. The tree goes with the last handle into it. Result: 0. */
extern zs_s64 zs_object_free(zs_u64 idx);

/* One of ZS_JSON_*. */
extern zs_s64 zs_json_type(zs_u64 json);

/* Members of an object, elements of an array, bytes of a string; -1 for other types. */
extern zs_s64 zs_json_len(zs_u64 json);

/* A new handle of a member, or of the element `index` counted from 0; -1 when there is none. */
extern zs_s64 zs_json_get(zs_u64 json, const char *key, zs_u64 key_len);
extern zs_s64 zs_json_array_get(zs_u64 json, zs_u64 index);

/* The handle names the root of its tree from now on. Result: 0. */
extern zs_s64 zs_json_reset(zs_u64 json);

/* The value of a string: text out, or -1 when it is no string. */
extern zs_s64 zs_json_read_string(zs_u64 json, char *out, zs_u64 out_len);

/* The value of a whole number, into a zs_s64: 8, or -1 when it is none, or too large. Traps when
 * out_len is not 8: sizeof of what it goes into. */
extern zs_s64 zs_json_read_i64(zs_u64 json, void *out, zs_u64 out_len);

/* true or false as 1 or 0, into one byte: 1, or -1 when it is neither. Traps when out_len is not 1.
 */
extern zs_s64 zs_json_read_bool(zs_u64 json, void *out, zs_u64 out_len);

/* Changing. Values are copied in: the handle of the value stays that of the original. Result: 0, or
 * -1 when `json` is of another type, the key is not UTF-8, or what is to be removed or replaced is
 * not there. zs_json_array_push: the new length, or -1. Traps when there would be more than 128
 * levels. */
extern zs_s64 zs_json_set(zs_u64 json, const char *key, zs_u64 key_len, zs_u64 value_json);
extern zs_s64 zs_json_remove(zs_u64 json, const char *key, zs_u64 key_len);
extern zs_s64 zs_json_array_push(zs_u64 json, zs_u64 value_json);
extern zs_s64 zs_json_array_set(zs_u64 json, zs_u64 index, zs_u64 value_json);

/* The node that the handle names becomes this value; handles of what was in it go bad. Result: 0,
 * or -1 when the text is not UTF-8. */
extern zs_s64 zs_json_set_string(zs_u64 json, const char *value, zs_u64 value_len);
extern zs_s64 zs_json_set_i64(zs_u64 json, zs_s64 value);
extern zs_s64 zs_json_set_bool(zs_u64 json, zs_u64 value);
extern zs_s64 zs_json_set_null(zs_u64 json);

/* --- what was asked for --- */

/* Text out. method: "GET". path: cleaned (no "..", no "//"), still percent-encoded.
 * normalized_path: the same decoded, without a slash at its end: the one to decide about access by.
 * uri: path, and query where there is one. query: what is behind the "?". scheme: "http" or
 * "https". peer: "192.0.2.1:4711", "[2001:db8::1]:4711", or "unix". */
extern zs_s64 zs_req_method(char *out, zs_u64 out_len);
extern zs_s64 zs_req_path(char *out, zs_u64 out_len);
extern zs_s64 zs_req_normalized_path(char *out, zs_u64 out_len);
extern zs_s64 zs_req_uri(char *out, zs_u64 out_len);
extern zs_s64 zs_req_query(char *out, zs_u64 out_len);
extern zs_s64 zs_req_scheme(char *out, zs_u64 out_len);
extern zs_s64 zs_req_peer(char *out, zs_u64 out_len);

/* HTTP/1.1 is 1 and 1, HTTP/2 is 2 and 0. */
extern zs_s64 zs_req_proto_major(void);
extern zs_s64 zs_req_proto_minor(void);

/* 1 or 0: over TLS; and with its handshake complete, which early data comes before. */
extern zs_s64 zs_req_is_tls(void);
extern zs_s64 zs_req_tls_handshake_complete(void);

/* The first parameter of that name in the query, form-decoded. Text out. */
extern zs_s64 zs_req_query_param(const char *name, zs_u64 name_len, char *out, zs_u64 out_len);

/* 1 when a parameter of that name has that value, once decoded, or is there at all and the value is
 * "*"; else 0. */
extern zs_s64 zs_req_query_param_matches(const char *name, zs_u64 name_len, const char *value,
                                         zs_u64 value_len);

/* A header field; the last one where it is repeated; the parts of Cookie joined by "; ". Names in
 * any case. Text out. */
extern zs_s64 zs_req_header(const char *name, zs_u64 name_len, char *out, zs_u64 out_len);

/* The value of the first cookie of that name, as it came. Names of cookies have a case. Text out.
 */
extern zs_s64 zs_req_cookie(const char *name, zs_u64 name_len, char *out, zs_u64 out_len);

/* 1 when the peer's address is in a JSON array of addresses and networks, else 0. Traps when it is
 * no such array.
 *
 *     if (!zs_req_remote_ip_matches(ZS_STR("[\"10.0.0.0/8\",\"::1\"]")))
 */
extern zs_s64 zs_req_remote_ip_matches(const char *ranges_json, zs_u64 ranges_json_len);

/* A handle of what is known of the connection:
 *
 *     {"tls": true, "tls_handshake_complete": true, "alpn": "h2",
 *      "sni": {"inner": "example.com", "outer": null},
 *      "ech": {"accepted": false},
 *      "fingerprint": {"ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1"},
 *      "tls_client": {"certificate": {"fingerprint_sha256": "…", "subject": "…", "issuer": "…",
 *                     "serial": "…"}, "chain_fingerprints_sha256": ["…"]}}
 *
 * What is not known is null. sni.inner is the name that is served; sni.outer the public name, where
 * Encrypted Client Hello was accepted. ech is null when the server has no keys for it. The
 * certificate is there when the client has one that was checked (--client-ca). */
extern zs_s64 zs_connection_info(void);

/* The whole body. They wait for it where they have to; others are served meanwhile. The body is
 * still there for the proxy. zs_req_body: the body's length, of which as much as fits is in `out`,
 * any bytes and no NUL; -1 when it is too large or broke off, and in a hook. zs_req_body_json: a
 * handle; -1 also when the body is empty or not JSON. */
extern zs_s64 zs_req_body(void *out, zs_u64 out_len);
extern zs_s64 zs_req_body_json(void);

/* Lowers the limit for this request's body. 1 when its Content-Length is over `max_size`, else 0.
 */
extern zs_s64 zs_req_body_limit(zs_u64 max_size);

/* --- changing the request --- */

/* For the scripts that follow, the lookup of the file, and the proxy. Result: 0. Traps: a method
 * that is no token, or CONNECT; a target that is no path or URL; a name or value that no header
 * field can have; Content-Length and Transfer-Encoding, which say where the body ends. */
extern zs_s64 zs_req_set_method(const char *method, zs_u64 method_len);
extern zs_s64 zs_req_set_uri(const char *uri, zs_u64 uri_len);

/* In place of all fields of that name; with value_len 0 they are removed. */
extern zs_s64 zs_req_set_header(const char *name, zs_u64 name_len, const char *value,
                                zs_u64 value_len);
/* One more field of that name. */
extern zs_s64 zs_req_append_header(const char *name, zs_u64 name_len, const char *value,
                                   zs_u64 value_len);
/* Fields by name: "x-id", "x-*", "*-id", "*id*", or "*" for all. Traps when it is empty. */
extern zs_s64 zs_req_delete_header(const char *pattern, zs_u64 pattern_len);

/* Replaces text in the values of a field: {"name": "x", "search": "a", "replace": "b"}, or with
 * "search_regexp" in place of "search", where "$1" in "replace" is what the first group matched.
 * Traps when the JSON is not of that form. */
extern zs_s64 zs_req_replace_header(const char *op_json, zs_u64 op_json_len);

/* Changes the target by a JSON object with any of
 *
 *     {"strip_path_prefix": "/api", "strip_path_suffix": ".php",
 *      "uri_substring": [{"find": "/a", "replace": "/b", "limit": 1}],
 *      "path_regexp": [{"find": "/(\\d+)$", "replace": "/item/$1"}]}
 *
 * in that order. Prefix and suffix compare without case. Traps when it is not of that form, or what
 * comes out is no target. */
extern zs_s64 zs_req_rewrite_uri(const char *ops_json, zs_u64 ops_json_len);

/* Changes the query by a JSON object with any of
 *
 *     {"rename": [{"key": "a", "val": "b"}], "set": [{"key": "a", "val": "1"}],
 *      "add": [{"key": "a", "val": "2"}],
 *      "replace": [{"key": "a", "search": "x", "replace": "y"}], "delete": ["b"]}
 *
 * in that order. The query is encoded anew, sorted by name. Traps when it is not of that form. */
extern zs_s64 zs_req_rewrite_query(const char *ops_json, zs_u64 ops_json_len);

/* --- metadata --- */

/* Texts by name that scripts, hooks and templates of one request share. A key
 * "zs.response.header.NAME" sets that header of any response, and once more behind the hooks.
 * zs_meta_get: text out. zs_meta_set: 0; traps when the key is empty, and over 512 entries or 64
 * KiB.
 *
 *     zs_meta_set(ZS_STR("zs.response.header.cache-control"), ZS_STR("no-store"));
 */
extern zs_s64 zs_meta_get(const char *key, zs_u64 key_len, char *out, zs_u64 out_len);
extern zs_s64 zs_meta_set(const char *key, zs_u64 key_len, const char *value, zs_u64 value_len);

/* --- answering --- */

/* A response with this body, any bytes, as `text/plain; charset=utf-8`; for another type, set
 * "zs.response.header.content-type". Of several responses the last one counts. A status below 100
 * or above 999 becomes 500. Result: 0. The script goes on until it returns. Traps in a hook, as all
 * of these do unless they say otherwise. */
extern zs_s64 zs_respond(zs_u64 status, const void *body, zs_u64 body_len);

/* The same with a value as compact JSON, members in the byte order of their names, and
 * `content-type: application/json`. */
extern zs_s64 zs_json_respond(zs_u64 status, zs_u64 json);

/* A redirect to `url`, a path or a whole one, with the status 301, 302, 303, 307 or 308. What a URL
 * cannot have is encoded. Result: 0. Traps for another status, and for a URL that is empty or has
 * more than 8192 bytes. */
extern zs_s64 zs_redirect(zs_u64 status, const char *url, zs_u64 url_len);

/* A file of the site with this status, "maintenance.html" with 503; with 0 as if it had been asked
 * for. Result: 0, or -1 when there is none. Traps for a status from 1 to 199 or above 999. */
extern zs_s64 zs_respond_file(zs_u64 status, const char *path, zs_u64 path_len);

/* 1 when a response is set, else 0; and takes it back: 0. Neither does anything in a hook. */
extern zs_s64 zs_response_pending(void);
extern zs_s64 zs_response_clear(void);

/* No answer at all: the connection is closed (HTTP/1) or the stream reset (HTTP/2). Result: 0. */
extern zs_s64 zs_abort(void);

/* The request goes to this http or https server, its path behind that of the URL. Result: 0. Traps
 * when a response or a proxy is set, or for a URL that is none. (This version answers 501.) */
extern zs_s64 zs_reverse_proxy(const char *backend_url, zs_u64 backend_url_len);

/* A file of the site, chosen by a JSON object with any of
 *
 *     {"root": "docs", "hide": [".git"], "index_names": ["index.html"], "browse": {},
 *      "canonical_uris": true, "status_code": "200", "pass_thru": true,
 *      "precompressed": {"br": {}, "gzip": {}}}
 *
 * for the path of the request, as scripts left it. "root" is a directory of the site, "hide" has
 * patterns. Result: 0: answered, with 404 where there is no such file; 1: there is none, and
 * pass_thru is set; 2: it cannot be done, which is answered with 500. Traps when it is no object of
 * that form. */
extern zs_s64 zs_file_server(const char *config_json, zs_u64 config_json_len);

/* --- hooks: changing the response --- */

/* A function (ZS_CALL_ENTRY) of that script, or of this one when the name is blank, that runs when
 * there is a response and before it goes out: of a file, of a script, of the proxy, of an error.
 * Hooks run in the order in which they were set, each with a copy of the value. One that fails has
 * changed nothing. Result: 0, or -1 when there is no such script or function, and in a hook. Traps
 * over 64 hooks or 256 KiB of values.
 *
 *     zs_res_hook(ZS_STR(""), ZS_STR("add_headers"), zs_json_new_object());
 */
extern zs_s64 zs_res_hook(const char *script, zs_u64 script_len, const char *func, zs_u64 func_len,
                          zs_s64 json_handle);
/* Takes all hooks back that were set so far: 0. In a hook it does nothing. */
extern zs_s64 zs_res_hooks_clear(void);

/* The rest is for hooks only, and traps elsewhere. Arguments and results are as those of the same
 * name for the request; a status is 200 to 999. */
extern zs_s64 zs_res_status(void);
extern zs_s64 zs_res_set_status(zs_u64 status);
extern zs_s64 zs_res_header(const char *name, zs_u64 name_len, char *out, zs_u64 out_len);
extern zs_s64 zs_res_set_header(const char *name, zs_u64 name_len, const char *value,
                                zs_u64 value_len);
extern zs_s64 zs_res_append_header(const char *name, zs_u64 name_len, const char *value,
                                   zs_u64 value_len);
extern zs_s64 zs_res_remove_header(const char *pattern, zs_u64 pattern_len);
extern zs_s64 zs_res_replace_header(const char *op_json, zs_u64 op_json_len);

/* Drops the response and runs the chain again, with request and metadata as they are now; up to 8
 * times for a request. Result: 0. */
extern zs_s64 zs_res_continue_request(void);

/* --- other scripts --- */

/* Calls a function of another script, named by its file with or without ".o", or of this one when
 * the name is blank. The argument is a copy. Result: a handle of a copy of what it returned; -1
 * when there is no such script or function, it failed or returned no handle, or 8 scripts are
 * inside of each other already. What it answered by
 * zs_respond and the like is dropped, unless it returned {"action": "adopt_response"}: then the
 * result is one of
 *
 *     {"action": "respond", "status": 403, "body": "…", "headers": {…}}
 *     {"action": "proxy", "url": "…"}
 *     {"action": "abort"}
 *
 *     zs_s64 reply = zs_call(ZS_STR("auth"), ZS_STR("check"), token);
 */
extern zs_s64 zs_call(const char *script, zs_u64 script_len, const char *func, zs_u64 func_len,
                      zs_s64 json_handle);

/* --- shared by all requests --- */

/* Whether something may happen once more for `key`, 1 to 256 bytes of any kind, when at most so
 * many may in a second, a minute and an hour; 0 is no limit. One of ZS_RATE_LIMIT_*, or -1 for
 * another length. Limits hold for all workers together, for any second, minute or hour and not only
 * for those of the clock, and outlive reloads. What is refused is not counted.
 *
 *     if (zs_rate_limit(ZS_STR(key), 10, 100, 0) != ZS_RATE_LIMIT_ALLOWED)
 *         zs_respond(429, ZS_STR("slow down\n"));
 */
extern zs_s64 zs_rate_limit(const void *key, zs_u64 key_len, zs_u64 per_second, zs_u64 per_minute,
                            zs_u64 per_hour);

/* A store of values by key in the server's memory, for all workers and scripts. It outlives
 * reloads, not restarts; when it is full (--script-kv-max), what was not used for longest goes.
 * Keys have 1 to 1024 bytes of any kind, values at most 256 KiB. ttl_ms: how long an entry lasts;
 * 0: for ever. */
/* Text out, but of any bytes; -1 when there is none. */
extern zs_s64 zs_kv_get(const void *key, zs_u64 key_len, void *out, zs_u64 out_len);
/* 0, or -1: the key or the value is too long, or the store is too small for it. */
extern zs_s64 zs_kv_set(const void *key, zs_u64 key_len, const void *value, zs_u64 value_len,
                        zs_u64 ttl_ms);
/* Adds to a decimal number, 0 when there is none, and gives the sum. ttl_ms counts when the entry
 * is made. Traps when there is no number, the sum leaves 64 bits, or it cannot be kept: all numbers
 * are results. */
extern zs_s64 zs_kv_incr(const void *key, zs_u64 key_len, zs_s64 by, zs_u64 ttl_ms);
/* 1 when there was one, else 0. */
extern zs_s64 zs_kv_delete(const void *key, zs_u64 key_len);

/* --- the world outside --- */

/* Asks another server and waits for its answer; other requests are served meanwhile. The argument
 * is a JSON object, of which only "url" must be there; the values are those that count without it:
 *
 *     {"url": "https://api.example.com/v1", "method": "GET", "headers": {}, "body": "",
 *      "timeout_ms": 10000, "max_body": 1048576}
 *
 * "body_base64" may stand for "body". timeout_ms is for all of it, at most 60000. Result: a handle
 * of {"status": 200, "headers": {"content-type": "…"}, "body": "…"}, names in lower case, with
 * "body_base64" for a body that is not UTF-8; -1 when there was no whole answer, or it has more
 * bytes than the limits, and the log says why. Redirects are not followed. */
extern zs_s64 zs_fetch(const char *request_json, zs_u64 request_json_len);

/* The claims of a JSON Web Token (RFC 7519) as a handle, when its signature is good and it is
 * neither expired ("exp") nor not yet valid ("nbf"), give or take a minute; else -1. Other claims
 * are yours to check. `keys`: a JSON Web Key or a set of them (RFC 7517), beginning with "{"; or a
 * shared secret. HS256, 384 and 512, RS256, 384 and 512, PS256, ES256, ES384 and EdDSA; the key
 * decides which, not the token. */
extern zs_s64 zs_jwt_verify(const char *token, zs_u64 token_len, const char *keys,
                            zs_u64 keys_len);

/* What the database of --geoip says of an address, which may have a port as zs_req_peer has it: a
 * handle; -1 when it says nothing, or there is no database. */
extern zs_s64 zs_geoip(const char *ip, zs_u64 ip_len);

/* --- AWS Signature Version 4 --- */

/* What is signed. Texts as address and length. */
typedef struct {
    const void *access_key;
    zs_u64 access_key_len;
    const void *secret_key;
    zs_u64 secret_key_len;
    const void *region; /* "us-east-1" */
    zs_u64 region_len;
    const void *service; /* "s3" */
    zs_u64 service_len;
    const void *method; /* "GET" */
    zs_u64 method_len;
    const void *uri; /* "/path?query" */
    zs_u64 uri_len;
    zs_u64 headers_json;   /* handle of an object: the headers that are signed, with "host" */
    const void *body_hash; /* SHA-256 in hexadecimal digits, or "UNSIGNED-PAYLOAD" */
    zs_u64 body_hash_len;
    zs_s64 timestamp_ms; /* as of zs_now_ms */
    void *out;
    zs_u64 out_len;
} zs_aws_v4_sign_params;

/* The value of the Authorization header; or path and query of a URL that is good for so many
 * seconds, at most a week, for which body_hash does not count. Text out, to params->out. -1: a text
 * is too long; -2: it cannot be signed, because there is no "host" for example. Traps when
 * params_len is not sizeof(zs_aws_v4_sign_params). */
extern zs_s64 zs_aws_v4_authorization_header(const zs_aws_v4_sign_params *params,
                                             zs_u64 params_len);
extern zs_s64 zs_aws_v4_presigned_url(const zs_aws_v4_sign_params *params, zs_u64 params_len,
                                      zs_u64 expires_secs);

/* --- login by OpenID Connect --- */

/* This version answers 501 and gives -1. What they are for:
 *
 * `cfg` is a handle of an object: "issuer", or "authorization_endpoint" and "token_endpoint";
 * "client_id", "client_secret", "redirect_uri", "scope" ("openid profile email"), "cookie_secret"
 * (at least 16 bytes, and always the same: it seals the cookies), "session_ttl_secs" (3600). All of
 * them give -1 when that is not right.
 *
 * begin_login: a redirect to the provider; the user comes back to `return_to`. handle_callback:
 * for the path of redirect_uri; sets the session's cookie. session_verify: a handle of the claims,
 * or 0 when nobody is logged in. logout: forgets the session, and goes to `end_session_url` unless
 * it is empty. All but session_verify answer the request. */
extern zs_s64 zs_oidc_begin_login(zs_s64 cfg, const char *return_to, zs_u64 return_to_len);
extern zs_s64 zs_oidc_handle_callback(zs_s64 cfg);
extern zs_s64 zs_oidc_session_verify(zs_s64 cfg);
extern zs_s64 zs_oidc_logout(zs_s64 cfg, const char *end_session_url, zs_u64 end_session_url_len);

/* --- others --- */

/* strongSwan is not asked by this server: always -1. */
extern zs_s64 zs_vici_eap_identity_by_ip(const char *ip, zs_u64 ip_len);

/* --- text, compiled into the script --- */

#define ZS__FUNCTION static ZS_MAYBE_UNUSED inline ZS_INLINE

/* As the functions of C without "zs_". */
ZS__FUNCTION size_t
zs_strlen(const char *s)
{
    const char *end = s;
    while (*end)
        end++;
    return (size_t)(end - s);
}

ZS__FUNCTION int
zs_strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++)
        b++;
    return (unsigned char)*a - (unsigned char)*b;
}

ZS__FUNCTION int
zs_strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

ZS__FUNCTION char *
zs_strrchr(const char *s, int c)
{
    const char *found = 0;
    do
        if (*s == (char)c)
            found = s;
    while (*s++);
    return (char *)found;
}

ZS__FUNCTION char *
zs_stpcpy(char *dst, const char *src)
{
    while ((*dst = *src++))
        dst++;
    return dst;
}

ZS__FUNCTION char *
zs_strcpy(char *dst, const char *src)
{
    zs_stpcpy(dst, src);
    return dst;
}

ZS__FUNCTION char *
zs_strncpy(char *dst, const char *src, size_t n)
{
    size_t at = 0;
    for (; at < n && src[at]; at++)
        dst[at] = src[at];
    for (; at < n; at++)
        dst[at] = 0;
    return dst;
}

/* A number in decimal digits, and a NUL. Result: how many digits, or -1 when they do not fit. */
ZS__FUNCTION int
zs_utoa10(unsigned int value, char *out, size_t out_size)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    if (!out || out_size <= (size_t)count)
        return -1;
    for (int at = 0; at < count; at++)
        out[at] = digits[count - 1 - at];
    out[count] = 0;
    return count;
}

#endif
