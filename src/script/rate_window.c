#include "script/rate_window.h"

#include <assert.h>

/* Why there is always a group free when the limit is high: groups begin at least a sixteenth apart
 * and count for less than 17 sixteenths from their beginning. When a new one begins, the others
 * that still count have begun within one window that ended a sixteenth ago: 16 at most. */
static_assert(RATE_WINDOW_GROUPS > RATE_WINDOW_PARTS, "one for each part, and the new one");

static void
forget(struct rate_window *window, uint64_t length_ns, uint64_t now_ns)
{
    while (window->group_count && now_ns - window->last_ns[window->oldest] >= length_ns) {
        window->sum -= window->counts[window->oldest];
        window->oldest = (uint8_t)((window->oldest + 1) % RATE_WINDOW_GROUPS);
        window->group_count--;
    }
}

bool
rate_window_has_room(struct rate_window *window, uint64_t length_ns, uint64_t limit,
                     uint64_t now_ns)
{
    forget(window, length_ns, now_ns);
    return window->sum < limit && window->sum < UINT32_MAX;
}

static bool
begins_group(const struct rate_window *window, uint64_t length_ns, uint64_t limit, uint64_t now_ns)
{
    if (window->group_count == 0)
        return true;
    if (window->group_count == RATE_WINDOW_GROUPS)
        return false;
    return limit <= RATE_WINDOW_GROUPS ||
           now_ns - window->newest_first_ns >= length_ns / RATE_WINDOW_PARTS;
}

void
rate_window_add(struct rate_window *window, uint64_t length_ns, uint64_t limit, uint64_t now_ns)
{
    if (begins_group(window, length_ns, limit, now_ns)) {
        unsigned at = (window->oldest + window->group_count) % RATE_WINDOW_GROUPS;
        window->group_count++;
        window->counts[at] = 0;
        window->newest_first_ns = now_ns;
    }
    unsigned newest = (window->oldest + window->group_count - 1u) % RATE_WINDOW_GROUPS;
    window->last_ns[newest] = now_ns;
    window->counts[newest]++;
    window->sum++;
}
