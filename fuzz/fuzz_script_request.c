/* Fuzzes the helpers of the request. Input: a head in HTTP/1 up to a NUL, a byte of facts about the
 * connection, a body up to a NUL, then calls: a byte that says which, and its arguments, wild ones
 * (addresses and lengths, good and bad) or texts.
 *
 * Checked: outputs are within what was asked for and end in a NUL; what scripts see is one request,
 * however it is read; and in the end the changed request is written back, and is one that nobody
 * can read in two ways: names are tokens, values have no control characters, there is one valid
 * Host or none, the target is a path that parses, what says where the body ends is as it was sent,
 * and its fields as HTTP/1 decode to the same fields.
 */
#include "http/h1_fields.h"
#include "script/helpers.h"
#include "script_calls.h"

enum {
    INPUT_MAX = 8192,
    RUNS_MAX = 32,
    HEAD_MAX = 4096,
    A = 0, /* places of texts in the script's memory */
    B = 4096,
    OUT = 8192,
    OUT_LEN = 4096,
};

static char head_text[HEAD_MAX + 1];

static uint64_t
call(bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4)
{
    return fn(r1, r2, r3, r4, 0, calls.run);
}

/* --- texts --- */

/* Puts the next text of the input to a place in memory; its length. */
static uint64_t
put_text(size_t place)
{
    struct str text = str_first(calls_text(), 4096);
    if (text.len)
        memcpy(calls_memory() + place, text.ptr, text.len);
    return text.len;
}

static struct str
output(bpf_helper_fn *fn, bool named, uint64_t name_len)
{
    uint64_t base = calls_base();
    char *memory = calls_memory();
    memset(memory + OUT, '#', OUT_LEN);
    uint64_t len = named ? call(fn, base + A, name_len, base + OUT, OUT_LEN)
                         : call(fn, base + OUT, OUT_LEN, 0, 0);
    check(len <= OUT_LEN);
    uint64_t text_len = len < OUT_LEN ? len : OUT_LEN - 1;
    check(memory[OUT + text_len] == '\0');
    check(len == OUT_LEN || memory[OUT + text_len + 1] == '#' || text_len + 1 == OUT_LEN);
    return str_make(memory + OUT, text_len);
}

static bpf_helper_fn *const plain_outputs[] = {
    zs_req_method, zs_req_path, zs_req_normalized_path, zs_req_uri,
    zs_req_query,  zs_req_peer, zs_req_scheme,
};
static bpf_helper_fn *const named_outputs[] = {zs_req_header, zs_req_cookie, zs_req_query_param};
static bpf_helper_fn *const one_text[] = {
    zs_req_set_method,  zs_req_set_uri,       zs_req_delete_header,     zs_req_replace_header,
    zs_req_rewrite_uri, zs_req_rewrite_query, zs_req_remote_ip_matches,
};
static bpf_helper_fn *const two_texts[] = {
    zs_req_set_header,
    zs_req_append_header,
    zs_req_query_param_matches,
};
static bpf_helper_fn *const numbers[] = {
    zs_req_proto_major, zs_req_proto_minor, zs_req_is_tls, zs_req_tls_handshake_complete,
    zs_req_body_json,   zs_connection_info,
};

#define PICK(list) (list)[calls_byte() % (sizeof(list) / sizeof *(list))]

/* What is read is consistent in itself. */
static void
check_views(void)
{
    char uri[OUT_LEN];
    struct str text = output(zs_req_uri, false, 0);
    memcpy(uri, text.ptr, text.len);
    struct str whole = str_make(uri, text.len), path = str_cut(&whole, '?');
    struct str seen = output(zs_req_path, false, 0);
    check(seen.len && seen.ptr[0] == '/');
    if (text.len < OUT_LEN - 1)
        check(str_eq(seen, path));
    seen = output(zs_req_query, false, 0);
    if (text.len < OUT_LEN - 1)
        check(str_eq(seen, whole));
    seen = output(zs_req_normalized_path, false, 0);
    check(seen.ptr[0] == '/' &&
          (seen.len == 1 || seen.len == OUT_LEN - 1 || seen.ptr[seen.len - 1] != '/'));
}

