/* The request: its head is written and decoded like any other, and the loop turns until there is a
 * response. */
#include "base/limits.h"
#include "base/log.h"
#include "http/h1_head.h"
#include "io/loop.h"
#include "script/account.h"
#include "server/bpf_input.h"
#include "server/script_trial.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_LEN = 64 << 10 };

/* --- the request's bytes --- */

static bool
has_header(const struct options *options, struct str name)
{
    for (size_t i = 0; i < options->headers.count; i++) {
        struct str rest = str_from_cstr(options->headers.items[i]);
        if (str_ieq(str_cut(&rest, ':'), name))
            return true;
    }
    return false;
}

/* One word is the target. */
static void
write_request_line(struct buf *out, const char *request)
{
    bool has_method = strchr(request, ' ');
    buf_printf(out, "%s%s HTTP/1.1\r\n", has_method ? "" : "GET ", request);
}

static void
write_head(struct script_trial *trial)
{
    const struct options *options = &trial->options;
    struct buf *out = &trial->head;
    write_request_line(out, options->request);
    if (!has_header(options, STR("Host")))
        buf_append(out, STR("Host: localhost\r\n"));
    for (size_t i = 0; i < options->headers.count; i++)
        buf_printf(out, "%s\r\n", options->headers.items[i]);
    if (options->body)
        buf_printf(out, "Content-Length: %zu\r\n", trial->input.len);
    buf_append(out, STR("\r\n"));
}

static int
read_input(struct script_trial *trial, struct error *error)
{
    const char *body = trial->options.body;
    if (!body)
        return 0;
    if (body[0] == '@') {
        if (bpf_input_file(&trial->input, body + 1, error) != 0)
            return error_prefix(error, "--body: %s", bpf_input_name(body + 1));
        return 0;
    }
    buf_append(&trial->input, str_from_cstr(body));
    return buf_overflowed(&trial->input) ? error_set(error, "no memory for the body") : 0;
}

/* --- turns of the loop --- */

static struct script_trial *
trial_of(struct req *req)
{
    return (struct script_trial *)((char *)req - offsetof(struct script_trial, req));
}

static void
woken(struct req *req)
{
    loop_stop(trial_of(req)->loop);
}

static void
turn(struct script_trial *trial)
{
    loop_run(trial->loop, &(struct loop_hooks){0});
}

static void
feed(struct script_trial *trial)
{
    struct req *req = &trial->req;
    if (req->input.state != REQ_INPUT_WANTED || req->input.ended)
        return;
    req_input_data(req, buf_str(&trial->input));
    req_input_end(req);
}

/* From here to the response. */
static void
go(struct script_trial *trial)
{
    struct req *req = &trial->req;
    req->woken = woken;
    req_run(req);
    while (req->waits) {
        feed(trial);
        turn(trial);
    }
}

static uint64_t
thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- the body --- */

static bool
take_file_range(struct script_trial *trial, const struct body_piece *piece)
{
    uint64_t off = piece->off, end = piece->off + piece->len;
    while (off < end && !buf_overflowed(&trial->body)) {
        size_t len = end - off < PIECE_LEN ? (size_t)(end - off) : PIECE_LEN;
        char *room = buf_reserve(&trial->body, len);
        ssize_t got = room ? pread(piece->fd, room, len, (off_t)off) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (room && got <= 0)
            return false;
        buf_commit(&trial->body, (size_t)got);
        off += (uint64_t)got;
    }
    return true;
}

static void
take_body(struct script_trial *trial)
{
    struct body_piece piece;
    while (!buf_overflowed(&trial->body)) {
        switch (body_pull(&trial->req.body, &piece)) {
        case BODY_END:
            return;
        case BODY_FAILED:
            trial->body_failed = true;
            return;
        case BODY_PENDING:
            turn(trial);
            break;
        case BODY_PIECE:
            if (piece.mem.ptr)
                buf_append(&trial->body, piece.mem);
            else if (!take_file_range(trial, &piece)) {
                trial->body_failed = true;
                return;
            }
        }
    }
}

/* --- all of it --- */

static void
take_log_line(void *arg, struct str line)
{
    buf_append(arg, line);
}

static void
run(struct script_trial *trial)
{
    struct h1_head_decoder decoder;
    h1_head_decoder_init(&decoder, &trial->req.head, (uint32_t)trial->options.max_request_len);
    if (h1_head_decode(&decoder, trial->head.ptr, trial->head.len) != H1_DONE) {
        req_refuse(&trial->req, h1_error_status(decoder.error), h1_error_text(decoder.error));
        return;
    }
    uint64_t begun_ns = thread_cpu_ns();
    go(trial);
    trial->cpu_ns = thread_cpu_ns() - begun_ns;
}

int
script_trial_run(struct script_trial *trial, struct error *error)
{
    if (read_input(trial, error) != 0)
        return -1;
    write_head(trial);
    if (buf_overflowed(&trial->head))
        return error_set(error, "the request's head is longer than --max-request-size");
    log_set_sink(take_log_line, &trial->log);
    run(trial);
    if (!trial->req.aborted)
        take_body(trial);
    log_set_sink(NULL, NULL);
    trial->stop_count = script_account_stopped(script_set_shared(trial->set));
    return 0;
}
