/* Fuzzes signing for AWS. The first byte says how:
 *
 *   by the module   a request made of the input's texts. Checked: the canonical request has the
 *                   lines that it must; a request in its canonical form gives the same signature
 *                   again; a presigned URL can be sent, and is the canonical request's;
 *   by the helpers  random structs of arguments, good and bad.
 */
#include "base/hex.h"
#include "script/helpers.h"
#include "script/sigv4.h"
#include "script_calls.h"

enum { INPUT_MAX = 8192, FIELDS_MAX = SIGV4_FIELDS_MAX + 2, PARAMS_LEN = 144, CALLS_MAX = 16 };

static struct sigv4_work work, again;

/* --- the module --- */

static struct str
canonical_line(unsigned number)
{
    struct str rest = str_make(work.canonical, work.canonical_len), line = {0};
    for (unsigned i = 0; i <= number; i++)
        line = str_cut(&rest, '\n');
    return line;
}

static void
check_encoded(struct str text, const char *kept)
{
    for (; text.len; text = str_skip(text, 1)) {
        char c = text.ptr[0], lower = str_lower_char(c);
        bool is_plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
                        (c && strchr("-._~", c)) || (c && strchr(kept, c));
        check(is_plain || percent_value(text) >= 0);
    }
}

/* Behind the fourth line: fields, an empty line, their names, the hash of the body. */
static void
check_canonical(const struct sigv4_request *request, struct str body_hash)
{
    struct str rest = str_make(work.canonical, work.canonical_len);
    unsigned count = 0;
    check_encoded(canonical_line(1), "/");
    check(str_starts_with(canonical_line(1), STR("/")) || request->keeps_path);
    check_encoded(canonical_line(2), "&=");
    for (unsigned i = 0; i < 3; i++)
        str_cut(&rest, '\n');
    struct str names = {0};
    for (;;) {
        struct str line = str_cut(&rest, '\n');
        if (line.len == 0)
            break;
        check(str_find_char(line, ':') < line.len);
        count++;
    }
    names = str_cut(&rest, '\n');
    check(str_eq(rest, body_hash));
    while (names.len) {
        str_cut(&names, ';');
        count--;
    }
    check(count == 0);
}

/* A request whose URI is canonical already, for a service that takes it as it is. */
static void
check_idempotence(struct sigv4_request request, struct str out)
{
    static char uri[SIGV4_URI_MAX + 1];
    struct str path = canonical_line(1), query = canonical_line(2), same;
    if (!request.keeps_path || path.len + 1 + query.len > SIGV4_URI_MAX)
        return;
    int len = snprintf(uri, sizeof uri, "%.*s?%.*s", STR_ARG(path), STR_ARG(query));
    request.uri = str_make(uri, (size_t)len);
    check(sigv4_authorization(&again, &request, &same) == SIGV4_OK);
    check(str_eq(same, out));
}

static void
check_presigned(const struct sigv4_request *request, struct str url)
{
    static const struct str last = STR_INIT("&X-Amz-Signature=");
    struct str query = url, path = str_cut(&query, '?');
    check(url.len > last.len + 64);
    check(str_starts_with(str_skip(url, url.len - last.len - 64), last));
    check_encoded(path, "/!$&'()*+,;=:@");
    check(str_eq(str_first(query, canonical_line(2).len), canonical_line(2)));
    if (request->keeps_path)
        check(str_eq(path, canonical_line(1)));
    check_canonical(request, STR("UNSIGNED-PAYLOAD"));
}

/* No line ends: those of values are spaces in what is signed, those of others are the caller's. */
static bool
has_line_end(const struct sigv4_request *request)
{
    const struct str texts[] = {request->method, request->body_hash};
    for (size_t i = 0; i < 2; i++)
        if (str_find_char(texts[i], '\n') < texts[i].len)
            return true;
    return false;
}

