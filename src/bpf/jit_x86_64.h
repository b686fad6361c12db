/* jit_x86_64: what the files of the translator for x86-64 share. See jit_x86_64.c for how it works.
 * Not for others: jit.h is the interface.
 */
#ifndef TARN_BPF_JIT_X86_64_H
#define TARN_BPF_JIT_X86_64_H

#include "bpf/emit_x86_64.h"
#include "bpf/jit.h"
#include "bpf/regs.h"
#include "bpf/run_internal.h"

/* Script's registers: helpers find r1 to r5 where the calling convention wants them, and r6 to r10
 * are those that functions preserve. */
extern const uint8_t jit_regs[BPF_REG_COUNT];
enum {
    JIT_R0 = X86_RAX,
    JIT_STACK = X86_RBP, /* r10 */
    JIT_BASE = X86_R12,  /* of the cage */
    /* Free within an instruction; between instructions they hold copies (see jit_memory). */
    JIT_SCRATCH_1 = X86_R11,
    JIT_SCRATCH_2 = X86_R10,
    JIT_SCRATCH_3 = X86_R9,
    JIT_RUN = X86_R9, /* the last argument of helpers */
};

/* A place whose last four bytes are a distance that is not known yet. */
enum jit_fixup_kind {
    JIT_TO_INSN,       /* a jump, which may become a short one */
    JIT_CALL_INSN,     /* a call, which may not */
    JIT_TO_TABLE,      /* `target`: an entry of the table of addresses behind the code */
    JIT_TO_POLL,       /* the rest: a jump to code behind that of all instructions; `target`: the */
    JIT_TO_TRAP_CALLS, /* instruction it is for */
    JIT_TO_TRAP_UNKNOWN,
};

struct jit_fixup {
    uint32_t at;     /* where the machine instruction begins */
    uint32_t target; /* an instruction of the script, or an entry of the table */
    uint8_t kind;
    uint8_t len; /* of the machine instruction */
    bool is_short;
};

enum { JIT_FIXUPS_RESERVE = 8 };

enum { JIT_COPIES = 3, JIT_NO_COPY = 0xff };

struct jit {
    const struct bpf_insn *insns;
    const uint8_t *marks;
    uint32_t insn_count;
    uint32_t at; /* the instruction that is translated */
    const struct bpf_helper_table *helpers;
    bool helpers_by_number; /* of any number, so all are in the table */
    uint32_t mask;          /* length of the cage - 1 */
    unsigned features;
    struct emit emit;
    uint32_t *starts; /* insn_count + 1 */
    struct jit_fixup *fixups;
    uint32_t fixup_count, fixup_room;
    /* what is known before the instruction */
    struct bpf_bounds bounds;
    uint8_t copies[JIT_COPIES]; /* of which script's register a scratch register is an address */
    uint8_t copy_next;          /* to be replaced */
};

/* Emits the code of the instruction at jit->at; returns how many instructions that covers: the
 * second half of a wide one, and followers that were taken together with it. */
typedef unsigned jit_emitter(struct jit *jit, struct bpf_insn insn);
jit_emitter jit_add, jit_sub, jit_mul, jit_div, jit_or, jit_and, jit_lsh, jit_shift, jit_neg,
    jit_xor, jit_mov, jit_le, jit_swap, jit_lddw;     /* jit_alu_x86_64.c, jit_div_x86_64.c */
jit_emitter jit_rotate;                               /* jit_rotate_x86_64.c: 0 when it is none */
jit_emitter jit_load, jit_store, jit_atomic;          /* jit_memory_x86_64.c */
jit_emitter jit_jump, jit_call, jit_call_by_register, /* jit_flow_x86_64.c */
    jit_exit;

/* The instruction `distance` behind jit->at, when only this one comes before it; else NULL. */
const struct bpf_insn *jit_follower(const struct jit *jit, unsigned distance);
/* Of `regs`, those whose value may be read before it is written, from `distance` behind jit->at on.
 */
uint16_t jit_regs_in_use(const struct jit *jit, uint16_t regs, unsigned distance);
/* The scratch registers are used, or lost. */
void jit_forget_copies(struct jit *jit);

/* Room for EMIT_RESERVE bytes and JIT_FIXUPS_RESERVE fixups. False: no memory. */
bool jit_reserve(struct jit *jit) MUST_USE;
/* Notes that the last `len` bytes are a machine instruction with a distance to `target`. */
void jit_add_fixup(struct jit *jit, enum jit_fixup_kind kind, unsigned len, uint32_t target);
/* Makes jumps short where that is possible, and moves the code together: starts and fixups are true
 * again afterwards. False: no memory. jit_relax_x86_64.c */
bool jit_shorten(struct jit *jit) MUST_USE;
/* What stands behind the code of all instructions; then patches every distance. False: no memory.
 */
bool jit_finish(struct jit *jit) MUST_USE;

/* Whether control may come to an instruction from elsewhere than from the one before: by a jump, a
 * call, or, as nothing falls through to it, only as the first of a run. */
static inline bool
jit_is_start(const struct bpf_insn *insns, const uint8_t *marks, uint32_t at)
{
    if (at == 0 || marks[at] & (BPF_MARK_TARGET | BPF_MARK_FUNCTION))
        return true;
    uint8_t op = bpf_opcodes[insns[at - 1].opcode].op;
    return op == BPF_OP_EXIT || op == BPF_OP_JA;
}

static inline unsigned
jit_width(struct bpf_insn insn)
{
    return bpf_opcodes[insn.opcode].width;
}

/* Below 4 GiB: the upper half is 0. */
static inline bool
jit_is_narrow(const struct jit *jit, unsigned reg)
{
    return jit->bounds.max[reg] <= UINT32_MAX;
}

/* The same of the second operand of arithmetic or a comparison. */
static inline bool
jit_is_operand_narrow(const struct jit *jit, struct bpf_insn insn)
{
    return bpf_opcodes[insn.opcode].reg ? jit_is_narrow(jit, insn.src) : insn.imm >= 0;
}

#endif
