#include "bpf_maker.h"

#include <string.h>

static const struct {
    unsigned weight;
    void (*make)(struct maker *maker);
} item_kinds[] = {
    {20, make_arithmetic}, {3, make_swap},       {7, make_constant},    {8, make_load},
    {7, make_store},       {4, make_atomic},     {9, make_branch},      {1, make_jump},
    {1, make_back},        {3, make_loop},       {6, make_pair},        {1, make_swapped_load},
    {2, make_accesses},    {2, make_local_call}, {3, make_helper_call}, {2, make_rotation},
};

static void
make_item(struct maker *maker)
{
    unsigned sum = 0, kind = 0;
    for (unsigned i = 0; i < sizeof item_kinds / sizeof item_kinds[0]; i++)
        sum += item_kinds[i].weight;
    unsigned chosen = maker_below(maker, sum);
    while (chosen >= item_kinds[kind].weight)
        chosen -= item_kinds[kind++].weight;
    maker_begin_item(maker);
    item_kinds[kind].make(maker);
    while (maker->loop_count && maker->item_count >= maker->loops[maker->loop_count - 1].end_item)
        maker_close_loop(maker);
}

/* Room for all that may still have to be written without being asked for. */
static bool
has_room(const struct maker *maker)
{
    uint32_t closing = FUNCTIONS_MAX * (EPILOGUE_INSNS + LOOPS_MAX * ITEM_INSNS_MAX);
    return maker->out->insn_count + closing + 2 * ITEM_INSNS_MAX < BPF_GEN_INSNS_MAX &&
           maker->item_count + FUNCTIONS_MAX * (LOOPS_MAX + 2) < ITEMS_MAX &&
           maker->fixup_count + 2 < FIXUPS_MAX;
}

/* All registers to the frame, where the comparison finds them. */
static void
make_epilogue(struct maker *maker)
{
    maker_begin_item(maker);
    for (unsigned reg = 0; reg < BPF_REG_STACK; reg++)
        maker_emit(maker, maker_opcode(BPF_OP_STX, 64, true), BPF_REG_STACK, reg,
                   -SAVED + 8 * (int)reg, 0);
    maker_emit(maker, maker_opcode(BPF_OP_EXIT, 64, false), 0, 0, 0, 0);
}

static void
make_prologue(struct maker *maker)
{
    maker_emit_wide(maker, REG_ARGS, (BPF_ARGS + MIDDLE) | maker_upper_half(maker));
    maker_emit_wide(maker, REG_DATA, (BPF_GEN_DATA_OFF + MIDDLE) | maker_upper_half(maker));
    maker_emit_wide(maker, 0, maker_number(maker));
    maker_emit_wide(maker, 6, maker_number(maker));
    maker_emit_wide(maker, 7, maker_number(maker));
}

/* Jumps of the function stay in it: what goes beyond goes to its ends. */
static void
bound_fixups(struct maker *maker, uint32_t first_fixup, int32_t first_item)
{
    for (uint32_t i = first_fixup; i < maker->fixup_count; i++) {
        struct fixup *fixup = &maker->fixups[i];
        if (fixup->kind != TO_ITEM)
            continue;
        if (fixup->to > maker_current_item(maker))
            fixup->to = maker_current_item(maker);
        if (fixup->to < first_item)
            fixup->to = first_item;
    }
}

static void
make_function(struct maker *maker, const uint8_t *end)
{
    uint32_t first_fixup = maker->fixup_count;
    int32_t first_item = (int32_t)maker->item_count;
    maker->functions[maker->function] = maker->out->insn_count;
    maker_begin_item(maker);
    if (maker->function == 0)
        make_prologue(maker);
    while (maker->at < end && has_room(maker))
        make_item(maker);
    while (maker->loop_count)
        maker_close_loop(maker);
    make_epilogue(maker);
    bound_fixups(maker, first_fixup, first_item);
}

/* The instruction that the fixup goes to; never the second half of a wide one. */
static uint32_t
fixup_target(const struct maker *maker, const struct fixup *fixup)
{
    if (fixup->kind == TO_ITEM)
        return maker->items[fixup->to];
    if (fixup->kind == TO_FUNCTION)
        return maker->functions[(uint32_t)fixup->to % maker->function_count];
    uint32_t insn = (uint32_t)fixup->to % maker->out->insn_count;
    return maker->out->insns[insn].opcode == 0 ? insn - 1 : insn;
}

