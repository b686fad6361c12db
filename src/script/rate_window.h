/* rate_window: how many events there were in the window of a fixed length that ends now. Not for
 * other folders.
 *
 * A log of times would need as much memory as the limit is high. This one keeps RATE_WINDOW_GROUPS
 * groups of events, and of each group the time of its last event and how many they are:
 *
 *   - A group counts whole until its last event has left the window: at no moment has more than
 *     the limit been counted in the window (now - length, now].
 *   - With a limit of up to RATE_WINDOW_GROUPS each event is a group of its own: it leaves exactly
 *     one window after it happened.
 *   - With a higher limit a group takes what happens in a sixteenth of the window from its first
 *     event on: an event leaves at the earliest one window, at the latest one window and a
 *     sixteenth, after it happened.
 *   - Where a key is used with a low limit and then with a high one, all groups may be in use when
 *     the next event comes. It joins the newest, which then counts that much longer.
 *
 * Pure: the caller gives the time, which must not go back.
 */
#ifndef TARN_SCRIPT_RATE_WINDOW_H
#define TARN_SCRIPT_RATE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_WINDOW_GROUPS = 17, RATE_WINDOW_PARTS = 16 };

/* Zeroed memory is an empty one. A ring of groups. */
struct rate_window {
    uint64_t last_ns[RATE_WINDOW_GROUPS];
    uint32_t counts[RATE_WINDOW_GROUPS];
    uint32_t sum;             /* of all groups */
    uint64_t newest_first_ns; /* first event of the newest group */
    uint8_t oldest, group_count;
};

/* Whether one more is within the limit. A limit of UINT32_MAX or more is UINT32_MAX. */
bool rate_window_has_room(struct rate_window *window, uint64_t length_ns, uint64_t limit,
                          uint64_t now_ns);
/* Counts one. After rate_window_has_room has said so, with the same arguments. */
void rate_window_add(struct rate_window *window, uint64_t length_ns, uint64_t limit,
                     uint64_t now_ns);

#endif
