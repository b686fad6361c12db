/* pages_chart: bar charts of two series over hours or days, as inline SVG. Pure. Colours and sizes
 * of text are the style's; all text here is our own.
 */
#ifndef TARN_CACHE_PAGES_CHART_H
#define TARN_CACHE_PAGES_CHART_H

#include "base/buf.h"
#include "cache/index.h"

struct chart {
    const char *title;
    bool is_bytes;
    bool by_day;
    bool is_part; /* the front series is part of the back one: drawn on top of each other */
    enum cache_total back, front;
    const char *back_text, *front_text; /* behind a value: "requests" */
    const char *own_key, *up_key;       /* what the colours mean */
    const struct index_period *periods;
    unsigned count;
};

void chart_append(struct buf *out, const struct chart *chart);
/* "Fri 21 Nov, 14:00", "Fri 21 Nov"; UTC. */
void chart_append_period(struct buf *out, int64_t start_s, bool by_day);

#endif