/* What was set is what is read. */
static void
set_and_read(void)
{
    uint64_t name_len = put_text(A), value_len = put_text(B), base = calls_base();
    char value[4096];
    call(zs_req_set_header, base + A, name_len, base + B, value_len);
    memcpy(value, calls_memory() + B, value_len);
    struct str seen = output(zs_req_header, true, name_len);
    struct str name = str_make(calls_memory() + A, name_len);
    bool kept = script_field_is_framing(str_trim(name));
    if (value_len < OUT_LEN - 1 && !kept)
        check(str_eq(seen, str_trim(str_make(value, value_len))));
}

static void
tame_call(uint8_t which)
{
    uint64_t base = calls_base(), len, len_2;
    switch (which % 8) {
    case 0:
        output(PICK(plain_outputs), false, 0);
        break;
    case 1:
        len = put_text(A);
        output(PICK(named_outputs), true, len);
        break;
    case 2:
    case 3:
        len = put_text(A);
        check(call(PICK(one_text), base + A, len, 0, 0) <= 1);
        break;
    case 4:
        len = put_text(A);
        len_2 = put_text(B);
        check(call(PICK(two_texts), base + A, len, base + B, len_2) <= 1);
        break;
    case 5:
        set_and_read();
        break;
    case 6:
        call(PICK(numbers), 0, 0, 0, 0);
        break;
    default:
        check(call(zs_req_body_limit, calls_number(5000), 0, 0, 0) <= 1);
    }
}

static void
wild_call(void)
{
    uint64_t r[4] = {calls_address(), calls_len(), calls_address(), calls_len()};
    uint8_t which = calls_byte();
    if (which % 5 == 0)
        check(call(PICK(plain_outputs), r[0], r[1], 0, 0) <= r[1]);
    else if (which % 5 == 1)
        check(call(PICK(named_outputs), r[0], r[1], r[2], r[3]) <= r[3]);
    else if (which % 5 == 2)
        check(call(PICK(one_text), r[0], r[1], 0, 0) <= 1);
    else if (which % 5 == 3)
        check(call(PICK(two_texts), r[0], r[1], r[2], r[3]) <= 1);
    else
        call(zs_req_body, r[0], r[1], 0, 0);
}

static uint64_t
one_run(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    while (calls.at < calls.end) {
        uint8_t which = calls_byte();
        if (which & 0x80)
            wild_call();
        else
            tame_call(which);
        check_views();
        script_json_deinit(&calls.scene->frame.json);
        calls.scene->frame.footprint = 0;
    }
    return 0;
}

/* --- the request --- */

static bool
set_request(struct scene *scene)
{
    struct req *req = &scene->req;
    struct h1_head_decoder decoder;
    struct str text = str_first(calls_text(), HEAD_MAX);
    uint8_t facts = calls_byte();
    memcpy(head_text, text.ptr, text.len);
    h1_head_decoder_init(&decoder, &req->head, HEAD_MAX);
    if (h1_head_decode(&decoder, head_text, text.len) != H1_DONE || !req_read_target(req) ||
        (req->target.form != TARGET_ORIGIN && req->target.form != TARGET_ABSOLUTE))
        return false;
    req->head_moves = facts & 1;
    req->is_h2 = facts & 2;
    scene->shared.config.body_max = facts & 4 ? 10 : 1000;
    req_hold_input(req, 1000);
    req_input_data(req, calls_text());
    req_input_end(req);
    return true;
}

/* Values of what says where the body ends. */
static void
check_framing(const struct http_head *sent, const struct http_head *head, enum http_field_id id)
{
    struct http_lines before = {sent->base, sent->fields, sent->fields + sent->field_count, id};
    struct http_lines after = {head->base, head->fields, head->fields + head->field_count, id};
    struct str value, other;
    while (http_lines_next(&before, &value))
        check(http_lines_next(&after, &other) && str_eq(value, other));
    check(!http_lines_next(&after, &other));
}

