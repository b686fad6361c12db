/* h2_flood: how much of each cheap frame an HTTP/2 peer may send per time.
 *
 * Received bytes are watched before nghttp2 gets them, because it tells nobody of frames that it
 * skips: those of unknown types, and DATA of closed streams. Only the nine bytes of each frame head
 * are read (RFC 9113 section 4.1).
 *
 * One frame that costs the sender nothing makes the receiver work: resets of streams that were just
 * opened, SETTINGS and PING that want an answer, priorities, empty DATA, types that nobody knows.
 * Each kind has an allowance that refills with time: so many at once, then so many a second. Over
 * it the connection ends with GOAWAY ENHANCE_YOUR_CALM.
 *
 * An allowance is one number (the generic cell rate algorithm): the time at which it would be full
 * again. Pure but for the table; the owner gives the time. Thread rule: one owner.
 */
#ifndef TARN_CONN_H2_FLOOD_H
#define TARN_CONN_H2_FLOOD_H

#include "base/error.h"
#include "base/str.h"

/* Enum name, name in metrics and in GOAWAY, how many at once, how many a second. */
#define H2_FLOOD_TABLE(X)                                                                      \
    X(RESET, "reset", 256, 32) /* RST_STREAM, and what makes us send one */                    \
    X(SETTINGS, "settings", 32, 2)                                                             \
    X(PING, "ping", 128, 16)                                                                   \
    X(PRIORITY, "priority", 512, 64)            /* both kinds; H2_REQUEST_FRAMES */            \
    X(UNKNOWN, "unknown", 256, 32)              /* H2_REQUEST_FRAMES; browsers send some */    \
    X(EMPTY_DATA, "empty_data", 64, 8)          /* not the end of a stream */                  \
    X(WINDOW_UPDATE, "window_update", 2048, 64) /* and H2_WINDOW_UPDATES for each DATA sent */ \
    X(GOAWAY, "goaway", 8, 1)                                                                  \
    X(CONTINUATION, "continuation", 0, 0) /* a header block in too many; nghttp2 counts */     \
    X(QUEUE, "queue", 0, 0)               /* answers waiting, unread; nghttp2 counts them */

enum h2_flood_kind {
#define X(name, text, burst, per_second) H2_FLOOD_##name,
    H2_FLOOD_TABLE(X)
#undef X
        H2_FLOOD_KIND_COUNT
};

enum {
    H2_WINDOW_UPDATES = 4,
    H2_REQUEST_FRAMES = 2, /* of these kinds, given back for each HEADERS received */
    H2_FRAME_HEAD_LEN = 9,
};

struct h2_flood {
    uint64_t full_ns[H2_FLOOD_KIND_COUNT];
    uint32_t skip_len; /* bytes before the next frame head */
    uint8_t head_len;  /* of it, what has come */
    uint8_t head[H2_FRAME_HEAD_LEN];
};

/* Every allowance is full; the first bytes to come are the client's preface. */
void h2_flood_init(struct h2_flood *flood);

/* Counts the frames that begin in the bytes received next. Returns how many of the bytes are within
 * the allowances: all of them, or those before a frame too many, its kind in *kind. */
size_t h2_flood_watch(struct h2_flood *flood, struct str bytes, uint64_t now_ns,
                      enum h2_flood_kind *kind) MUST_USE;

const char *h2_flood_name(enum h2_flood_kind kind);

/* Takes one from the allowance. False: there is none left. */
bool h2_flood_allows(struct h2_flood *flood, enum h2_flood_kind kind, uint64_t now_ns);

/* Gives `count` back. */
void h2_flood_credit(struct h2_flood *flood, enum h2_flood_kind kind, unsigned count);

#endif
