/* Fuzzes a whole connection: bytes in pieces into an HTTP/1 session over a socket pair, answers
 * out. Input: one byte of mode, two of seed for the pieces, then the bytes of the peer; or, in the
 * other mode, one byte for each request of a list.
 *
 * Checked: against a plain walk over the whole input with the decoders, every request is answered
 * once and in order; what is malformed or cut off is answered with its status; an answer that says
 * close is the last; every answer is well-formed and as long as it says; known files come whole;
 * the connection ends, and nothing of it is left.
 */
#include "conn/h2.h"
#include "http/h1_chunk.h"
#include "http/h1_head.h"
#include "session_run.h"

#include <sys/stat.h>

enum {
    LIST_MAX = 40,
    OUTPUT_MAX = 8 << 20,
    MID_LEN = 15000,                  /* copied, in pieces to a full socket */
    BIG_LEN = CONN_SPLICE_MIN + 2000, /* sent from its pages */
    FILE_LEN = BIG_LEN + 10000,       /* not held in memory: sent from the file */
};

static const struct peer_limits peer_limits = {
    .output_max = OUTPUT_MAX, .piece_max = INPUT_MAX, .idle_turns_max = 4};

/* --- the files --- */

static char content[FILE_LEN];

static void
make_files(const char *dir)
{
    char name[8], text[8], path[256];
    static char headers[4096];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%u", i);
        int len = snprintf(text, sizeof text, "n%u", i);
        write_file(dir, name, text, (size_t)len);
    }
    fill_letters(content, FILE_LEN);
    write_file(dir, "big", content, BIG_LEN);
    write_file(dir, "mid", content, MID_LEN);
    write_file(dir, "file", content, FILE_LEN);
    snprintf(path, sizeof path, "%s/long", dir);
    must(mkdir(path, 0700) == 0);
    write_file(dir, "long/index.html", "long", 4);
    int len = snprintf(headers, sizeof headers, "/long/*\n  X-Long: %03500d\n", 1);
    write_file(dir, "_headers", headers, (size_t)len);
}

/* --- the answers --- */

struct answer {
    int status;
    bool close;
    bool has_length;
    uint64_t len;
    struct str body;
};

static void
read_field(struct answer *answer, struct str line)
{
    struct str name = str_cut(&line, ':');
    must(name.len > 0 && str_starts_with(line, STR(" ")));
    if (str_eq(name, STR("Connection")))
        answer->close = str_eq(line, STR(" close"));
    if (str_eq(name, STR("Content-Length"))) {
        must(!answer->has_length && str_to_u64(str_skip(line, 1), &answer->len));
        answer->has_length = true;
    }
}

/* Cuts the next answer off. */
static struct answer
read_answer(struct str *output, bool to_head)
{
    struct answer answer = {0};
    size_t head_len = str_find(*output, STR("\r\n\r\n"));
    must(head_len < output->len && str_starts_with(*output, STR("HTTP/1.1 ")));
    struct str head = str_first(*output, head_len + 2);
    *output = str_skip(*output, head_len + 4);
    answer.status = atoi(head.ptr + 9);
    must(answer.status >= 200 && answer.status < 600);
    head = str_skip(head, str_find(head, STR("\r\n")) + 2);
    must(str_starts_with(head, STR("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n")));
    while (head.len) {
        size_t len = str_find(head, STR("\r\n"));
        read_field(&answer, str_first(head, len));
        head = str_skip(head, len + 2);
    }
    bool has_body = !to_head && answer.status != 304 && answer.status != 204;
    must(!has_body || answer.has_length);
    if (has_body) {
        must(answer.len <= output->len);
        answer.body = str_first(*output, answer.len);
        *output = str_skip(*output, answer.len);
    }
    return answer;
}

/* What a plain name of a file stands for; a NULL pointer: no file. */
static struct str
file_of(struct str target)
{
    static const char digits[] = "n0n1n2n3n4n5n6n7n8n9";
    if (str_eq(target, STR("/big")))
        return str_make(content, BIG_LEN);
    if (str_eq(target, STR("/mid")))
        return str_make(content, MID_LEN);
    if (str_eq(target, STR("/file")))
        return str_make(content, FILE_LEN);
    if (target.len == 2 && target.ptr[0] == '/' && target.ptr[1] >= '0' && target.ptr[1] <= '9')
        return str_make(digits + 2 * (target.ptr[1] - '0'), 2);
    return (struct str){0};
}

/* A file that was asked for by its plain name comes whole; without conditions it must come. */
static void
check_file(const struct http_head *head, const struct answer *answer)
{
    struct str file = file_of(http_head_target(head));
    if (head->method != HTTP_METHOD_GET || !file.ptr)
        return;
    if (http_head_has(head, HTTP_FIELD_HOST) && head->field_count == 1)
        must(answer->status == 200);
    if (answer->status == 200)
        must(str_eq(answer->body, file));
}

