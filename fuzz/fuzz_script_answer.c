/* Fuzzes the helpers for metadata, answers, files, hooks and the response: random calls of them
 * with good and bad arguments, first as a script of the chain, then as hooks, on a site of a few
 * files.
 *
 * Checked after every step: each block of the response is whole lines "Name: value", so that
 * nothing that a script gives can begin another line or end the head; the length that is announced
 * is the one that comes; what is the session's is not in it; headers by metadata stand in it once,
 * as they were set; and a hook that failed has left no trace.
 */
#include "http/status.h"
#include "script/fields.h"
#include "script/helpers.h"
#include "script/response.h"
#include "script_calls.h"
#include "site/site.h"

#include <unistd.h>

enum { INPUT_MAX = 4096, CALLS_MAX = 48, TEXTS = CALLS_MEMORY / 2 };

static struct {
    char dir[64];
    struct site *site;
    uint32_t text_at; /* in the script's memory */
    uint64_t handle;
    struct buf before; /* the head before a hook */
} fuzz;

/* Of no scripts: but a hook can be one of the script's own. */
static struct script_set set;
static struct script_view view = {.set = &set};

/* --- a site --- */

static void
put_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz.dir, name);
    FILE *file = fopen(path, "w");
    check(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void
make_directory(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "mkdir -p %s/%s", fuzz.dir, name);
    check(system(path) == 0);
}

static void
make_site(void)
{
    struct error error;
    char command[96];
    strcpy(fuzz.dir, "/tmp/tarn-fuzz-XXXXXX");
    check(mkdtemp(fuzz.dir));
    make_directory("d/e");
    make_directory("list/sub");
    put_file("index.html", "<p><zs-meta>name</zs-meta><zs-meta raw>name</zs-meta>");
    put_file("a.txt", "hello");
    put_file("a.txt.gz", "not really");
    put_file("404.html", "<zs-meta>a</zs-meta>");
    put_file("d/index.html", "d");
    put_file("d/e/index.txt", "e");
    put_file("list/x.php", "x");
    put_file("list/y.html", "y");
    put_file("list/sub/z", "z");
    put_file("_headers", "/a.txt\n  X-Rule: 1\n  Vary: Cookie\n/list/*\n  X-List: 1\n");
    const struct site_config config = {.source = fuzz.dir,
                                       .preload_max = 1 << 20,
                                       .preload_total = 1 << 24,
                                       .index = "index.html",
                                       .templates = true};
    check(site_load(&config, &fuzz.site, &error) == 0);
    snprintf(command, sizeof command, "rm -rf %s", fuzz.dir);
    check(system(command) == 0);
}

/* --- arguments --- */

/* A text in the script's memory, most of the time; two words. */
static void
text_argument(uint64_t out[2])
{
    static const struct str common[] = {
        STR_INIT("name"),
        STR_INIT("zs.response.header.x-a"),
        STR_INIT("zs.response.header.content-type"),
        STR_INIT("zs.response.header.ETag"),
        STR_INIT("zs.response.header.content-length"),
        STR_INIT("x-a"),
        STR_INIT("ETag"),
        STR_INIT("Content-Length"),
        STR_INIT("*"),
        STR_INIT("X*"),
        STR_INIT("v\r\nX-Bad: 1"),
        STR_INIT("https://e.org/\xc3\xa4?\r\n"),
        STR_INIT("a.txt"),
        STR_INIT("/d/"),
        STR_INIT("f"),
        STR_INIT(""),
    };
    uint8_t how = calls_byte();
    struct str text = how < 160 ? common[how % 16] : calls_text();
    if (how >= 248) {
        out[0] = calls_address();
        out[1] = calls_len();
        return;
    }
    text = str_first(text, 512);
    if (fuzz.text_at + text.len > TEXTS)
        fuzz.text_at = 0;
    if (text.len)
        memcpy(calls_memory() + fuzz.text_at, text.ptr, text.len);
    out[0] = calls_base() + fuzz.text_at;
    out[1] = text.len;
    fuzz.text_at += (uint32_t)text.len;
}

