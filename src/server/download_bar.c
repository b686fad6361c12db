#include "server/download_bar.h"

#include "server/cli_text.h"
#include "server/size_text.h"

#include <inttypes.h>

enum { BAR_WIDTH = 24, LINE_MAX_LEN = 4096, NAME_ROOM_MIN = 8 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

void
download_bar_init(struct download_bar *bar, bool on, struct str name, uint64_t now_ns)
{
    *bar = (struct download_bar){.name = name, .start_ns = now_ns};
    progress_init(&bar->progress, on);
}

/* --- speed --- */

void
download_bar_sample(struct download_bar *bar, uint64_t done_len, uint64_t now_ns)
{
    unsigned last = (bar->sample_count - 1) % DOWNLOAD_BAR_SAMPLES;
    if (bar->sample_count && now_ns - bar->samples[last].ns < DOWNLOAD_BAR_SAMPLE_MS * MS)
        return;
    unsigned next = bar->sample_count++ % DOWNLOAD_BAR_SAMPLES;
    bar->samples[next].ns = now_ns;
    bar->samples[next].len = done_len;
}

uint64_t
download_bar_speed(const struct download_bar *bar)
{
    unsigned count = bar->sample_count;
    if (count < 2)
        return 0;
    unsigned last = (count - 1) % DOWNLOAD_BAR_SAMPLES;
    unsigned first = count <= DOWNLOAD_BAR_SAMPLES ? 0 : count % DOWNLOAD_BAR_SAMPLES;
    uint64_t len = bar->samples[last].len - bar->samples[first].len;
    uint64_t ns = bar->samples[last].ns - bar->samples[first].ns;
    return (uint64_t)((double)len * SECOND / (double)ns);
}

/* --- the line --- */

/* "0:07", "12:30", "3:00:00" */
static void
append_time(struct buf *out, uint64_t seconds)
{
    if (seconds >= 3600)
        buf_printf(out, "%" PRIu64 ":%02u:%02u", seconds / 3600, (unsigned)(seconds / 60 % 60),
                   (unsigned)(seconds % 60));
    else
        buf_printf(out, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

/* A bar and a percentage; only what is complete is 100 %. `bar_width` 0: no bar. */
static void
append_done(struct buf *out, const struct download_bar_state *state, unsigned bar_width)
{
    uint64_t done = state->done_len, total = state->total_len;
    if (!state->has_total)
        return;
    unsigned percent = done >= total ? 100 : (unsigned)((double)done * 100 / (double)total);
    percent = done < total && percent > 99 ? 99 : percent;
    for (unsigned i = 0; i < bar_width; i++)
        buf_printf(out, "%s%c", i ? "" : "[", i < percent * bar_width / 100 ? '#' : '.');
    buf_printf(out, "%s%3u%%  ", bar_width ? "] " : "", percent);
}

static void
append_figures(struct buf *out, const struct download_bar *bar,
               const struct download_bar_state *state, uint64_t elapsed_s)
{
    char done[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];
    uint64_t per_s = download_bar_speed(bar);
    buf_append(out, str_from_cstr(size_text(done, state->done_len)));
    if (state->has_total)
        buf_printf(out, " of %s", size_text(total, state->total_len));
    buf_printf(out, "  %s/s", size_text(speed, per_s));
    if (!state->has_total) {
        buf_append(out, STR("  "));
        append_time(out, elapsed_s);
    } else if (per_s && state->done_len < state->total_len) {
        buf_append(out, STR("  "));
        append_time(out, (state->total_len - state->done_len + per_s - 1) / per_s);
        buf_append(out, STR(" left"));
    } else if (bar->sample_count > 1 && state->done_len < state->total_len) {
        buf_append(out, STR("  stalled"));
    }
}

void
download_bar_render(struct buf *out, const struct download_bar *bar,
                    const struct download_bar_state *state, uint64_t now_ns, unsigned width)
{
    size_t start = out->len;
    uint64_t elapsed_s = (now_ns - bar->start_ns) / SECOND;
    if (state->waits) {
        buf_append(out, STR("waiting for the cache  "));
        append_time(out, elapsed_s);
    } else {
        append_done(out, state, BAR_WIDTH);
        append_figures(out, bar, state, elapsed_s);
        if (out->len - start > width && !buf_overflowed(out)) { /* figures say more */
            out->len = start;
            append_done(out, state, 0);
            append_figures(out, bar, state, elapsed_s);
        }
    }
    size_t used = out->len - start;
    if (buf_overflowed(out))
        return;
    if (used > width) {
        out->len = start + width;
    } else if (used + 2 + NAME_ROOM_MIN <= width) {
        buf_append(out, STR("  "));
        cli_text_append_fitted(out, bar->name, width - (unsigned)used - 2);
    }
}

void
download_bar_draw(struct download_bar *bar, const struct download_bar_state *state, uint64_t now_ns)
{
    struct buf line;
    unsigned width;
    if (!state->waits)
        download_bar_sample(bar, state->done_len, now_ns);
    if (!progress_is_due(&bar->progress, &width))
        return;
    buf_init(&line, LINE_MAX_LEN);
    download_bar_render(&line, bar, state, now_ns, width);
    if (!buf_overflowed(&line))
        progress_show(&bar->progress, buf_str(&line));
    buf_deinit(&line);
}

void
download_bar_end(struct download_bar *bar)
{
    progress_end(&bar->progress);
}
