#include "site/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, DEFAULT_WIDTH = 80, LINE_MAX_LEN = 4096, NAME_ROOM_MIN = 8 };

void
progress_init(struct progress *progress, bool on)
{
    *progress = (struct progress){.on = on};
}

static unsigned
percent_of(const struct progress_state *state)
{
    /* Many empty files have no length: then the count must do. */
    uint64_t done = state->total_len ? state->done_len : state->done_count;
    uint64_t total = state->total_len ? state->total_len : state->total_count;
    if (total == 0 || done >= total)
        return 100;
    return (unsigned)((double)done * 100 / (double)total);
}

/* The front part of a name that fills at most `width` columns, one for each character. */
static struct str
cut_to_width(struct str name, size_t width)
{
    size_t columns = 0, len = 0;
    while (len < name.len) {
        bool begins = ((unsigned char)name.ptr[len] & 0xc0) != 0x80;
        if (begins && columns++ == width)
            break;
        len++;
    }
    return str_first(name, len);
}

static void
append_printable(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        buf_append_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

void
progress_render(struct buf *out, const struct progress_state *state, unsigned width)
{
    unsigned percent = percent_of(state);
    unsigned full = percent * BAR_WIDTH / 100;
    size_t start = out->len;
    buf_append_char(out, '[');
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        buf_append_char(out, i < full ? '#' : '.');
    buf_printf(out, "] %3u%%  %s %" PRIu64 "/%" PRIu64, percent, state->verb, state->done_count,
               state->total_count);
    size_t used = out->len - start;
    if (used >= width && !buf_overflowed(out)) {
        out->len = start + width; /* all of this is ASCII */
    } else if (used + 2 + NAME_ROOM_MIN <= width) {
        buf_append(out, STR("  "));
        append_printable(out, cut_to_width(state->name, width - used - 2));
    }
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned
terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_WIDTH;
    return size.ws_col;
}

static void
show(struct str line)
{
    while (write(STDERR_FILENO, line.ptr, line.len) < 0 && errno == EINTR)
        continue;
}

bool
progress_is_due(const struct progress *progress, unsigned *width)
{
    if (!progress->on ||
        (progress->drawn && now_ns() - progress->last_ns < PROGRESS_INTERVAL_MS * 1000000u))
        return false;
    /* The last column stays free: some terminals would wrap. */
    *width = terminal_width() - 1;
    return true;
}

void
progress_show(struct progress *progress, struct str text)
{
    struct buf line;
    buf_init(&line, LINE_MAX_LEN);
    buf_append(&line, STR("\r"));
    buf_append(&line, text);
    buf_append(&line, STR("\x1b[K"));
    if (!buf_overflowed(&line))
        show(buf_str(&line));
    buf_deinit(&line);
    progress->drawn = true;
    progress->last_ns = now_ns();
}

void
progress_draw(struct progress *progress, const struct progress_state *state)
{
    struct buf line;
    unsigned width;
    if (!progress_is_due(progress, &width))
        return;
    buf_init(&line, LINE_MAX_LEN);
    progress_render(&line, state, width);
    if (!buf_overflowed(&line))
        progress_show(progress, buf_str(&line));
    buf_deinit(&line);
}

void
progress_end(struct progress *progress)
{
    if (progress->drawn)
        show(STR("\r\x1b[K"));
    progress->drawn = false;
}