static uint64_t
status_argument(void)
{
    static const uint64_t statuses[] = {200, 204, 304, 404, 301, 302, 307, 0, 99, 1000, 206, 500};
    uint8_t how = calls_byte();
    return how < 200 ? statuses[how % 12] : calls_number(1200);
}

static void
options_argument(uint64_t out[2])
{
    static const struct str common[] = {
        STR_INIT("{}"),
        STR_INIT("{\"browse\":true}"),
        STR_INIT("{\"browse\":{},\"hide\":[\"*.php\",\"list/s*\",\"[a-\"]}"),
        STR_INIT("{\"pass_thru\":true,\"index_names\":[\"e/index.txt\",\"x.php\"]}"),
        STR_INIT("{\"root\":\"d\",\"status_code\":404}"),
        STR_INIT("{\"canonical_uris\":false,\"precompressed\":{\"gzip\":{}}}"),
    };
    uint8_t how = calls_byte();
    if (how >= 200) {
        text_argument(out);
        return;
    }
    struct str text = common[how % 6];
    memcpy(calls_memory(), text.ptr, text.len);
    out[0] = calls_base();
    out[1] = text.len;
}

static uint64_t
call(bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return fn(r1, r2, r3, r4, r5, calls.run);
}

static void
check_out(uint64_t out, uint64_t out_len, uint64_t result)
{
    check(result <= out_len);
    if (out_len == 0)
        return;
    struct str text = bpf_view(calls.run, out, out_len);
    check(text.ptr[result < out_len ? result : out_len - 1] == '\0');
}

/* --- calls --- */

static void
any_phase_call(uint8_t which)
{
    uint64_t a[2], b[2];
    text_argument(a);
    text_argument(b);
    uint64_t out = calls_address(), out_len = calls_len();
    switch (which % 4) {
    case 0:
        check_out(out, out_len, call(zs_meta_get, a[0], a[1], out, out_len, 0));
        break;
    case 1:
    case 2:
        check(call(zs_meta_set, a[0], a[1], b[0], b[1], 0) == 0);
        break;
    default:
        check(call(zs_response_pending, 0, 0, 0, 0, 0) < 2);
        check(call(zs_response_clear, 0, 0, 0, 0, 0) == 0);
    }
}

static void
request_call(void)
{
    uint8_t which = calls_byte();
    uint64_t a[2], b[2];
    switch (which % 12) {
    case 0:
        text_argument(a);
        call(zs_respond, status_argument(), a[0], a[1], 0, 0);
        break;
    case 1:
        text_argument(a);
        call(zs_redirect, status_argument(), a[0], a[1], 0, 0);
        break;
    case 2:
        text_argument(a);
        call(zs_respond_file, status_argument(), a[0], a[1], 0, 0);
        break;
    case 3:
        text_argument(a);
        call(zs_reverse_proxy, a[0], a[1], 0, 0, 0);
        break;
    case 4:
    case 5:
        options_argument(a);
        check(call(zs_file_server, a[0], a[1], 0, 0, 0) < 3);
        break;
    case 6:
        text_argument(a);
        text_argument(b);
        call(zs_res_hook, a[0], a[1], b[0], b[1], fuzz.handle);
        break;
    case 7:
        call(which < 16 ? zs_res_hooks_clear : zs_oidc_session_verify, 0, 0, 0, 0, 0);
        break;
    default:
        any_phase_call(which / 12);
    }
}

