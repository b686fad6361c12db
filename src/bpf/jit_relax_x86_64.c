/* Jumps are emitted long. Here each that reaches its target with 8 bits becomes short, which brings
 * others closer to theirs: so this is repeated, until nothing changes or PASSES_MAX. A jump that is
 * short stays so, because code only ever moves together; so stopping early is right, too.
 *
 * `saved[i]` is by how much the fixups before the i-th have become shorter; it moves all that is
 * between fixup i - 1 and fixup i.
 */
#include "bpf/jit_x86_64.h"

#include <stdlib.h>
#include <string.h>

enum { PASSES_MAX = 8 };

struct relax {
    struct jit *jit;
    uint32_t *saved; /* fixup_count + 1 */
    uint32_t *first; /* of each instruction, and the end: the first fixup that is in it or behind */
};

static void
find_first_fixups(struct relax *relax)
{
    const struct jit *jit = relax->jit;
    uint32_t fixup = 0;
    for (uint32_t i = 0; i <= jit->insn_count; i++) {
        while (fixup < jit->fixup_count && jit->fixups[fixup].at < jit->starts[i])
            fixup++;
        relax->first[i] = fixup;
    }
}

static void
sum_saved(struct relax *relax)
{
    const struct jit *jit = relax->jit;
    uint32_t saved = 0;
    for (uint32_t i = 0; i < jit->fixup_count; i++) {
        relax->saved[i] = saved;
        if (jit->fixups[i].is_short)
            saved += jit->fixups[i].len - (uint32_t)EMIT_SHORT_LEN;
    }
    relax->saved[jit->fixup_count] = saved;
}

/* The distance if fixup `i`, which is long, were short. */
static int64_t
distance_if_short(const struct relax *relax, uint32_t i)
{
    const struct jit *jit = relax->jit;
    const struct jit_fixup *fixup = &jit->fixups[i];
    uint32_t first = relax->first[fixup->target];
    int64_t target = (int64_t)jit->starts[fixup->target] - relax->saved[first];
    int64_t start = (int64_t)fixup->at - relax->saved[i];
    /* what is behind it moves with its end */
    return first > i ? target - (start + fixup->len) : target - (start + EMIT_SHORT_LEN);
}

/* One pass; whether it made a jump short. */
static bool
shorten_more(struct relax *relax)
{
    struct jit *jit = relax->jit;
    bool changed = false;
    for (uint32_t i = 0; i < jit->fixup_count; i++) {
        struct jit_fixup *fixup = &jit->fixups[i];
        if (fixup->kind != JIT_TO_INSN || fixup->is_short)
            continue;
        int64_t distance = distance_if_short(relax, i);
        fixup->is_short = distance == (int8_t)distance;
        changed |= fixup->is_short;
    }
    sum_saved(relax);
    return changed;
}

/* 0f 8x to 7x, e9 to eb; the distance comes later. */
static void
make_short(uint8_t *at)
{
    at[0] = at[0] == 0x0f ? at[1] - 0x10 : 0xeb;
    at[1] = 0;
}

static void
move_together(struct relax *relax)
{
    struct jit *jit = relax->jit;
    uint8_t *bytes = jit->emit.bytes;
    uint32_t from = 0, to = 0;
    for (uint32_t i = 0; i <= jit->insn_count; i++)
        jit->starts[i] -= relax->saved[relax->first[i]];
    for (uint32_t i = 0; i < jit->fixup_count; i++) {
        struct jit_fixup *fixup = &jit->fixups[i];
        if (!fixup->is_short)
            continue;
        uint32_t end = fixup->at + fixup->len;
        make_short(bytes + fixup->at);
        memmove(bytes + to, bytes + from, fixup->at + EMIT_SHORT_LEN - from);
        to += fixup->at + EMIT_SHORT_LEN - from;
        from = end;
    }
    memmove(bytes + to, bytes + from, jit->emit.len - from);
    jit->emit.len = to + jit->emit.len - from;
    for (uint32_t i = 0; i < jit->fixup_count; i++) {
        jit->fixups[i].at -= relax->saved[i];
        if (jit->fixups[i].is_short)
            jit->fixups[i].len = EMIT_SHORT_LEN;
    }
}

bool
jit_shorten(struct jit *jit)
{
    struct relax relax = {
        .jit = jit,
        .saved = malloc(((size_t)jit->fixup_count + 1) * sizeof(uint32_t)),
        .first = malloc(((size_t)jit->insn_count + 1) * sizeof(uint32_t)),
    };
    bool has_memory = relax.saved && relax.first;
    if (has_memory) {
        find_first_fixups(&relax);
        sum_saved(&relax);
        for (unsigned i = 0; i < PASSES_MAX && shorten_more(&relax);)
            i++;
        move_together(&relax);
    }
    free(relax.saved);
    free(relax.first);
    return has_memory;
}
