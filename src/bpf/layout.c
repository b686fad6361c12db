#include "bpf/layout.h"

#include "base/limits.h"

#include <stdatomic.h>
#include <unistd.h>

enum { BSS_ALIGN = 64 };

static uint64_t
align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

bool
bpf_layout_init(struct bpf_layout *layout, uint64_t ro_len, uint64_t data_len, uint64_t bss_len)
{
    /* Each alone first: their sum cannot overflow then. */
    if (ro_len > BPF_MEMORY_MAX || data_len > BPF_MEMORY_MAX || bss_len > BPF_MEMORY_MAX)
        return false;
    uint64_t data_off = align_up(BPF_RO_BASE + ro_len, BPF_REGION_ALIGN);
    uint64_t bss_off = align_up(data_off + data_len, BSS_ALIGN);
    if (bss_off + bss_len > BPF_MEMORY_MAX)
        return false;
    *layout = (struct bpf_layout){
        .ro_len = (uint32_t)ro_len,
        .data_off = (uint32_t)data_off,
        .data_len = (uint32_t)data_len,
        .bss_off = (uint32_t)bss_off,
        .bss_len = (uint32_t)bss_len,
    };
    return true;
}

uint32_t
bpf_page_up(uint32_t len)
{
    /* The interpreter asks at every access. */
    static _Atomic uint32_t page_len;
    uint32_t page = atomic_load_explicit(&page_len, memory_order_relaxed);
    if (page == 0) {
        page = (uint32_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&page_len, page, memory_order_relaxed);
    }
    return (uint32_t)align_up(len, page);
}