static void
response_call(void)
{
    uint8_t which = calls_byte();
    uint64_t a[2], b[2];
    text_argument(a);
    switch (which % 9) {
    case 0:
        check(call(zs_res_status, 0, 0, 0, 0, 0) >= 200);
        break;
    case 1:
        call(zs_res_set_status, status_argument(), 0, 0, 0, 0);
        break;
    case 2:
        b[0] = calls_address();
        b[1] = calls_len();
        check_out(b[0], b[1], call(zs_res_header, a[0], a[1], b[0], b[1], 0));
        break;
    case 3:
        text_argument(b);
        call(zs_res_set_header, a[0], a[1], b[0], b[1], 0);
        break;
    case 4:
        text_argument(b);
        call(zs_res_append_header, a[0], a[1], b[0], b[1], 0);
        break;
    case 5:
        call(zs_res_remove_header, a[0], a[1], 0, 0, 0);
        break;
    case 6:
        call(zs_res_replace_header, a[0], a[1], 0, 0, 0);
        break;
    case 7:
        call(zs_res_continue_request, 0, 0, 0, 0, 0);
        break;
    default:
        any_phase_call(which / 9);
    }
}

static uint64_t
drive(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    const struct script_task *task = &calls.scene->task;
    for (unsigned count = 0; calls.at < calls.end && count < CALLS_MAX; count++) {
        if (*calls.at == 0xfe) { /* the end of this script, or hook */
            calls.at++;
            break;
        }
        if (task->phase == SCRIPT_REQUEST)
            request_call();
        else
            response_call();
    }
    return 0;
}

static const struct bpf_helper row = {"drive", drive};
static const struct bpf_helper_table table = {&row, 1};

/* --- the response --- */

static bool
is_line(struct str line)
{
    size_t colon = str_find_char(line, ':');
    if (colon == line.len || !str_starts_with(str_skip(line, colon), STR(": ")))
        return false;
    struct str name = str_first(line, colon), value = str_skip(line, colon + 2);
    return script_field_name_is_valid(name) && script_field_value_is_valid(value);
}

static bool
is_session_name(struct str name)
{
    return script_response_name_is_framing(name) && !str_ieq(name, STR("Content-Length"));
}

/* How many lines of that name there are, and the last one's value. */
static unsigned
count_lines(struct str name, struct str *value)
{
    const struct response *response = &calls.scene->req.response;
    unsigned count = 0;
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str rest = response->blocks[i];
        while (rest.len) {
            struct str line = str_first(rest, str_find(rest, STR("\r\n")));
            rest = str_skip(rest, line.len + 2);
            if (str_ieq(str_first(line, str_find_char(line, ':')), name)) {
                *value = str_skip(line, name.len + 2);
                count++;
            }
        }
    }
    return count;
}

static void
check_blocks(void)
{
    const struct response *response = &calls.scene->req.response;
    check(response->block_count <= RESPONSE_BLOCKS_MAX);
    check(response->status >= 200 && response->status <= 999);
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str rest = response->blocks[i];
        check(str_ends_with(rest, STR("\r\n")));
        while (rest.len) {
            struct str line = str_first(rest, str_find(rest, STR("\r\n")));
            rest = str_skip(rest, line.len + 2);
            check(is_line(line));
            check(!is_session_name(str_first(line, str_find_char(line, ':'))));
        }
    }
}

static void
check_meta(void)
{
    const struct script_meta *meta = &calls.scene->task.meta;
    for (uint32_t i = 0; i < meta->count; i++) {
        struct str name = script_meta_header_name(script_meta_key(meta, i)), value;
        if (name.len && !script_meta_header_fault(name, script_meta_value(meta, i)))
            check(count_lines(name, &value) == 1);
    }
}

static void
check_length(void)
{
    struct req *req = &calls.scene->req;
    struct body_piece piece;
    struct str value;
    uint64_t announced = 0, len = 0;
    unsigned count = count_lines(STR("Content-Length"), &value);
    bool has_body = http_status_has_body(req->response.status);
    check(count <= 1 && (count || !has_body));
    if (count)
        check(str_to_u64(value, &announced));
    while (has_body && body_pull(&req->body, &piece) == BODY_PIECE)
        len += piece.len;
    if (has_body && req->head.method != HTTP_METHOD_HEAD)
        check(announced == len && req->response.body_len == len);
}