static void
sign_request(void)
{
    static struct sigv4_field fields[FIELDS_MAX];
    uint8_t flags = calls_byte();
    uint64_t expires_s = calls_number(UINT16_MAX);
    struct sigv4_request request = {
        .access_key = calls_text(),
        .secret_key = calls_text(),
        .region = calls_text(),
        .service = calls_text(),
        .method = calls_text(),
        .uri = calls_text(),
        .body_hash = calls_text(),
        .fields = fields,
        .time_s = (int64_t)calls_number(UINT16_MAX) << (flags % 44),
        .keeps_path = flags & 0x80,
    };
    struct str out, url;
    if (flags & 0x40)
        fields[request.field_count++] = (struct sigv4_field){STR("Host"), STR("example.com")};
    while (calls.at < calls.end && request.field_count < FIELDS_MAX) {
        struct str name = calls_text();
        fields[request.field_count++] = (struct sigv4_field){name, calls_text()};
    }
    enum sigv4_result result = sigv4_authorization(&work, &request, &out);
    check(result <= SIGV4_REFUSED);
    if (result != SIGV4_OK || has_line_end(&request))
        return;
    check_canonical(&request, request.body_hash);
    check_idempotence(request, out);
    if (sigv4_presign(&work, &request, expires_s, &url) == SIGV4_OK)
        check_presigned(&request, url);
}

/* --- the helpers --- */

/* Words that are addresses, lengths, a handle or a time, in places where they are mostly right. */
static void
write_params(char *params, uint64_t handle)
{
    uint64_t words[18];
    for (unsigned i = 0; i < 18; i++)
        words[i] = i % 2 ? calls_len() : calls_address();
    words[12] = calls_byte() ? handle : calls_byte();
    words[13] = calls_address();
    words[14] = calls_byte() % 130;
    words[15] = (uint64_t)calls_number(UINT16_MAX) << calls_byte() % 50;
    words[16] = calls_address();
    words[17] = calls_len();
    memcpy(params, words, sizeof words);
}

static void
check_result(const char *params, uint64_t result)
{
    uint64_t words[18];
    memcpy(words, params, sizeof words);
    if ((int64_t)result < 0) {
        check((int64_t)result >= -2);
        return;
    }
    check(result <= words[17]);
    if (words[17]) {
        struct str out = bpf_view(calls.run, words[16], words[17]);
        check(out.ptr[result < out.len ? result : out.len - 1] == '\0');
    }
}

static uint64_t
drive(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct script_frame *frame = script_frame_of(run);
    struct str bytes = calls_text();
    char *memory = calls_memory(), params[PARAMS_LEN];
    memcpy(memory, bytes.ptr, str_first(bytes, CALLS_MEMORY).len);
    int64_t handle = script_json_parse(frame, calls_text());
    for (unsigned i = 0; i < CALLS_MAX && calls.at < calls.end; i++) {
        uint8_t how = calls_byte();
        uint64_t at = how & 0x40 ? calls_address() : calls_base() + CALLS_MEMORY - PARAMS_LEN;
        write_params(params, (uint64_t)handle);
        if (!(how & 0x40))
            memcpy(memory + CALLS_MEMORY - PARAMS_LEN, params, sizeof params);
        uint64_t len = how & 0x20 ? calls_len() : PARAMS_LEN;
        uint64_t result =
            how & 1 ? zs_aws_v4_presigned_url(at, len, calls_number(UINT16_MAX), 0, 0, run)
                    : zs_aws_v4_authorization_header(at, len, 0, 0, 0, run);
        if (!(how & 0x40))
            check_result(params, result);
    }
    return 0;
}

static const struct bpf_helper row = {"drive", drive};
static const struct bpf_helper_table table = {&row, 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    calls_init(&table);
    calls.at = data + 1;
    calls.end = data + size;
    if (data[0] & 1)
        calls_go();
    else
        sign_request();
    calls_reset();
    return 0;
}