/* Length of the request body in what follows a head; false: malformed, or cut off. */
static bool
body_len_of(const struct http_head *head, struct str rest, size_t *len)
{
    struct h1_chunk_decoder chunks;
    struct str data;
    size_t consumed;
    *len = 0;
    if (head->body_kind == HTTP_BODY_LENGTH) {
        *len = head->content_length;
        return head->content_length <= rest.len;
    }
    if (head->body_kind == HTTP_BODY_NONE)
        return true;
    h1_chunk_decoder_init(&chunks);
    for (;;) {
        enum h1_chunk_result result =
            h1_chunk_decode(&chunks, rest.ptr + *len, rest.len - *len, &consumed, &data);
        *len += consumed;
        if (result != H1_CHUNK_DATA)
            return result == H1_CHUNK_DONE;
    }
}

/* Whether the server may, or must, make the answer to this request its last. */
static bool
ends_connection(const struct http_head *head)
{
    bool body = head->body_kind != HTTP_BODY_NONE;
    return !head->keep_alive || (body && head->expect_continue) ||
           (head->body_kind == HTTP_BODY_LENGTH && head->content_length > CONN_DISCARD_MAX);
}

/* Walks over all that was said and all that was heard. Returns the number of answers. */
static unsigned
check_answers(struct str input, struct str output)
{
    struct http_field fields[FIELDS_MAX];
    struct http_head head;
    struct h1_head_decoder decoder;
    unsigned count = 0;
    http_head_init(&head, fields, FIELDS_MAX);
    while (input.len) {
        size_t body_len;
        h1_head_decoder_init(&decoder, &head, HEAD_MAX);
        enum h1_result result = h1_head_decode(&decoder, input.ptr, input.len);
        bool to_head = result == H1_DONE && head.method == HTTP_METHOD_HEAD;
        bool body_is_whole =
            result == H1_DONE && body_len_of(&head, str_skip(input, decoder.head_len), &body_len);
        /* A refusal instead of the answer has a body, even to HEAD. */
        bool refused = result != H1_DONE || (!body_is_whole && !ends_connection(&head));
        struct str before = output;
        struct answer answer = read_answer(&output, to_head);
        if (refused && to_head && answer.close && output.len) {
            output = before;
            answer = read_answer(&output, false);
        }
        count++;
        if (result == H1_MORE)
            must(answer.status == 400 && answer.close);
        if (result == H1_ERROR)
            must(answer.status == h1_error_status(decoder.error) && answer.close);
        if (refused || ends_connection(&head))
            must(answer.close);
        else if (answer.close)
            must(answer.status >= 400);
        if (result == H1_DONE && body_is_whole)
            check_file(&head, &answer);
        if (answer.close)
            break;
        input = str_skip(input, decoder.head_len + body_len);
    }
    must(output.len == 0);
    return count;
}

/* --- generated requests --- */

static const char *const requests[] = {
    "GET /%c HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /%c HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /%c HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "POST /%c HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nGET / H",
    "POST /%c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "PUT /%c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n\n\r\n0\r\nA:\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "GET /long/ HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "HEAD /long/ HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "GET /long HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "GET /none%c HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "GET /%c HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a%c\r\nRange: bytes=0-9,100-20100,-7\r\n\r\n",
    "GET /mid HTTP/1.1\r\nHost: a%c\r\n\r\n",
    "GET /file HTTP/1.1\r\nHost: a%c\r\n\r\n",
};
enum { REQUEST_COUNT = sizeof requests / sizeof *requests };

static void
generate(struct buf *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && i < LIST_MAX; i++)
        buf_printf(out, requests[data[i] % REQUEST_COUNT], '0' + data[i] / REQUEST_COUNT % 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server.loop)
        server_start(make_files, BIG_LEN);
    if (size < CONTROL_LEN || size > INPUT_MAX)
        return 0;
    struct buf generated;
    struct peer peer;
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    bool is_list = data[0] % 2;
    /* The preface of HTTP/2 changes the connection: fuzz_h2_session's matter. */
    if (!is_list && input.len && h2_preface_check(input) != H2_PREFACE_NONE)
        return 0;
    buf_init(&generated, OUTPUT_MAX);
    if (is_list) {
        generate(&generated, data + CONTROL_LEN, size - CONTROL_LEN);
        input = buf_str(&generated);
    }
    peer_connect(&peer, &peer_limits, input, data);
    peer_talk(&peer);
    must(!peer.was_reset);
    unsigned count = check_answers(input, buf_str(&peer.output));
    must(server.logged == count && server.logged_incomplete == 0);
    if (is_list)
        must(count == (size - CONTROL_LEN < LIST_MAX ? size - CONTROL_LEN : LIST_MAX));
    peer_leave(&peer);
    buf_deinit(&generated);
    return 0;
}
