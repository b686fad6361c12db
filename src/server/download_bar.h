/* download_bar: how far one download is, as a line for a terminal. Drawing it is site/progress.h's.
 */
#ifndef TARN_SERVER_DOWNLOAD_BAR_H
#define TARN_SERVER_DOWNLOAD_BAR_H

#include "base/buf.h"
#include "site/progress.h"

enum { DOWNLOAD_BAR_SAMPLES = 32 };

/* The speed is that of the last samples, which are DOWNLOAD_BAR_SAMPLE_MS apart at least. */
enum { DOWNLOAD_BAR_SAMPLE_MS = 100 };

struct download_bar {
    struct progress progress;
    struct str name; /* of what is downloaded; borrowed; printed as far as it is printable */
    uint64_t start_ns;
    struct {
        uint64_t ns, len;
    } samples[DOWNLOAD_BAR_SAMPLES];
    unsigned sample_count; /* that ever were */
};

struct download_bar_state {
    bool waits; /* for the answer to begin */
    uint64_t done_len;
    bool has_total;
    uint64_t total_len;
};

/* `on` false: nothing is ever drawn. */
void download_bar_init(struct download_bar *bar, bool on, struct str name, uint64_t now_ns);
void download_bar_draw(struct download_bar *bar, const struct download_bar_state *state,
                       uint64_t now_ns);
void download_bar_end(struct download_bar *bar);

/* Bytes a second lately; 0 also when nobody knows yet. Pure. */
uint64_t download_bar_speed(const struct download_bar *bar);
/* Takes a sample, unless the last one is new. Pure. */
void download_bar_sample(struct download_bar *bar, uint64_t done_len, uint64_t now_ns);
/* The line, at most `width` columns. Pure. */
void download_bar_render(struct buf *out, const struct download_bar *bar,
                         const struct download_bar_state *state, uint64_t now_ns, unsigned width);

#endif
