#include "bpf/helper.h"

#include "bpf/run_internal.h"

#include <inttypes.h>

int64_t
bpf_helper_find(const struct bpf_helper_table *table, struct str name)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (str_eq(str_from_cstr(table->helpers[i].name), name))
            return i;
    }
    return -1;
}

/* Never NULL. Nobody may touch what an empty view points at: the start of the cage is not mapped,
 * so that a helper that does is found out. */
static char *
view(struct bpf_run *run, uint64_t addr, uint64_t len, bool write)
{
    if (len == 0)
        return run->cage.base;
    char *memory = bpf_memory(run, addr, len, write);
    if (!memory)
        bpf_trap(run, "%s of %" PRIu64 " byte%s at 0x%" PRIx64 " by a helper: outside of %s",
                 write ? "write" : "read", len, len == 1 ? "" : "s", addr,
                 write ? "what the script may write to" : "the script's memory");
    return memory;
}

struct str
bpf_view(struct bpf_run *run, uint64_t addr, uint64_t len)
{
    return str_make(view(run, addr, len, false), len);
}

char *
bpf_view_writable(struct bpf_run *run, uint64_t addr, uint64_t len)
{
    char *memory = view(run, addr, len, true);
    if (len)
        bpf_run_note_write(run, (uint32_t)addr, (uint32_t)len);
    return memory;
}

void
bpf_copy_in(struct bpf_run *run, void *out, uint64_t addr, size_t len)
{
    memcpy(out, view(run, addr, len, false), len);
}

void
bpf_copy_out(struct bpf_run *run, uint64_t addr, const void *in, size_t len)
{
    memcpy(bpf_view_writable(run, addr, len), in, len);
}

void
bpf_views_apart(struct bpf_run *run, const char *a, uint64_t a_len, const char *b, uint64_t b_len)
{
    uintptr_t a_at = (uintptr_t)a, b_at = (uintptr_t)b;
    if (a_len && b_len && a_at < b_at + b_len && b_at < a_at + a_len)
        bpf_trap(run, "memory that a helper writes to overlaps another of its call");
}

void *
bpf_user(const struct bpf_run *run)
{
    return run->user;
}
