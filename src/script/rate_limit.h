/* rate_limit: how often something may happen for a key, per second, minute and hour. Not for other
 * folders.
 *
 * Shared by all threads of the process and kept over reloads. No window has an edge: at no moment
 * has more than the limit been allowed in the window that ends there. As many as the limit says may
 * come at once; each place is free again one window after it was taken, with limits above 17 up to
 * a sixteenth of the window later (rate_window.h). Bounds: as many keys as configured, about 1 KiB
 * each; a key that allows everything again counts no more.
 */
#ifndef TARN_SCRIPT_RATE_LIMIT_H
#define TARN_SCRIPT_RATE_LIMIT_H

#include "base/str.h"

struct rate_limit;

enum rate_limit_result {
    RATE_LIMIT_ALLOWED,
    RATE_LIMIT_SECOND, /* which window is exceeded; the shortest first */
    RATE_LIMIT_MINUTE,
    RATE_LIMIT_HOUR,
    RATE_LIMIT_KEYS, /* too many keys, or no memory for one more */
};

enum { RATE_LIMIT_WINDOWS = 3 };

/* NULL: no memory. */
struct rate_limit *rate_limit_new(uint32_t keys_max);
void rate_limit_free(struct rate_limit *limit);

/* A limit of 0 is none; only windows with one count what happens. key: 1 to SCRIPT_RATE_KEY_MAX
 * bytes. now_ns: a monotonic clock; threads may be a little apart. What is not allowed is not
 * counted. Any thread. */
enum rate_limit_result rate_limit_take(struct rate_limit *limit, struct str key,
                                       const uint64_t per_window[RATE_LIMIT_WINDOWS],
                                       uint64_t now_ns);

/* Keys that are held, with those that count no more and whose place nobody has needed yet. */
uint32_t rate_limit_key_count(struct rate_limit *limit);

#endif
