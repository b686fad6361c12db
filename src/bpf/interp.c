#include "base/must.h"
#include "bpf/run_internal.h"

#include <string.h>

/* The interpreter: what a program means, as RFC 9669 says it. It is the fallback where machine code
 * cannot be had, and what machine code is compared with; so it is written to be read.
 *
 * Registers are 64 bits wide. An operation of `bits` bits works on the lower `bits` of its operands
 * and clears the bits above in its result; `cut` and `extended` are the two ways to look at such an
 * operand, without and with a sign. All arithmetic is on unsigned numbers, which wrap around.
 *
 * run->insn is set only before something that may look at it: helpers, polls and traps.
 */
struct frame {
    uint32_t back; /* the instruction to go on at */
    uint64_t saved[BPF_REG_STACK - 6 + 1];
};

struct machine {
    struct bpf_run *run;
    const struct bpf_insn *insns;
    const uint8_t *marks;
    uint32_t at; /* the instruction that is executed */
    uint64_t regs[BPF_REG_COUNT];
    struct frame frames[BPF_FRAME_COUNT - 1]; /* of those that called */
    unsigned depth;                           /* of them */
};

static uint64_t
cut(uint64_t value, unsigned bits)
{
    return bits == 64 ? value : value & (((uint64_t)1 << bits) - 1);
}