static void
keep_head(void)
{
    const struct response *response = &calls.scene->req.response;
    buf_clear(&fuzz.before);
    for (unsigned i = 0; i < response->block_count; i++)
        buf_append(&fuzz.before, response->blocks[i]);
}

static bool
head_is_kept(void)
{
    const struct response *response = &calls.scene->req.response;
    struct str rest = buf_str(&fuzz.before);
    for (unsigned i = 0; i < response->block_count; i++) {
        if (!str_starts_with(rest, response->blocks[i]))
            return false;
        rest = str_skip(rest, response->blocks[i].len);
    }
    return rest.len == 0;
}

/* --- phases --- */

/* Whether it ended well. */
static bool
run_script(void)
{
    struct script_frame *frame = &calls.scene->frame;
    calls.run = frame->run = bpf_run_new(calls.pool, 0, frame);
    check(calls.run);
    bool done = bpf_run_go(calls.run) == BPF_DONE;
    bpf_run_free(calls.run);
    calls.run = NULL;
    return done;
}

static void
run_hooks(void)
{
    struct script_task *task = &calls.scene->task;
    struct req *req = &calls.scene->req;
    bool changed = false;
    task->phase = SCRIPT_RESPONSE;
    keep_head();
    for (unsigned hooks = 0; hooks < 3; hooks++) {
        uint16_t status = req->response.status;
        script_response_save(task);
        if (run_script()) {
            changed = true;
            continue;
        }
        script_response_restore(task);
        check(req->response.status == status);
        if (!changed) {
            script_response_commit(task);
            check(head_is_kept());
        }
    }
    script_response_commit(task);
    check(arena_overflowed(&req->arena) || !task->response.fields_changed);
}

static void
make_request(void)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
        "HEAD /d HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /list?a=b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /list/ HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
        "GET /a.txt/ HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2,4-\r\n\r\n",
        "POST /d/e/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    };
    scene_set_head(calls.scene, heads[calls_byte() % 8]);
}

static void
one_request(void)
{
    struct script_task *task = &calls.scene->task;
    struct req *req = &calls.scene->req;
    make_request();
    task->phase = SCRIPT_REQUEST;
    fuzz.handle = (uint64_t)script_json_try_parse(&calls.scene->frame, STR("{\"a\":[1]}"));
    run_script();
    if (!script_answer_apply(task))
        req_static(req);
    if (arena_overflowed(&req->arena))
        return;
    check_blocks();
    script_response_apply_meta(task);
    if (arena_overflowed(&req->arena))
        return;
    check_blocks();
    check_meta();
    run_hooks();
    script_response_apply_meta(task);
    if (arena_overflowed(&req->arena))
        return;
    check_blocks();
    check_meta();
    check_length();
}

static void
set_up(void)
{
    static const struct req_filter_ops filter = {.lookup = script_answer_lookup};
    struct scene *scene = calls.scene;
    make_site();
    buf_init(&fuzz.before, 1 << 20);
    /* A function that hooks find. */
    calls.program->object.sections[0].name = STR("zeroserve.call.f");
    scene->script.program = calls.program;
    scene->task.view = &view;
    scene->pin.site = fuzz.site;
    scene->env.pin = scene->req.pin = &scene->pin;
    scene->env.filter = &filter;
    scene->req.filter_state = &scene->task;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    calls_init(&table);
    if (!fuzz.site)
        set_up();
    struct script_task *task = &calls.scene->task;
    struct req *req = &calls.scene->req;
    calls.at = data;
    calls.end = data + size;
    fuzz.text_at = 0;
    one_request();
    body_close(&req->body);
    req->response = (struct response){0};
    arena_reset(&req->arena);
    script_meta_clear(&task->meta);
    script_answer_clear(&task->answer);
    script_hooks_clear(&task->hooks);
    script_response_clear(&task->response);
    task->restarts = false;
    calls_reset();
    return 0;
}