static void
resolve_fixups(struct maker *maker)
{
    for (uint32_t i = 0; i < maker->fixup_count; i++) {
        struct bpf_insn *insn = &maker->out->insns[maker->fixups[i].insn];
        const struct bpf_opcode *opcode = &bpf_opcodes[insn->opcode];
        int32_t distance =
            (int32_t)fixup_target(maker, &maker->fixups[i]) - (int32_t)maker->fixups[i].insn - 1;
        if (opcode->uses & BPF_USES_OFF)
            insn->off = (int16_t)distance;
        else
            insn->imm = distance;
    }
}

static void
make_whole(struct maker *maker)
{
    static const uint16_t fuels[] = {20, 60, 60, 300};
    static const uint16_t args_lens[] = {0, 1, 1000, BPF_ARGS_LEN};
    uint8_t risks = maker_byte(maker);
    maker->risks = risks & 0x80 ? risks : risks & TAME;
    maker->out->fuel = fuels[maker_below(maker, 4)];
    maker->out->args_len = args_lens[maker_below(maker, 4)];
    maker->function_count = 1 + maker_below(maker, FUNCTIONS_MAX);
    if ((maker->risks & TAME) == TAME && maker_one_in(maker, 2))
        maker->function_count = 1;
    for (unsigned i = 0; i < BPF_GEN_ARGS; i++)
        maker->out->args[i] = maker_number(maker);
    const uint8_t *start = maker->at;
    size_t len = (size_t)(maker->end - start);
    for (maker->function = 0; maker->function < maker->function_count; maker->function++)
        make_function(maker, start + len * (maker->function + 1) / maker->function_count);
    resolve_fixups(maker);
}

/* Another opcode that uses the same fields. */
static uint8_t
similar_opcode(struct maker *maker, uint8_t opcode)
{
    uint8_t other = maker_byte(maker);
    while (bpf_opcodes[other].op == BPF_OP_NONE ||
           bpf_opcodes[other].uses != bpf_opcodes[opcode].uses)
        other++;
    return other;
}

/* Fields that the opcode uses, most often: others make a program that is refused. */
static void
mutate(struct maker *maker, struct bpf_insn *insn)
{
    unsigned uses = bpf_opcodes[insn->opcode].uses;
    switch (maker_below(maker, 8)) {
    case 0:
        insn->opcode = maker_byte(maker);
        break;
    case 1:
        insn->dst = maker_byte(maker) & 15;
        break;
    case 2:
        insn->src = maker_byte(maker) & 15;
        break;
    case 3:
        if (uses & BPF_USES_DST)
            insn->dst = maker_any_register(maker) & 15;
        break;
    case 4:
        if (uses & BPF_USES_OFF)
            insn->off = (int16_t)(insn->off + (int8_t)maker_byte(maker));
        break;
    case 5:
        if (uses & BPF_USES_IMM)
            insn->imm = (int32_t)maker_number(maker);
        break;
    default:
        if (bpf_opcodes[insn->opcode].op != BPF_OP_NONE)
            insn->opcode = similar_opcode(maker, insn->opcode);
        break;
    }
}

static void
make_mutated(struct maker *maker)
{
    make_whole(maker);
    for (unsigned i = 1 + maker_below(maker, 3); i > 0; i--)
        mutate(maker, &maker->out->insns[maker_word(maker, 2) % maker->out->insn_count]);
}

static void
make_raw(struct maker *maker)
{
    static const uint64_t args[BPF_GEN_ARGS] = {
        BPF_ARGS + MIDDLE,      BPF_GEN_DATA_OFF + MIDDLE, BPF_RO_BASE + MIDDLE,
        BPF_STACK_LOW + MIDDLE, 0x0123456789abcdef,
    };
    struct bpf_gen *out = maker->out;
    memcpy(out->args, args, sizeof args);
    out->fuel = 200;
    out->args_len = BPF_ARGS_LEN;
    size_t len = (size_t)(maker->end - maker->at) / sizeof out->insns[0];
    out->insn_count = len < BPF_GEN_INSNS_MAX ? (uint32_t)len : BPF_GEN_INSNS_MAX;
    if (len)
        memcpy(out->insns, maker->at, out->insn_count * sizeof out->insns[0]);
}

void
bpf_gen_make(struct bpf_gen *out, const uint8_t *bytes, size_t len)
{
    struct maker maker = {.at = bytes, .end = bytes + len, .out = out};
    out->insn_count = 0;
    for (size_t i = 0; i < len; i++)
        maker.more = (maker.more ^ bytes[i]) * 0x100000001b3;
    uint8_t kind = maker_byte(&maker) & 15;
    out->kind = kind == 15 ? BPF_GEN_RAW : kind == 14 ? BPF_GEN_MUTATED : BPF_GEN_WHOLE;
    if (out->kind == BPF_GEN_RAW)
        make_raw(&maker);
    else if (out->kind == BPF_GEN_MUTATED)
        make_mutated(&maker);
    else
        make_whole(&maker);
}
