/* progress: one line on standard error, redrawn in place, that says how far a long job is.
 *
 * At most ten times a second, cut to the terminal's width. Drawing is the caller's thread only.
 */
#ifndef TARN_SITE_PROGRESS_H
#define TARN_SITE_PROGRESS_H

#include "base/buf.h"

struct progress {
    bool on;
    bool drawn;
    uint64_t last_ns;
};

struct progress_state {
    const char *verb; /* "compressing" */
    uint64_t done_len, total_len;
    uint64_t done_count, total_count;
    struct str name; /* what is worked on */
};

enum { PROGRESS_INTERVAL_MS = 100 };

/* `on` false: every call does nothing. */
void progress_init(struct progress *progress, bool on);
/* Draws, unless that was done a moment ago. */
void progress_draw(struct progress *progress, const struct progress_state *state);
/* For a line of another kind: whether it is time to draw one, and into how many columns; and
 * drawing it. */
bool progress_is_due(const struct progress *progress, unsigned *width);
void progress_show(struct progress *progress, struct str line);
/* Takes the line away. */
void progress_end(struct progress *progress);

/* The line for a terminal of `width` columns, without control sequences. Pure. */
void progress_render(struct buf *out, const struct progress_state *state, unsigned width);

#endif
