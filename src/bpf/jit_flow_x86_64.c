/* Jumps, calls, polls, and what stands behind the code of all instructions:
 *
 *     for each poll             push insn; call the poll routine; jump back
 *     for each check of a call  push insn; jump to the routine of its trap
 *     routines                  set run->insn to what was pushed, call into C
 *     table                     addresses of C functions: those of the run, then the helpers
 *
 * So what runs each time is a compare and a branch that is not taken, and what is rare is small.
 */
#include "bpf/jit_x86_64.h"

#include "base/must.h"

#include <string.h>

enum jit_table { TABLE_POLL, TABLE_TRAP_CALLS, TABLE_TRAP_UNKNOWN, TABLE_HELPERS };

enum { ARGS_FIRST = 1, ARGS_LAST = 5, ARGS = 0x3e };

/* A called function gets these back, and r10. */
static const uint8_t kept_regs[] = {X86_RBX, X86_R13, X86_R14, X86_R15, JIT_STACK};
/* Those of a script's registers that C functions do not keep. */
static const uint8_t lost_regs[] = {X86_RAX, X86_RDI, X86_RSI, X86_RDX, X86_RCX, X86_R8};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct x86_mem
run_field(size_t offset)
{
    return (struct x86_mem){JIT_BASE, X86_NO_INDEX, 0, (int32_t)offset - BPF_RUN_BACK};
}

static void
set_insn(struct jit *jit)
{
    emit_store_imm(&jit->emit, 32, run_field(offsetof(struct bpf_run, insn)), (int32_t)jit->at);
}

/* A jump out of the way, to code that knows which instruction it is for. */
static void
branch_away(struct jit *jit, enum x86_cond cond, enum jit_fixup_kind kind)
{
    emit_jump_long(&jit->emit, cond);
    jit_add_fixup(jit, kind, EMIT_JCC_LEN, jit->at);
}

static void
poll(struct jit *jit)
{
    emit_cmp_mem_imm(&jit->emit, run_field(offsetof(struct bpf_run, poll)), 0);
    branch_away(jit, X86_NOT_EQUAL, JIT_TO_POLL);
    jit_forget_copies(jit);
}

static void
compare(struct jit *jit, struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    bool is_signed =
        opcode->op >= BPF_OP_JSLT || opcode->op == BPF_OP_JSGT || opcode->op == BPF_OP_JSGE;
    bool narrow = jit_is_narrow(jit, insn.dst) && jit_is_operand_narrow(jit, insn);
    unsigned width = narrow && !is_signed ? 32 : opcode->width;
    unsigned dst = jit_regs[insn.dst];
    if (opcode->reg && opcode->op == BPF_OP_JSET)
        emit_test(&jit->emit, width, dst, jit_regs[insn.src]);
    else if (opcode->reg)
        emit_alu(&jit->emit, X86_CMP, width, dst, jit_regs[insn.src]);
    else if (opcode->op == BPF_OP_JSET)
        emit_test_imm(&jit->emit, width, dst, insn.imm);
    else if (insn.imm == 0) /* the same flags, all of them */
        emit_test(&jit->emit, width, dst, dst);
    else
        emit_alu_imm(&jit->emit, X86_CMP, width, dst, insn.imm);
}

unsigned
jit_jump(struct jit *jit, struct bpf_insn insn)
{
    static const uint8_t conds[BPF_OP_COUNT] = {
        [BPF_OP_JA] = X86_ALWAYS,     [BPF_OP_JEQ] = X86_EQUAL,
        [BPF_OP_JNE] = X86_NOT_EQUAL, [BPF_OP_JSET] = X86_NOT_EQUAL,
        [BPF_OP_JGT] = X86_ABOVE,     [BPF_OP_JGE] = X86_NOT_BELOW,
        [BPF_OP_JLT] = X86_BELOW,     [BPF_OP_JLE] = X86_NOT_ABOVE,
        [BPF_OP_JSGT] = X86_GREATER,  [BPF_OP_JSGE] = X86_NOT_LESS,
        [BPF_OP_JSLT] = X86_LESS,     [BPF_OP_JSLE] = X86_NOT_GREATER,
    };
    uint32_t target = (uint32_t)bpf_jump_target(insn, jit->at);
    enum x86_cond cond = conds[bpf_opcodes[insn.opcode].op];
    if (jit->marks[jit->at] & BPF_MARK_BACK)
        poll(jit);
    if (target == jit->at + 1)
        return 1;
    if (cond != X86_ALWAYS)
        compare(jit, insn);
    emit_jump_long(&jit->emit, cond);
    jit_add_fixup(jit, JIT_TO_INSN, cond == X86_ALWAYS ? EMIT_JMP_LEN : EMIT_JCC_LEN, target);
    return 1;
}

