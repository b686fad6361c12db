/* cage: the address space of a slot, and what is mapped in it.
 *
 * One reservation of address space holds, from low to high:
 *
 *     guard | native stack | struct bpf_run | guard 64 KiB | cage | guard 64 KiB
 *                          ^ base - BPF_RUN_BACK          ^ base
 *
 * The cage is 4 GiB, or, where so much address space cannot be had, the power of two
 * BPF_CAGE_SMALL_LEN. A script's access is at base + (address & mask) + displacement, where the
 * mask is the cage's length - 1 (for 4 GiB: the lower 32 bits) and the displacement is 16 bits,
 * signed. So the furthest byte that it can name is inside a guard, which is never mapped.
 *
 * Threads: a cage is one thread's; bpf_cage_len and the image may be used on any.
 */
#ifndef TARN_BPF_CAGE_H
#define TARN_BPF_CAGE_H

#include "base/error.h"
#include "bpf/layout.h"

#include <stdatomic.h>
#include <stdint.h>

#define BPF_CAGE_LEN ((uint64_t)1 << 32)
#define BPF_CAGE_SMALL_LEN ((uint64_t)1 << 24)
enum {
    BPF_CAGE_GUARD = 0x10000,
    BPF_RUN_LEN = 0x10000,                       /* of the mapping that holds struct bpf_run */
    BPF_RUN_BACK = BPF_CAGE_GUARD + BPF_RUN_LEN, /* from base back to struct bpf_run */
    BPF_DATA_COPY_MAX = 0x10000, /* .data and .bss up to this are copied anew, longer ones mapped */
};

/* Length of all cages of this process, decided on the first call: BPF_CAGE_LEN where enough of them
 * can be reserved, else BPF_CAGE_SMALL_LEN. */
extern _Atomic uint64_t bpf_cage_len_decided; /* 0: not yet */
uint64_t bpf_cage_len_decide(void);
static inline uint64_t
bpf_cage_len(void)
{
    uint64_t len = atomic_load_explicit(&bpf_cage_len_decided, memory_order_relaxed);
    return len ? len : bpf_cage_len_decide();
}
/* For tests, before anything else: the small one. */
void bpf_cage_set_small(void);

/* What all slots of a program map: its constants, and .data where that is mapped, in a sealed
 * memory file; *fd -1 where there is neither. `ro` and `data` are layout->ro_len and data_len
 * bytes. -1 with a line. */
int bpf_cage_image_new(int *fd, const struct bpf_layout *layout, const char *ro, const char *data,
                       struct error *error) MUST_USE;

struct bpf_cage {
    char *base;
    /* What is mapped of stack and arguments: at first the stack's highest page, the rest, of each
     * as one piece, when it is first used. */
    uint32_t stack_open; /* the lowest address */
    uint32_t args_open;  /* the end: where the arguments begin, or bpf_cage_args_end */
};

/* Reserves and maps a cage with its native stack and an empty struct bpf_run. Data is as
 * bpf_cage_reset_data leaves it. `image` is one of bpf_cage_image_new. -1: errno. */
int bpf_cage_map(struct bpf_cage *cage, const struct bpf_layout *layout, const char *data,
                 int image) MUST_USE;
void bpf_cage_unmap(struct bpf_cage *cage);
/* .data and .bss are as at the start of a run. */
void bpf_cage_reset_data(struct bpf_cage *cage, const struct bpf_layout *layout, const char *data);
/* Makes the stack usable from `addr`, which is in it, on. Async-signal-safe. False: the system has
 * no memory for it. */
bool bpf_cage_open_stack(struct bpf_cage *cage, uint32_t addr);
/* The same for the arguments. */
bool bpf_cage_open_args(struct bpf_cage *cage);

/* Whether a host address is one that a script of this cage can name, mapped or not. */
static inline bool
bpf_cage_window(const struct bpf_cage *cage, uint64_t address)
{
    uint64_t low = (uint64_t)(uintptr_t)cage->base - BPF_CAGE_GUARD;
    return address - low < bpf_cage_len() + 2 * BPF_CAGE_GUARD;
}

/* End of what can be mapped of stack and arguments. */
static inline uint32_t
bpf_cage_args_end(void)
{
    return BPF_STACK_LOW + bpf_page_up(BPF_ARGS + BPF_ARGS_LEN - BPF_STACK_LOW);
}

static inline char *
bpf_cage_native_stack_top(const struct bpf_cage *cage)
{
    return cage->base - BPF_RUN_BACK;
}

#endif
