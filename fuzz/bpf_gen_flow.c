#include "bpf_maker.h"

/* A condition and its jump, which goes to `to`. Often of a few bits, so that both ways are gone. */
static void
make_condition(struct maker *maker, uint32_t kind, int32_t to)
{
    unsigned op = BPF_OP_JEQ + maker_below(maker, BPF_OP_JSLE - BPF_OP_JEQ + 1);
    unsigned width = maker_width(maker), reg = maker_any_register(maker);
    int64_t imm = 0;
    bool with_reg = false;
    if (maker_one_in(maker, 2)) {
        unsigned spare = maker_spare_register(maker, 0);
        maker_emit_reg(maker, BPF_OP_MOV, spare, reg);
        maker_emit_imm(maker, BPF_OP_AND, spare, 1 << (1 + maker_below(maker, 4)) | 1);
        reg = spare;
        imm = (int64_t)maker_below(maker, 4);
    } else if (maker_one_in(maker, 2)) {
        imm = (int64_t)maker_number(maker);
    } else {
        with_reg = true;
    }
    maker_add_fixup(maker,
                    maker_emit(maker, maker_opcode(op, width, with_reg), reg,
                               with_reg ? maker_any_register(maker) : 0, 0, imm),
                    kind, to);
}

void
make_branch(struct maker *maker)
{
    if (maker->risks & RISK_TARGETS && maker_one_in(maker, 10)) {
        make_condition(maker, TO_INSN, (int32_t)maker_word(maker, 2));
        return;
    }
    int32_t far = maker_one_in(maker, 40) ? ITEMS_MAX : 0; /* to the end */
    make_condition(maker, TO_ITEM,
                   maker_current_item(maker) + 1 + (int32_t)maker_below(maker, NEAR_ITEMS) + far);
}

static void
emit_always(struct maker *maker, uint32_t kind, int32_t to)
{
    maker_add_fixup(
        maker, maker_emit(maker, maker_opcode(BPF_OP_JA, maker_width(maker), false), 0, 0, 0, 0),
        kind, to);
}

void
make_jump(struct maker *maker)
{
    if (maker->risks & RISK_TARGETS && maker_one_in(maker, 10))
        emit_always(maker, TO_INSN, (int32_t)maker_word(maker, 2));
    else
        emit_always(maker, TO_ITEM, maker_current_item(maker) + 1 + (int32_t)maker_below(maker, 3));
}

/* Back, for as long as a register that changes says so. */
void
make_back(struct maker *maker)
{
    int32_t to = maker_current_item(maker) - (int32_t)maker_below(maker, NEAR_ITEMS);
    if (maker->risks & RISK_TARGETS && maker_one_in(maker, 3)) {
        make_condition(maker, TO_ITEM, to);
        return;
    }
    unsigned reg = maker_below(maker, REG_ARGS), spare = maker_spare_register(maker, 1u << reg);
    maker_emit_imm(maker, BPF_OP_ADD, reg, (int64_t)maker_byte(maker) | 1);
    maker_emit_reg(maker, BPF_OP_MOV, spare, reg);
    maker_emit_imm(maker, BPF_OP_AND, spare, 7);
    unsigned op = maker_byte(maker) & 1 ? BPF_OP_JGT : BPF_OP_JSGE, width = maker_width(maker);
    int64_t imm = 2 + (int64_t)maker_below(maker, 5);
    maker_add_fixup(maker, maker_emit(maker, maker_opcode(op, width, false), spare, 0, 0, imm),
                    TO_ITEM, to);
}

void
make_loop(struct maker *maker)
{
    if (maker->loop_count == LOOPS_MAX)
        return;
    struct loop *loop = &maker->loops[maker->loop_count];
    loop->counter_off = COUNTERS + 8 * maker->loop_count;
    loop->end_item = maker->item_count + 1 + maker_below(maker, 10);
    maker_emit(maker, maker_opcode(BPF_OP_ST, 64, false), BPF_REG_STACK, 0, -(int)loop->counter_off,
               (int64_t)(1 + maker_below(maker, 5)));
    loop->insn = maker->out->insn_count;
    maker->loop_count++;
}

