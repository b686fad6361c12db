/* layout: where things lie in a script's 32-bit address space.
 *
 *     0 .. 64 KiB        nothing, ever: null pointers and small offsets from them
 *     STACK_LOW .. TOP   the stack, BPF_FRAME_COUNT frames; r10 of the outermost function is TOP
 *     ARGS               what a caller gives by address (writable, cleared after the run)
 *     RO_BASE ..         constants: one shared mapping, read-only
 *     data_off ..        .data and .bss: private to a run, fresh in each
 *
 * Everything but RO_BASE and what follows is a constant of the translated code. A region is mapped
 * in whole pages: what lies behind its end in the last page reads as 0, in both engines.
 */
#ifndef TARN_BPF_LAYOUT_H
#define TARN_BPF_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BPF_REGION_ALIGN = 0x10000, /* at least the page size of any host */
    BPF_FRAME_LEN = 4096,
    BPF_FRAME_COUNT = 8, /* functions that are open at a time */
    BPF_STACK_LOW = 0x10000,
    BPF_STACK_TOP = BPF_STACK_LOW + BPF_FRAME_LEN * BPF_FRAME_COUNT,
    BPF_ARGS = BPF_STACK_TOP,
    BPF_ARGS_LEN = 4096,
    BPF_RO_BASE = 0x20000,
};

struct bpf_layout {
    uint32_t ro_len;   /* bytes of constants, at BPF_RO_BASE */
    uint32_t data_off; /* where .data begins; .bss follows it, aligned to 64 */
    uint32_t data_len; /* of .data */
    uint32_t bss_off, bss_len;
};

/* False when it does not fit into BPF_MEMORY_MAX (base/limits.h), so into the smallest cage. */
bool bpf_layout_init(struct bpf_layout *layout, uint64_t ro_len, uint64_t data_len,
                     uint64_t bss_len);

/* End of .data and .bss, not rounded to pages. */
static inline uint32_t
bpf_layout_end(const struct bpf_layout *layout)
{
    return layout->bss_off + layout->bss_len;
}

/* Length of the mapping that holds `len` bytes. */
uint32_t bpf_page_up(uint32_t len);

#endif