/* Behind a helper r1 to r5 are 0. */
static void
clear_args(struct jit *jit)
{
    uint16_t used = jit_regs_in_use(jit, ARGS, 1);
    for (unsigned reg = ARGS_FIRST; reg <= ARGS_LAST; reg++) {
        if (used >> reg & 1)
            emit_mov_imm(&jit->emit, jit_regs[reg], 0);
    }
    jit_forget_copies(jit);
}

static void
load_run(struct jit *jit, unsigned reg)
{
    emit_lea(&jit->emit, 64, reg, run_field(0));
}

static void
call_helper(struct jit *jit, uint32_t number)
{
    must(number < jit->helpers->count);
    set_insn(jit);
    load_run(jit, JIT_RUN);
    emit_call_relative_mem(&jit->emit);
    jit_add_fixup(jit, JIT_TO_TABLE, EMIT_CALL_MEM_LEN, TABLE_HELPERS + number);
    clear_args(jit);
}

unsigned
jit_call_by_register(struct jit *jit, struct bpf_insn insn)
{
    unsigned number = jit_regs[insn.dst];
    must(jit->helpers_by_number);
    emit_alu_imm(&jit->emit, X86_CMP, 64, number, (int32_t)jit->helpers->count);
    branch_away(jit, X86_NOT_BELOW, JIT_TO_TRAP_UNKNOWN);
    set_insn(jit);
    load_run(jit, JIT_RUN);
    emit_lea_relative(&jit->emit, JIT_SCRATCH_1);
    jit_add_fixup(jit, JIT_TO_TABLE, EMIT_LEA_LEN, TABLE_HELPERS);
    emit_call_mem(&jit->emit, (struct x86_mem){JIT_SCRATCH_1, (uint8_t)number, 3, 0});
    clear_args(jit);
    return 1;
}

/* Six words on the stack, so that rsp stays aligned. */
static void
call_local(struct jit *jit, struct bpf_insn insn)
{
    struct emit *emit = &jit->emit;
    poll(jit);
    emit_alu_imm(emit, X86_CMP, 32, JIT_STACK, BPF_STACK_LOW + BPF_FRAME_LEN);
    branch_away(jit, X86_NOT_ABOVE, JIT_TO_TRAP_CALLS);
    for (unsigned i = 0; i < COUNT(kept_regs); i++)
        emit_push(emit, kept_regs[i]);
    emit_alu_imm(emit, X86_SUB, 32, JIT_STACK, BPF_FRAME_LEN);
    emit_call_long(emit);
    jit_add_fixup(jit, JIT_CALL_INSN, EMIT_CALL_LEN, (uint32_t)bpf_call_target(insn, jit->at));
    for (unsigned i = COUNT(kept_regs); i-- > 0;)
        emit_pop(emit, kept_regs[i]);
}

unsigned
jit_call(struct jit *jit, struct bpf_insn insn)
{
    if (insn.src == BPF_CALL_LOCAL)
        call_local(jit, insn);
    else
        call_helper(jit, (uint32_t)insn.imm);
    return 1;
}

unsigned
jit_exit(struct jit *jit, struct bpf_insn insn)
{
    emit_ret(&jit->emit);
    return 1;
}

/* Behind the instructions. Positions are final there. */
struct tail {
    struct jit *jit;
    uint32_t fixup_count;                       /* of the instructions; the rest are the tail's */
    uint32_t routines[JIT_TO_TRAP_UNKNOWN + 1]; /* by kind of fixup; 0: nobody wants it */
};

static void
patch(struct jit *jit, const struct jit_fixup *fixup, uint32_t target)
{
    uint32_t end = fixup->at + fixup->len;
    uint32_t distance = target - end;
    if (!fixup->is_short) {
        emit_patch_32(&jit->emit, end - 4, distance);
        return;
    }
    must((int32_t)distance == (int8_t)distance);
    jit->emit.bytes[end - 1] = (uint8_t)distance;
}

/* To a place that is known already. */
static void
jump_back(struct emit *emit, uint32_t target)
{
    emit_jump_long(emit, X86_ALWAYS);
    emit_patch_32(emit, emit->len - 4, target - emit->len);
}

static void
call_table(struct tail *tail, uint32_t entry)
{
    emit_call_relative_mem(&tail->jit->emit);
    jit_add_fixup(tail->jit, JIT_TO_TABLE, EMIT_CALL_MEM_LEN, entry);
}

/* Sets run->insn to the word on the stack. */
static void
set_insn_from_stack(struct emit *emit, int32_t offset)
{
    emit_load(emit, 32, JIT_SCRATCH_1, (struct x86_mem){X86_RSP, X86_NO_INDEX, 0, offset});
    emit_store(emit, 32, run_field(offsetof(struct bpf_run, insn)), JIT_SCRATCH_1);
}