static int64_t
extended(uint64_t value, unsigned bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static uint64_t
swapped(uint64_t value, unsigned bits)
{
    return __builtin_bswap64(value) >> (64 - bits);
}

/* Section 4.1. The lowest number / -1 is itself: it wraps around. */
static uint64_t
divided(uint64_t a, uint64_t b, unsigned bits, bool is_signed)
{
    if (cut(b, bits) == 0)
        return 0;
    if (!is_signed)
        return cut(a, bits) / cut(b, bits);
    int64_t divisor = extended(b, bits);
    return divisor == -1 ? 0 - a : (uint64_t)(extended(a, bits) / divisor);
}

static uint64_t
remainder_of(uint64_t a, uint64_t b, unsigned bits, bool is_signed)
{
    if (cut(b, bits) == 0)
        return a;
    if (!is_signed)
        return cut(a, bits) % cut(b, bits);
    int64_t divisor = extended(b, bits);
    return divisor == -1 ? 0 : (uint64_t)(extended(a, bits) % divisor);
}

/* Sections 4.1 and 4.2: the new dst. */
static uint64_t
computed(struct bpf_insn insn, const struct bpf_opcode *opcode, uint64_t a, uint64_t b)
{
    unsigned bits = opcode->width, shift = (unsigned)b & (bits - 1);
    switch (opcode->op) {
    case BPF_OP_ADD:
        return cut(a + b, bits);
    case BPF_OP_SUB:
        return cut(a - b, bits);
    case BPF_OP_MUL:
        return cut(a * b, bits);
    case BPF_OP_DIV:
        return cut(divided(a, b, bits, insn.off != 0), bits);
    case BPF_OP_MOD:
        return cut(remainder_of(a, b, bits, insn.off != 0), bits);
    case BPF_OP_OR:
        return cut(a | b, bits);
    case BPF_OP_AND:
        return cut(a & b, bits);
    case BPF_OP_XOR:
        return cut(a ^ b, bits);
    case BPF_OP_LSH:
        return cut(a << shift, bits);
    case BPF_OP_RSH:
        return cut(a, bits) >> shift;
    case BPF_OP_ARSH:
        return cut((uint64_t)(extended(a, bits) >> shift), bits);
    case BPF_OP_NEG:
        return cut(0 - a, bits);
    case BPF_OP_MOV:
        return cut(insn.off ? (uint64_t)extended(b, (unsigned)insn.off) : b, bits);
    case BPF_OP_LE:
        return cut(a, (unsigned)insn.imm);
    case BPF_OP_BE:
    case BPF_OP_SWAP:
        return swapped(a, (unsigned)insn.imm);
    default:
        must(!"an operation");
        return 0;
    }
}

/* Section 4.3, the conditions. */
static bool
is_taken(const struct bpf_opcode *opcode, uint64_t a, uint64_t b)
{
    unsigned bits = opcode->width;
    uint64_t ua = cut(a, bits), ub = cut(b, bits);
    int64_t sa = extended(a, bits), sb = extended(b, bits);
    switch (opcode->op) {
    case BPF_OP_JA:
        return true;
    case BPF_OP_JEQ:
        return ua == ub;
    case BPF_OP_JNE:
        return ua != ub;
    case BPF_OP_JSET:
        return (ua & ub) != 0;
    case BPF_OP_JGT:
        return ua > ub;
    case BPF_OP_JGE:
        return ua >= ub;
    case BPF_OP_JLT:
        return ua < ub;
    case BPF_OP_JLE:
        return ua <= ub;
    case BPF_OP_JSGT:
        return sa > sb;
    case BPF_OP_JSGE:
        return sa >= sb;
    case BPF_OP_JSLT:
        return sa < sb;
    case BPF_OP_JSLE:
        return sa <= sb;
    default:
        must(!"a condition");
        return false;
    }
}

/* The second operand: a register, or the constant with its sign. */
static uint64_t
operand(const struct machine *machine, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    return opcode->reg ? machine->regs[insn.src] : (uint64_t)(int64_t)insn.imm;
}

/* Memory may be at any address, and has no type. */
static uint64_t
loaded(const char *memory, unsigned bits)
{
    uint64_t value = 0;
    memcpy(&value, memory, bits / 8);
    return value;
}

static void
store(char *memory, unsigned bits, uint64_t value)
{
    memcpy(memory, &value, bits / 8);
}

static char *
reach(struct machine *machine, uint64_t address, int16_t displacement, unsigned bits, bool write)
{
    int64_t addr = bpf_effective(address, displacement);
    char *memory = bpf_memory(machine->run, (uint64_t)addr, bits / 8, write);
    if (!memory) {
        machine->run->insn = machine->at;
        bpf_run_trap_access(machine->run, addr, bits / 8, write);
    }
    return memory;
}

/* Section 5.3. A run's memory is its own, so nothing can come between load and store. */
static void
atomic_operation(struct machine *machine, struct bpf_insn insn, unsigned bits)
{
    uint64_t *regs = machine->regs;
    char *memory = reach(machine, regs[insn.dst], insn.off, bits, true);
    uint64_t old = loaded(memory, bits), src = regs[insn.src];
    switch (insn.imm) {
    case BPF_ATOMIC_XCHG:
        store(memory, bits, src);
        regs[insn.src] = old;
        return;
    case BPF_ATOMIC_CMPXCHG:
        if (old == cut(regs[0], bits))
            store(memory, bits, src);
        regs[0] = old;
        return;
    default:
        break;
    }
    switch (insn.imm & ~BPF_ATOMIC_FETCH) {
    case BPF_ATOMIC_ADD:
        store(memory, bits, old + src);
        break;
    case BPF_ATOMIC_OR:
        store(memory, bits, old | src);
        break;
    case BPF_ATOMIC_AND:
        store(memory, bits, old & src);
        break;
    case BPF_ATOMIC_XOR:
        store(memory, bits, old ^ src);
        break;
    default:
        must(!"an atomic operation");
    }
    if (insn.imm & BPF_ATOMIC_FETCH)
        regs[insn.src] = old;
}

/* Sections 5.1 to 5.3. */
static void
access_memory(struct machine *machine, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    uint64_t *regs = machine->regs;
    unsigned bits = opcode->width;
    switch (opcode->op) {
    case BPF_OP_LDX:
        regs[insn.dst] = loaded(reach(machine, regs[insn.src], insn.off, bits, false), bits);
        break;
    case BPF_OP_LDXS:
        regs[insn.dst] = (uint64_t)extended(
            loaded(reach(machine, regs[insn.src], insn.off, bits, false), bits), bits);
        break;
    case BPF_OP_ST:
        store(reach(machine, regs[insn.dst], insn.off, bits, true), bits,
              (uint64_t)(int64_t)insn.imm);
        break;
    case BPF_OP_STX:
        store(reach(machine, regs[insn.dst], insn.off, bits, true), bits, regs[insn.src]);
        break;
    default:
        atomic_operation(machine, insn, bits);
        break;
    }
}

static void
poll(struct machine *machine)
{
    if (atomic_load_explicit(&machine->run->poll, memory_order_relaxed)) {
        machine->run->insn = machine->at;
        bpf_run_poll(machine->run);
    }
}

static void
call_helper(struct machine *machine, uint64_t number)
{
    struct bpf_run *run = machine->run;
    const struct bpf_helper_table *table = run->program->helpers;
    uint64_t *regs = machine->regs;
    run->insn = machine->at;
    if (number >= table->count)
        bpf_run_trap_unknown(run);
    regs[0] = table->helpers[number].fn(regs[1], regs[2], regs[3], regs[4], regs[5], run);
    memset(&regs[1], 0, 5 * sizeof *regs);
}

static void
call_local(struct machine *machine, struct bpf_insn insn)
{
    poll(machine);
    if (machine->depth == BPF_FRAME_COUNT - 1) {
        machine->run->insn = machine->at;
        bpf_run_trap_calls(machine->run);
    }
    struct frame *frame = &machine->frames[machine->depth++];
    frame->back = machine->at + 1;
    memcpy(frame->saved, &machine->regs[6], sizeof frame->saved);
    machine->regs[BPF_REG_STACK] -= BPF_FRAME_LEN;
    machine->at = (uint32_t)bpf_call_target(insn, machine->at);
}

static void
leave(struct machine *machine)
{
    const struct frame *frame = &machine->frames[--machine->depth];
    memcpy(&machine->regs[6], frame->saved, sizeof frame->saved);
    machine->at = frame->back;
}

static void
jump(struct machine *machine, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    if (machine->marks[machine->at] & BPF_MARK_BACK)
        poll(machine);
    bool taken = is_taken(opcode, machine->regs[insn.dst], operand(machine, insn, opcode));
    machine->at = taken ? (uint32_t)bpf_jump_target(insn, machine->at) : machine->at + 1;
}

static void
start(struct machine *machine, struct bpf_run *run)
{
    *machine = (struct machine){
        .run = run,
        .insns = run->program->object.insns,
        .marks = run->program->check.marks,
        .at = run->entry,
    };
    memcpy(&machine->regs[1], run->args, sizeof run->args);
    machine->regs[BPF_REG_STACK] = BPF_STACK_TOP;
}

uint64_t
bpf_interp(struct bpf_run *run)
{
    struct machine machine;
    uint64_t *regs = machine.regs;
    start(&machine, run);
    for (;;) {
        struct bpf_insn insn = machine.insns[machine.at];
        const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
        switch (opcode->op) {
        case BPF_OP_ADD ... BPF_OP_SWAP:
            regs[insn.dst] =
                computed(insn, opcode, regs[insn.dst], operand(&machine, insn, opcode));
            machine.at++;
            break;
        case BPF_OP_JA ... BPF_OP_JSLE:
            jump(&machine, insn, opcode);
            break;
        case BPF_OP_LDX ... BPF_OP_ATOMIC:
            access_memory(&machine, insn, opcode);
            machine.at++;
            break;
        case BPF_OP_LDDW:
            regs[insn.dst] = bpf_wide_imm(&machine.insns[machine.at]);
            machine.at += 2;
            break;
        case BPF_OP_CALL:
            if (insn.src == BPF_CALL_LOCAL) {
                call_local(&machine, insn);
                break;
            }
            call_helper(&machine, (uint32_t)insn.imm);
            machine.at++;
            break;
        case BPF_OP_CALLX:
            call_helper(&machine, regs[insn.dst]);
            machine.at++;
            break;
        case BPF_OP_EXIT:
            if (machine.depth == 0)
                return regs[0];
            leave(&machine);
            break;
        default:
            must(!"an instruction");
        }
    }
}