static void
check_head(const struct req *req)
{
    const struct http_head *head = &req->head;
    unsigned hosts = 0;
    check(script_field_name_is_valid(http_head_method(head)));
    check(head->method == http_method_id(http_head_method(head)));
    check(head->method != HTTP_METHOD_CONNECT);
    struct str target = http_head_target(head);
    check(target.len && (target.ptr[0] == '/' || !calls.scene->task.request.target_changed));
    for (size_t i = 0; i < target.len; i++)
        check((unsigned char)target.ptr[i] > ' ' && target.ptr[i] != 0x7f && target.ptr[i] != '#');
    check(req->path.len && req->path.ptr[0] == '/');
    for (unsigned i = 0; i < head->field_count; i++) {
        struct str value = http_field_value(head, &head->fields[i]);
        check(script_field_name_is_valid(http_field_name(head, &head->fields[i])));
        check(script_field_value_is_valid(value) && str_trim(value).len == value.len);
        if (head->fields[i].id == HTTP_FIELD_HOST)
            check(hosts++ == 0 && target_host_is_valid(value));
    }
    const struct http_head *sent = req_sent_head(req);
    check(head->body_kind == sent->body_kind && head->content_length == sent->content_length);
    check(head->version_minor == sent->version_minor && head->keep_alive == sent->keep_alive);
    check_framing(sent, head, HTTP_FIELD_CONTENT_LENGTH);
    check_framing(sent, head, HTTP_FIELD_TRANSFER_ENCODING);
}

/* Its fields as HTTP/1, decoded again. */
static void
check_again(const struct http_head *head)
{
    struct http_field list[SCENE_FIELDS];
    uint16_t first[HTTP_FIELD_ID_COUNT] = {0};
    struct h1_fields lines;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < head->field_count; i++) {
        struct str name = http_field_name(head, &head->fields[i]);
        struct str value = http_field_value(head, &head->fields[i]);
        buf_printf(&text, "%.*s: ", STR_ARG(name));
        buf_append(&text, value);
        buf_append(&text, STR("\r\n"));
    }
    buf_append(&text, STR("\r\n"));
    check(!buf_overflowed(&text));
    h1_fields_init(&lines, list, SCENE_FIELDS, first, http_field_id);
    check(h1_fields_decode(&lines, text.ptr, text.ptr, text.ptr + text.len) == H1_DONE);
    check(lines.count == head->field_count);
    for (unsigned i = 0; i < lines.count; i++) {
        const struct http_field *field = &list[i];
        check(str_eq(str_make(text.ptr + field->name_off, field->name_len),
                     http_field_name(head, &head->fields[i])));
        check(str_eq(str_make(text.ptr + field->value_off, field->value_len),
                     http_field_value(head, &head->fields[i])));
    }
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct bpf_helper row = {"run", one_run};
    static const struct bpf_helper_table table = {&row, 1};
    if (len > INPUT_MAX)
        return 0;
    calls_init(&table);
    calls.at = data;
    calls.end = data + len;
    struct scene *scene = calls.scene;
    if (set_request(scene)) {
        for (unsigned i = 0; i < RUNS_MAX && calls.at < calls.end; i++)
            calls_go();
        bool done = script_request_commit(&scene->task);
        if (done && scene->req.head_moves)
            memset(head_text, '!', scene->req.sent ? HEAD_MAX : 0);
        if (done) {
            check_head(&scene->req);
            check_again(&scene->req.head);
        }
    }
    calls_reset();
    script_request_clear(&scene->task.request);
    scene->req.sent = NULL;
    req_drop_input(&scene->req);
    scene->req.input.ended = false;
    scene->req.response = (struct response){0};
    body_close(&scene->req.body);
    arena_reset(&scene->req.arena);
    return 0;
}
