/* timer: deadlines of one loop, in a heap.
 *
 * Timers move far more often than they fire: a connection's deadline goes forward with every
 * request. So moving one later only stores the new deadline; the heap learns of it when the old one
 * comes up. Moving one earlier costs O(log n). The heap's array grows with the number of armed
 * timers and never shrinks. Thread rule: the loop's thread only.
 */
#ifndef TARN_IO_TIMER_H
#define TARN_IO_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t deadline_ns; /* when it is to fire; 0: not at all */
    uint64_t key_ns;      /* when the heap will look at it; at most deadline_ns */
    uint32_t index;       /* place in the heap + 1; 0: not in it */
    void (*fire)(struct timer *timer);
};

struct timer_heap {
    struct timer **list;
    size_t count, cap;
};

void timer_heap_deinit(struct timer_heap *heap);

static inline void
timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
}

/* Arms a timer or moves it. deadline_ns > 0, on the loop's clock. Borrowed by the heap until
 * cleared or fired. */
void timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline_ns);

static inline void
timer_set(struct timer_heap *heap, struct timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    if (!timer->index || deadline_ns < timer->key_ns)
        timer_arm(heap, timer, deadline_ns);
}

/* Takes a timer out of the heap. Harmless when it is not in it. */
void timer_clear(struct timer_heap *heap, struct timer *timer);

/* Fires everything due at now_ns. A callback may arm and clear any timer, its own included. */
void timer_run(struct timer_heap *heap, uint64_t now_ns);

/* When timer_run has to be called next; UINT64_MAX: never. May be earlier than the first real
 * deadline. */
uint64_t timer_next_ns(const struct timer_heap *heap);

#endif
