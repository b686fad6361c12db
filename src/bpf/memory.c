#include "bpf/run_internal.h"

/* What a script can name is what its cage has mapped, so that looking an address up here and an
 * access by machine code come to the same. Regions are mapped in whole pages; the stack and the
 * arguments behind it are one piece. Where two regions touch, memory goes on from one to the next.
 *
 * Nearly all accesses are to the stack, or well inside of data and constants: those are found
 * without asking for the size of a page.
 */
enum { STACK_AND_ARGS_LEN = BPF_ARGS + BPF_ARGS_LEN - BPF_STACK_LOW };
static_assert(BPF_ARGS == BPF_STACK_TOP, "one piece");

struct region {
    uint64_t start, len;
    bool writable;
};

static inline bool
is_within(uint64_t addr, uint64_t len, uint64_t start, uint64_t region_len)
{
    uint64_t at = addr - start; /* below the start: more than a region is long */
    return at < region_len && len <= region_len - at;
}

static inline bool
is_mapped_surely(const struct bpf_layout *layout, uint64_t addr, uint64_t len, bool write)
{
    uint32_t data_len = bpf_layout_end(layout) - layout->data_off;
    return is_within(addr, len, BPF_STACK_LOW, STACK_AND_ARGS_LEN) ||
           is_within(addr, len, layout->data_off, data_len) ||
           (!write && is_within(addr, len, BPF_RO_BASE, layout->ro_len));
}

/* By whole pages, and from one region into the next. */
static bool
is_mapped(const struct bpf_layout *layout, uint64_t addr, uint64_t len, bool write)
{
    const struct region regions[] = {
        {BPF_STACK_LOW, bpf_page_up(STACK_AND_ARGS_LEN), true},
        {BPF_RO_BASE, bpf_page_up(layout->ro_len), false},
        {layout->data_off, bpf_page_up(bpf_layout_end(layout) - layout->data_off), true},
    };
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        uint64_t at = addr - regions[i].start;
        if (at >= regions[i].len || (write && !regions[i].writable))
            continue;
        uint64_t here = regions[i].len - at;
        if (len <= here)
            return true;
        addr += here;
        len -= here;
    }
    return false;
}

/* Stack and arguments that were not used before. */
static inline bool
opens(struct bpf_cage *cage, uint64_t addr, uint64_t len)
{
    return (addr >= cage->stack_open || bpf_cage_open_stack(cage, (uint32_t)addr)) &&
           (addr + len <= cage->args_open || bpf_cage_open_args(cage));
}

char *
bpf_memory(struct bpf_run *run, uint64_t addr, uint64_t len, bool write)
{
    const struct bpf_layout *layout = &run->program->object.layout;
    if (!is_mapped_surely(layout, addr, len, write) && !is_mapped(layout, addr, len, write))
        return NULL;
    /* Of all that is mapped only stack and arguments are below. */
    if (addr < BPF_RO_BASE && !opens(&run->cage, addr, len))
        return NULL;
    return run->cage.base + addr;
}
