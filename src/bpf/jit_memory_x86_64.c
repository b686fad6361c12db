/* Loads and stores. Memory of the script at `address` is at base + (address & mask) + displacement;
 * the mask is the cage's length - 1. With a cage of 4 GiB, moving the lower half of a register is
 * all that masking takes:
 *
 *     mov  r11d, source
 *     mov  dst, [r12 + r11 + displacement]
 *
 * and it is left out for registers that are known to be inside of the cage (bpf/regs.h), as r10
 * always is. A smaller cage needs an `and` besides. What was masked stays in its scratch register
 * for more accesses through the same register (jit->copies), until either is changed.
 *
 * The fault handler reads the script's registers at the instruction that faulted: nothing is
 * changed in them before the last access of an instruction's code.
 */
#include "bpf/jit_x86_64.h"

#include "base/must.h"

static const uint8_t scratch_regs[JIT_COPIES] = {JIT_SCRATCH_1, JIT_SCRATCH_2, JIT_SCRATCH_3};

/* The masked value of a script's register in a scratch register. */
static unsigned
masked_copy(struct jit *jit, unsigned reg)
{
    for (unsigned i = 0; i < JIT_COPIES; i++) {
        if (jit->copies[i] == reg)
            return scratch_regs[i];
    }
    unsigned index = jit->copy_next;
    jit->copy_next = (uint8_t)((index + 1) % JIT_COPIES);
    jit->copies[index] = (uint8_t)reg;
    emit_mov(&jit->emit, 32, scratch_regs[index], jit_regs[reg]);
    if (jit->mask != UINT32_MAX)
        emit_alu_imm(&jit->emit, X86_AND, 32, scratch_regs[index], (int32_t)jit->mask);
    return scratch_regs[index];
}

/* The operand of an access through a script's register. */
static struct x86_mem
memory(struct jit *jit, unsigned reg, int16_t displacement)
{
    bool inside = jit->bounds.max[reg] <= jit->mask;
    unsigned index = inside ? jit_regs[reg] : masked_copy(jit, reg);
    return (struct x86_mem){JIT_BASE, (uint8_t)index, 0, displacement};
}

/* A load whose bytes are swapped by the next instruction. */
static bool
is_swapped_next(const struct jit *jit, struct bpf_insn insn)
{
    const struct bpf_insn *next = jit_follower(jit, 1);
    if (!next || !(jit->features & X86_HAS_MOVBE) || jit_width(insn) < 32)
        return false;
    uint8_t op = bpf_opcodes[next->opcode].op;
    return (op == BPF_OP_BE || op == BPF_OP_SWAP) && next->dst == insn.dst &&
           next->imm == (int32_t)jit_width(insn);
}

unsigned
jit_load(struct jit *jit, struct bpf_insn insn)
{
    struct x86_mem mem = memory(jit, insn.src, insn.off);
    unsigned bits = jit_width(insn), dst = jit_regs[insn.dst];
    if (bpf_opcodes[insn.opcode].op == BPF_OP_LDXS) {
        emit_load_sign_extend(&jit->emit, bits, dst, mem);
        return 1;
    }
    if (is_swapped_next(jit, insn)) {
        emit_load_swapped(&jit->emit, bits, dst, mem);
        return 2;
    }
    emit_load(&jit->emit, bits, dst, mem);
    return 1;
}

unsigned
jit_store(struct jit *jit, struct bpf_insn insn)
{
    struct x86_mem mem = memory(jit, insn.dst, insn.off);
    if (bpf_opcodes[insn.opcode].reg)
        emit_store(&jit->emit, jit_width(insn), mem, jit_regs[insn.src]);
    else
        emit_store_imm(&jit->emit, jit_width(insn), mem, insn.imm);
    return 1;
}

/* Replaces the word by `op` of itself and src; src takes what it was. */
static void
fetch_and(struct jit *jit, enum x86_alu op, unsigned width, struct x86_mem mem, unsigned src)
{
    emit_load(&jit->emit, width, JIT_SCRATCH_2, mem);
    emit_mov(&jit->emit, width, JIT_SCRATCH_3, JIT_SCRATCH_2);
    emit_alu(&jit->emit, op, width, JIT_SCRATCH_3, src);
    emit_store(&jit->emit, width, mem, JIT_SCRATCH_3);
    emit_mov(&jit->emit, width, src, JIT_SCRATCH_2);
}

/* Not `xchg`, which locks. */
static void
exchange(struct jit *jit, unsigned width, struct x86_mem mem, unsigned src)
{
    emit_load(&jit->emit, width, JIT_SCRATCH_2, mem);
    emit_store(&jit->emit, width, mem, src);
    emit_mov(&jit->emit, width, src, JIT_SCRATCH_2);
}

static enum x86_alu
atomic_op(int32_t imm)
{
    switch (imm & ~BPF_ATOMIC_FETCH) {
    case BPF_ATOMIC_ADD:
        return X86_ADD;
    case BPF_ATOMIC_OR:
        return X86_OR;
    case BPF_ATOMIC_AND:
        return X86_AND;
    default:
        must((imm & ~BPF_ATOMIC_FETCH) == BPF_ATOMIC_XOR);
        return X86_XOR;
    }
}

/* No lock prefix: a run's memory is its own, no other thread or process sees it. The address is
 * taken anew, so that it is in the first scratch register and the others are free. */
unsigned
jit_atomic(struct jit *jit, struct bpf_insn insn)
{
    unsigned width = jit_width(insn), src = jit_regs[insn.src];
    jit_forget_copies(jit);
    struct x86_mem mem = memory(jit, insn.dst, insn.off);
    if (insn.imm == BPF_ATOMIC_CMPXCHG) {
        emit_cmpxchg(&jit->emit, width, mem, src);
        if (width == 32) /* where they are equal, rax was not written */
            emit_mov(&jit->emit, 32, JIT_R0, JIT_R0);
        return 1;
    }
    must(insn.src != BPF_REG_STACK || !(insn.imm & BPF_ATOMIC_FETCH));
    if (insn.imm == BPF_ATOMIC_XCHG)
        exchange(jit, width, mem, src);
    else if (insn.imm == (BPF_ATOMIC_ADD | BPF_ATOMIC_FETCH))
        emit_xadd(&jit->emit, width, mem, src);
    else if (insn.imm & BPF_ATOMIC_FETCH)
        fetch_and(jit, atomic_op(insn.imm), width, mem, src);
    else
        emit_alu_to_mem(&jit->emit, atomic_op(insn.imm), width, mem, src);
    return 1;
}