void
maker_close_loop(struct maker *maker)
{
    struct loop *loop = &maker->loops[--maker->loop_count];
    maker_begin_item(maker);
    unsigned reg = maker_spare_register(maker, 0), width = maker_width(maker);
    bool two_jumps = maker_one_in(maker, 3);
    int counter_off = -(int)loop->counter_off;
    maker_emit(maker, maker_opcode(BPF_OP_LDX, 64, true), reg, BPF_REG_STACK, counter_off, 0);
    maker_emit_imm(maker, BPF_OP_SUB, reg, 1);
    maker_emit(maker, maker_opcode(BPF_OP_STX, 64, true), BPF_REG_STACK, reg, counter_off, 0);
    if (two_jumps)
        maker_emit(maker, maker_opcode(BPF_OP_JSLE, width, false), reg, 0, 1, 0);
    int back = (int)loop->insn - (int)maker->out->insn_count - 1;
    if (two_jumps && width == 32)
        maker_emit(maker, maker_opcode(BPF_OP_JA, 32, false), 0, 0, 0, back);
    else if (two_jumps)
        maker_emit(maker, maker_opcode(BPF_OP_JA, 64, false), 0, 0, back, 0);
    else
        maker_emit(maker, maker_opcode(BPF_OP_JSGT, width, false), reg, 0, back, 0);
}

/* --- calls --- */

void
make_local_call(struct maker *maker)
{
    uint8_t opcode = maker_opcode(BPF_OP_CALL, 64, false);
    uint32_t deeper = maker->function_count - maker->function - 1;
    uint32_t kind = TO_FUNCTION;
    int32_t to;
    if (maker->risks & RISK_TARGETS && maker_one_in(maker, 12)) {
        kind = maker_byte(maker) & 1 ? TO_FUNCTION : TO_INSN;
        to = (int32_t)maker_word(maker, 2);
    } else if (deeper) {
        to = (int32_t)(maker->function + 1 + maker_below(maker, deeper));
    } else {
        return;
    }
    maker_add_fixup(maker, maker_emit(maker, opcode, 0, BPF_CALL_LOCAL, 0, 0), kind, to);
}

/* The address of memory that a helper may have: in a register. */
static void
make_pointer(struct maker *maker, unsigned reg, bool write)
{
    if (write && (maker->risks & TAME) == TAME && maker_one_in(maker, 2)) {
        maker_emit_reg(maker, BPF_OP_MOV, reg, BPF_REG_STACK);
        maker_emit_imm(maker, BPF_OP_ADD, reg, -(int64_t)(64 + maker_below(maker, 250)));
    } else {
        maker_emit_wide(maker, reg, maker_address(maker, write));
    }
    if (maker->risks & RISK_HELPERS && maker_one_in(maker, 20))
        maker_emit_reg(maker, BPF_OP_MOV, reg, maker_any_register(maker));
}

/* What a helper of this number needs in r1 and r2 not to trap. */
static void
make_helper_arguments(struct maker *maker, unsigned helper)
{
    bool risk = maker->risks & RISK_HELPERS && maker_one_in(maker, 12);
    switch (helper) {
    case BPF_GEN_WRITE:
    case BPF_GEN_READ:
        make_pointer(maker, 1, helper == BPF_GEN_WRITE);
        maker_emit_imm(maker, BPF_OP_MOV, 2,
                       risk ? (int64_t)maker_number(maker) : (int64_t)maker_below(maker, 9));
        break;
    case BPF_GEN_COPY:
        make_pointer(maker, 1, false);
        make_pointer(maker, 2, true);
        break;
    case BPF_GEN_TRAP:
        if (!risk)
            maker_emit_imm(maker, BPF_OP_OR, 1, 1);
        break;
    default:
        break;
    }
}

void
make_helper_call(struct maker *maker)
{
    unsigned helper = maker_below(maker, BPF_GEN_HELPERS);
    make_helper_arguments(maker, helper);
    if (!maker_one_in(maker, 5)) {
        maker_emit(maker, maker_opcode(BPF_OP_CALL, 64, false), 0, BPF_CALL_HELPER, 0, helper);
        return;
    }
    unsigned reg = maker_spare_register(maker, 6); /* r1 and r2 are taken */
    bool risk = maker->risks & RISK_HELPERS && maker_one_in(maker, 10);
    maker_emit_wide(maker, reg, risk ? maker_number(maker) : helper);
    maker_emit(maker, maker_opcode(BPF_OP_CALLX, 64, true), reg, 0, 0, 0);
}
