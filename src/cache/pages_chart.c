#include "cache/pages_chart.h"

#include "cache/pages_html.h"

#include <stdio.h>
#include <time.h>

/* A chart is two SVGs side by side: the scale, of a fixed width, and the plot, whose places across
 * are percentages, so that bars follow the width of the screen while text keeps its size.
 */

enum { PLOT_HEIGHT = 150, PLOT_TOP = 10, SVG_HEIGHT = 186, LABEL_Y = 179 };

struct scale {
    uint64_t max;  /* at the upper end */
    uint64_t unit; /* of the text: 1, 1000, ... or 1024 ... */
    const char *suffix;
};

/* --- the scale --- */

/* The least round number that nothing exceeds, whose half is round too. */
static struct scale
scale_of(uint64_t value, bool is_bytes)
{
    static const uint16_t steps[] = {2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 800};
    static const char *const bytes[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    static const char *const counts[] = {"", "k", "M", "G", "T", "P"};
    struct scale scale = {.unit = 1};
    if (is_bytes && value < 1 << 20)
        value = 1 << 20;
    for (unsigned power = 0; power < 6; power++, scale.unit *= is_bytes ? 1024 : 1000) {
        scale.suffix = is_bytes ? bytes[power] : counts[power];
        for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
            scale.max = steps[i] * scale.unit;
            if (scale.max >= value)
                return scale;
        }
    }
    scale.unit /= is_bytes ? 1024 : 1000;
    scale.max = value;
    return scale;
}

static double
height_of(const struct scale *scale, uint64_t value)
{
    double height = (double)value / (double)scale->max * PLOT_HEIGHT;
    return value && height < 1.5 ? 1.5 : height;
}

static void
append_scale(struct buf *out, const struct scale *scale, bool is_bytes)
{
    buf_printf(out, "<svg class=\"scale%s\" height=\"%d\" aria-hidden=\"true\">",
               is_bytes ? " bytes" : "", SVG_HEIGHT);
    for (unsigned i = 0; i < 3; i++)
        buf_printf(out, "<text x=\"100%%\" y=\"%u\">%llu%s</text>",
                   PLOT_TOP + 4 + i * PLOT_HEIGHT / 2,
                   (unsigned long long)(scale->max / 2 * (2 - i) / scale->unit),
                   i == 2 ? "" : scale->suffix);
    buf_append(out, STR("</svg>"));
}

/* --- times --- */

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static struct tm
split_time(int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm = {0};
    gmtime_r(&time, &tm);
    return tm;
}

void
chart_append_period(struct buf *out, int64_t start_s, bool by_day)
{
    struct tm tm = split_time(start_s);
    buf_printf(out, "%s %d %s", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon]);
    if (!by_day)
        buf_printf(out, ", %02d:00", tm.tm_hour);
}

/* What stands below a bar; most have nothing. */
static void
append_label(struct buf *out, const struct chart *chart, unsigned at, double middle)
{
    struct tm tm = split_time(chart->periods[at].start_s);
    char text[32];
    bool is_minor = false;
    if (chart->by_day) {
        if (tm.tm_wday != 1)
            return;
        snprintf(text, sizeof text, "%d %s", tm.tm_mday, months[tm.tm_mon]);
    } else {
        if (tm.tm_hour % 6 != 0)
            return;
        is_minor = tm.tm_hour % 12 != 0;
        if (tm.tm_hour == 0)
            snprintf(text, sizeof text, "%s %d", days[tm.tm_wday], tm.tm_mday);
        else
            snprintf(text, sizeof text, "%02d:00", tm.tm_hour);
    }
    buf_printf(out, "<text%s x=\"%.2f%%\" y=\"%d\">%s</text>", is_minor ? " class=\"minor\"" : "",
               middle, LABEL_Y, text);
}

/* --- the plot --- */

static void
append_bar(struct buf *out, const char *class, double x, double width, double bottom, double height)
{
    if (height > 0)
        buf_printf(out,
                   "<rect class=\"%s\" x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"%.1f\"/>",
                   class, x, PLOT_TOP + PLOT_HEIGHT - bottom - height, width, height);
}

static void
append_value(struct buf *out, const struct chart *chart, uint64_t value)
{
    if (chart->is_bytes)
        html_append_size(out, value);
    else
        html_append_count(out, value);
}

static void
append_column(struct buf *out, const struct chart *chart, const struct scale *scale, unsigned at)
{
    const struct index_period *period = &chart->periods[at];
    double width = 100.0 / chart->count, x = at * width;
    uint64_t front = period->totals.values[chart->front], back = period->totals.values[chart->back];
    double front_height = height_of(scale, front), back_height = height_of(scale, back);
    buf_append(out, STR("<g><title>"));
    chart_append_period(out, period->start_s, chart->by_day);
    buf_append(out, STR("\n"));
    append_value(out, chart, back);
    buf_printf(out, " %s\n", chart->back_text);
    append_value(out, chart, front);
    buf_printf(out, " %s</title>", chart->front_text);
    append_bar(out, "at", x, width, 0, PLOT_HEIGHT);
    if (chart->is_part) { /* the rest of the back stands on the front */
        double rest = back > front ? back_height - front_height : 0;
        append_bar(out, "up", x + width * 0.12, width * 0.76, front_height, rest);
        append_bar(out, "own", x + width * 0.12, width * 0.76, 0, front_height);
    } else {
        append_bar(out, "own", x + width * 0.12, width * 0.44, 0, back_height);
        append_bar(out, "up", x + width * 0.56, width * 0.32, 0, front_height);
    }
    buf_append(out, STR("</g>"));
    append_label(out, chart, at, x + width / 2);
}

static void
append_lines(struct buf *out)
{
    for (unsigned i = 0; i < 3; i++)
        buf_printf(out, "<line x2=\"100%%\" y1=\"%u\" y2=\"%u\"/>", PLOT_TOP + i * PLOT_HEIGHT / 2,
                   PLOT_TOP + i * PLOT_HEIGHT / 2);
}

static uint64_t
largest(const struct chart *chart)
{
    uint64_t max = 0;
    for (unsigned i = 0; i < chart->count; i++) {
        const uint64_t *values = chart->periods[i].totals.values;
        max = values[chart->front] > max ? values[chart->front] : max;
        max = values[chart->back] > max ? values[chart->back] : max;
    }
    return max;
}

void
chart_append(struct buf *out, const struct chart *chart)
{
    uint64_t max = largest(chart);
    struct scale scale = scale_of(max, chart->is_bytes);
    buf_printf(out,
               "<figure class=\"card chart\"><figcaption><b>%s</b><span class=\"key own\">%s</span>"
               "<span class=\"key up\">%s</span></figcaption>\n<div>",
               chart->title, chart->own_key, chart->up_key);
    append_scale(out, &scale, chart->is_bytes);
    buf_printf(out,
               "<svg class=\"plot\" height=\"%d\" role=\"img\" aria-label=\"%s; the same figures "
               "are in the table below\">",
               SVG_HEIGHT, chart->title);
    append_lines(out);
    for (unsigned i = 0; i < chart->count; i++)
        append_column(out, chart, &scale, i);
    if (max == 0)
        buf_printf(out, "<text class=\"none\" x=\"50%%\" y=\"%d\">Nothing yet</text>",
                   PLOT_TOP + PLOT_HEIGHT / 2 - 8);
    buf_append(out, STR("</svg></div></figure>\n"));
}
