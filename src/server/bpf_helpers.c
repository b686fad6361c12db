#include "server/bpf_helpers.h"

#include "base/log.h"

#include <time.h>

enum { UNWIND = 5 };

void
bpf_log_flush(struct bpf_log *log)
{
    if (log->len)
        log_info("script: %.*s", (int)log->len, log->text);
    log->len = 0;
}

static void
log_char(struct bpf_log *log, char c)
{
    if (c == '\n') {
        bpf_log_flush(log);
        return;
    }
    log->text[log->len++] = c;
    if (log->len == sizeof log->text)
        bpf_log_flush(log);
}

/* zs_log(message, len) */
static uint64_t
helper_log(uint64_t message, uint64_t len, uint64_t r3, uint64_t r4, uint64_t r5,
           struct bpf_run *run)
{
    struct str text = bpf_view(run, message, len);
    for (size_t i = 0; i < text.len; i++)
        log_char(bpf_user(run), text.ptr[i]);
    return 0;
}

/* zs_memcpy(to, from, len) */
static uint64_t
helper_memcpy(uint64_t to, uint64_t from, uint64_t len, uint64_t r4, uint64_t r5,
              struct bpf_run *run)
{
    struct str source = bpf_view(run, from, len);
    char *target = bpf_view_writable(run, to, len);
    bpf_views_apart(run, target, len, source.ptr, len);
    memcpy(target, source.ptr, len);
    return to;
}

/* zs_memset(to, byte, len) */
static uint64_t
helper_memset(uint64_t to, uint64_t byte, uint64_t len, uint64_t r4, uint64_t r5,
              struct bpf_run *run)
{
    memset(bpf_view_writable(run, to, len), (int)(byte & 0xff), len);
    return to;
}

/* zs_memcmp(a, b, len): the first difference, of the bytes as unsigned numbers */
static uint64_t
helper_memcmp(uint64_t a, uint64_t b, uint64_t len, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct str left = bpf_view(run, a, len), right = bpf_view(run, b, len);
    for (size_t i = 0; i < left.len; i++)
        if (left.ptr[i] != right.ptr[i])
            return (uint64_t)((unsigned char)left.ptr[i] - (unsigned char)right.ptr[i]);
    return 0;
}

/* zs_now_ms() */
static uint64_t
helper_now_ms(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* unwind(value) */
static uint64_t
helper_unwind(uint64_t value, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
              struct bpf_run *run)
{
    if (value == 0)
        bpf_end(run, 0);
    return value;
}

static const struct bpf_helper helpers[] = {
    {"zs_log", helper_log},       {"zs_memcpy", helper_memcpy},
    {"zs_memset", helper_memset}, {"zs_memcmp", helper_memcmp},
    {"zs_now_ms", helper_now_ms}, [UNWIND] = {"unwind", helper_unwind},
    {"memcpy", helper_memcpy},    {"memset", helper_memset},
    {"memcmp", helper_memcmp},
};

const struct bpf_helper_table bpf_tool_helpers = {helpers, sizeof helpers / sizeof helpers[0]};
