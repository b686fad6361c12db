#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 2048 };

static enum log_level log_level = LOG_INFO;
static _Thread_local log_sink thread_sink;
static _Thread_local void *thread_sink_arg;

void
log_set_level(enum log_level level)
{
    log_level = level;
}

void
log_set_sink(log_sink sink, void *arg)
{
    thread_sink = sink;
    thread_sink_arg = arg;
}

/* All but `kept`. */
static void
hide_control(char *line, size_t len, char kept)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)line[i] < 0x20 && line[i] != kept) || line[i] == 0x7f)
            line[i] = '?';
}

/* `line` has room for one byte more. */
static void
put_line(char *line, size_t len)
{
    line[len++] = '\n';
    if (thread_sink) {
        thread_sink(thread_sink_arg, str_make(line, len));
        return;
    }
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
        continue;
}

void
log_line(enum log_level level, const char *format, ...)
{
    static const char *const prefix[] = {"debug: ", "", "warning: ", "error: "};
    char line[LOG_LINE_MAX];
    if (level < log_level)
        return;
    int head = snprintf(line, sizeof line, "tarn: %s", prefix[level]);
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    if (body < 0)
        return;
    size_t len = (size_t)head + (size_t)body;
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    hide_control(line, len, 0x7f /* none */);
    put_line(line, len);
}

void
log_text(struct str text)
{
    char line[LOG_LINE_MAX];
    while (text.len) {
        struct str rest = str_cut(&text, '\n');
        do {
            struct str piece = str_first(rest, sizeof line - 1);
            memcpy(line, piece.ptr, piece.len);
            hide_control(line, piece.len, '\t');
            put_line(line, piece.len);
            rest = str_skip(rest, piece.len);
        } while (rest.len);
    }
}
