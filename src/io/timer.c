#include "io/timer.h"

#include "base/must.h"

#include <stdlib.h>

enum { TIMER_HEAP_FIRST_CAP = 64 };

void
timer_heap_deinit(struct timer_heap *heap)
{
    free(heap->list);
    *heap = (struct timer_heap){0};
}

static void
heap_place(struct timer_heap *heap, size_t at, struct timer *timer)
{
    heap->list[at] = timer;
    timer->index = (uint32_t)at + 1;
}

static void
heap_up(struct timer_heap *heap, size_t at, struct timer *timer)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (heap->list[parent]->key_ns <= timer->key_ns)
            break;
        heap_place(heap, at, heap->list[parent]);
        at = parent;
    }
    heap_place(heap, at, timer);
}

static void
heap_down(struct timer_heap *heap, size_t at, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->list[child + 1]->key_ns < heap->list[child]->key_ns)
            child++;
        if (timer->key_ns <= heap->list[child]->key_ns)
            break;
        heap_place(heap, at, heap->list[child]);
        at = child;
    }
    heap_place(heap, at, timer);
}

void
timer_arm(struct timer_heap *heap, struct timer *timer, uint64_t deadline_ns)
{
    must(deadline_ns > 0);
    timer->deadline_ns = timer->key_ns = deadline_ns;
    if (timer->index) {
        heap_up(heap, timer->index - 1, timer);
        return;
    }
    if (heap->count == heap->cap) {
        size_t cap = heap->cap ? heap->cap * 2 : TIMER_HEAP_FIRST_CAP;
        struct timer **grown = realloc(heap->list, cap * sizeof *grown);
        must(grown);
        heap->list = grown;
        heap->cap = cap;
    }
    heap_up(heap, heap->count++, timer);
}

void
timer_clear(struct timer_heap *heap, struct timer *timer)
{
    timer->deadline_ns = 0;
    if (!timer->index)
        return;
    size_t at = timer->index - 1;
    timer->index = 0;
    struct timer *last = heap->list[--heap->count];
    if (last == timer)
        return;
    if (at > 0 && last->key_ns < heap->list[(at - 1) / 2]->key_ns)
        heap_up(heap, at, last);
    else
        heap_down(heap, at, last);
}

void
timer_run(struct timer_heap *heap, uint64_t now_ns)
{
    while (heap->count && heap->list[0]->key_ns <= now_ns) {
        struct timer *timer = heap->list[0];
        if (timer->deadline_ns > now_ns) {
            timer->key_ns = timer->deadline_ns;
            heap_down(heap, 0, timer);
            continue;
        }
        timer_clear(heap, timer);
        timer->fire(timer);
    }
}

uint64_t
timer_next_ns(const struct timer_heap *heap)
{
    return heap->count ? heap->list[0]->key_ns : UINT64_MAX;
}