/* What was pushed and the return address are two words, so rsp is aligned here, and again behind
 * the six registers. */
static void
poll_routine(struct tail *tail)
{
    struct emit *emit = &tail->jit->emit;
    tail->routines[JIT_TO_POLL] = emit->len;
    for (unsigned i = 0; i < COUNT(lost_regs); i++)
        emit_push(emit, lost_regs[i]);
    set_insn_from_stack(emit, 8 * (COUNT(lost_regs) + 1));
    load_run(tail->jit, X86_RDI);
    call_table(tail, TABLE_POLL);
    for (unsigned i = COUNT(lost_regs); i-- > 0;)
        emit_pop(emit, lost_regs[i]);
    emit_ret_drop(emit, 8);
}

/* Never returns; one word more, and the stack is aligned. */
static void
trap_routine(struct tail *tail, enum jit_fixup_kind kind, enum jit_table entry)
{
    struct emit *emit = &tail->jit->emit;
    tail->routines[kind] = emit->len;
    set_insn_from_stack(emit, 0);
    load_run(tail->jit, X86_RDI);
    emit_push(emit, X86_RAX);
    call_table(tail, entry);
}

static bool
routines(struct tail *tail)
{
    bool wanted[JIT_TO_TRAP_UNKNOWN + 1] = {false};
    for (uint32_t i = 0; i < tail->fixup_count; i++)
        wanted[tail->jit->fixups[i].kind] = true;
    if (!jit_reserve(tail->jit))
        return false;
    if (wanted[JIT_TO_POLL])
        poll_routine(tail);
    if (wanted[JIT_TO_TRAP_CALLS])
        trap_routine(tail, JIT_TO_TRAP_CALLS, TABLE_TRAP_CALLS);
    if (wanted[JIT_TO_TRAP_UNKNOWN])
        trap_routine(tail, JIT_TO_TRAP_UNKNOWN, TABLE_TRAP_UNKNOWN);
    return true;
}

/* Where the branch goes: code for its instruction, in front of the routine. */
static bool
away(struct tail *tail, uint32_t index)
{
    struct jit *jit = tail->jit;
    struct jit_fixup fixup = jit->fixups[index];
    if (!jit_reserve(jit))
        return false;
    patch(jit, &fixup, jit->emit.len);
    emit_push_imm(&jit->emit, (int32_t)fixup.target);
    if (fixup.kind == JIT_TO_POLL) {
        emit_call_long(&jit->emit);
        emit_patch_32(&jit->emit, jit->emit.len - 4, tail->routines[JIT_TO_POLL] - jit->emit.len);
        jump_back(&jit->emit, fixup.at + fixup.len);
    } else {
        jump_back(&jit->emit, tail->routines[fixup.kind]);
    }
    return true;
}

static bool
put_address(struct jit *jit, const void *function)
{
    uint64_t address = (uint64_t)(uintptr_t)function;
    if (!jit_reserve(jit))
        return false;
    emit_32(&jit->emit, (uint32_t)address);
    emit_32(&jit->emit, (uint32_t)(address >> 32));
    return true;
}

/* The table has an entry for every helper, whether called or not: its index is the number. */
static bool
table(struct tail *tail)
{
    struct jit *jit = tail->jit;
    while (jit->emit.len % 8)
        emit_byte(&jit->emit, 0xcc);
    uint32_t start = jit->emit.len;
    for (uint32_t i = 0; i < jit->fixup_count; i++) {
        if (jit->fixups[i].kind == JIT_TO_TABLE)
            patch(jit, &jit->fixups[i], start + 8 * jit->fixups[i].target);
    }
    bool has_memory = put_address(jit, (const void *)bpf_run_poll) &&
                      put_address(jit, (const void *)bpf_run_trap_calls) &&
                      put_address(jit, (const void *)bpf_run_trap_unknown);
    for (uint32_t i = 0; i < jit->helpers->count && has_memory; i++)
        has_memory = put_address(jit, (const void *)jit->helpers->helpers[i].fn);
    return has_memory;
}

bool
jit_finish(struct jit *jit)
{
    struct tail tail = {.jit = jit, .fixup_count = jit->fixup_count};
    if (!routines(&tail))
        return false;
    for (uint32_t i = 0; i < tail.fixup_count; i++) {
        const struct jit_fixup *fixup = &jit->fixups[i];
        if (fixup->kind == JIT_TO_INSN || fixup->kind == JIT_CALL_INSN)
            patch(jit, fixup, jit->starts[fixup->target]);
        else if (fixup->kind >= JIT_TO_POLL && !away(&tail, i))
            return false;
    }
    return jit_reserve(jit) && table(&tail);
}
