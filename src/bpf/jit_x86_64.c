/* The translator for x86-64: one pass over the instructions, each of which becomes machine code by
 * the emitter of its operation, then one that makes jumps short (jit_relax), then what stands
 * behind the code (jit_flow: polls that were taken, traps, the table of addresses).
 *
 *     r0   r1   r2   r3   r4   r5   r6   r7   r8   r9   r10  base  scratch
 *     rax  rdi  rsi  rdx  rcx  r8   rbx  r13  r14  r15  rbp  r12   r11, r10, r9
 *
 * The code is independent of where it lies: what it calls is in a table of addresses behind it, and
 * struct bpf_run is found from the cage's base. Within the code rsp is a multiple of 16: a script's
 * function pushes nothing, so helpers find the stack as their convention wants it.
 *
 * Some things are known about registers at an instruction (`bounds`, `copies` of struct jit). They
 * are forgotten wherever control can come from elsewhere than from the instruction before
 * (jit_is_start). Two instructions are taken together only when nothing jumps to the second.
 */
#include "bpf/jit_x86_64.h"

#include "base/must.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AHEAD = 64 }; /* bounds what is spent on one instruction */

const uint8_t jit_regs[BPF_REG_COUNT] = {
    X86_RAX, X86_RDI, X86_RSI, X86_RDX, X86_RCX, X86_R8,
    X86_RBX, X86_R13, X86_R14, X86_R15, X86_RBP,
};

static jit_emitter *const emitters[BPF_OP_COUNT] = {
    [BPF_OP_ADD] = jit_add,       [BPF_OP_SUB] = jit_sub,   [BPF_OP_MUL] = jit_mul,
    [BPF_OP_DIV] = jit_div,       [BPF_OP_OR] = jit_or,     [BPF_OP_AND] = jit_and,
    [BPF_OP_LSH] = jit_lsh,       [BPF_OP_RSH] = jit_shift, [BPF_OP_NEG] = jit_neg,
    [BPF_OP_MOD] = jit_div,       [BPF_OP_XOR] = jit_xor,   [BPF_OP_MOV] = jit_mov,
    [BPF_OP_ARSH] = jit_shift,    [BPF_OP_LE] = jit_le,     [BPF_OP_BE] = jit_swap,
    [BPF_OP_SWAP] = jit_swap,     [BPF_OP_JA] = jit_jump,   [BPF_OP_JEQ] = jit_jump,
    [BPF_OP_JGT] = jit_jump,      [BPF_OP_JGE] = jit_jump,  [BPF_OP_JSET] = jit_jump,
    [BPF_OP_JNE] = jit_jump,      [BPF_OP_JSGT] = jit_jump, [BPF_OP_JSGE] = jit_jump,
    [BPF_OP_JLT] = jit_jump,      [BPF_OP_JLE] = jit_jump,  [BPF_OP_JSLT] = jit_jump,
    [BPF_OP_JSLE] = jit_jump,     [BPF_OP_CALL] = jit_call, [BPF_OP_CALLX] = jit_call_by_register,
    [BPF_OP_EXIT] = jit_exit,     [BPF_OP_LDDW] = jit_lddw, [BPF_OP_LDX] = jit_load,
    [BPF_OP_LDXS] = jit_load,     [BPF_OP_ST] = jit_store,  [BPF_OP_STX] = jit_store,
    [BPF_OP_ATOMIC] = jit_atomic,
};

const struct bpf_insn *
jit_follower(const struct jit *jit, unsigned distance)
{
    uint32_t at = jit->at + distance;
    if (at >= jit->insn_count || jit_is_start(jit->insns, jit->marks, at))
        return NULL;
    return &jit->insns[at];
}

uint16_t
jit_regs_in_use(const struct jit *jit, uint16_t regs, unsigned distance)
{
    unsigned end = distance + LOOK_AHEAD;
    uint16_t used = 0;
    for (const struct bpf_insn *insn; regs && distance < end; distance += bpf_is_wide(*insn) + 1u) {
        insn = jit_follower(jit, distance);
        if (!insn || bpf_is_jump(*insn))
            break;
        used |= regs & bpf_regs_read(*insn);
        regs &= (uint16_t) ~(bpf_regs_read(*insn) | bpf_regs_written(*insn));
    }
    return used | regs;
}

void
jit_forget_copies(struct jit *jit)
{
    memset(jit->copies, JIT_NO_COPY, sizeof(jit->copies));
    jit->copy_next = 0;
}

void
jit_add_fixup(struct jit *jit, enum jit_fixup_kind kind, unsigned len, uint32_t target)
{
    must(jit->fixup_count < jit->fixup_room);
    jit->fixups[jit->fixup_count++] = (struct jit_fixup){
        .at = jit->emit.len - len,
        .target = target,
        .kind = (uint8_t)kind,
        .len = (uint8_t)len,
    };
}

bool
jit_reserve(struct jit *jit)
{
    if (jit->fixup_room - jit->fixup_count < JIT_FIXUPS_RESERVE) {
        uint32_t room = jit->fixup_room * 2 + 8 * JIT_FIXUPS_RESERVE;
        struct jit_fixup *fixups = realloc(jit->fixups, (size_t)room * sizeof(*fixups));
        if (!fixups)
            return false;
        jit->fixups = fixups;
        jit->fixup_room = room;
    }
    return emit_reserve(&jit->emit);
}

/* What is known behind the `count` instructions that were just translated. */
static void
learn(struct jit *jit, uint32_t count)
{
    uint32_t end = jit->at + count;
    for (uint32_t at = jit->at; at < end; at += bpf_is_wide(jit->insns[at]) ? 2 : 1) {
        const struct bpf_insn *insn = &jit->insns[at];
        uint16_t written = bpf_regs_written(*insn);
        bpf_bounds_pass(&jit->bounds, insn);
        for (unsigned i = 0; i < JIT_COPIES; i++) {
            if (jit->copies[i] != JIT_NO_COPY && written >> jit->copies[i] & 1)
                jit->copies[i] = JIT_NO_COPY;
        }
    }
}

/* Each jump becomes shorter by so much at most. */
static uint64_t
len_at_least(const struct jit *jit)
{
    uint64_t gain = (uint64_t)jit->fixup_count * (EMIT_JCC_LEN - EMIT_SHORT_LEN);
    return jit->emit.len > gain ? jit->emit.len - gain : 0;
}

static int
too_long(const struct jit *jit, uint64_t len_max, struct error *error)
{
    return error_set(error,
                     "machine code of %" PRIu32 " instructions is longer than %" PRIu64
                     " bytes, the limit",
                     jit->insn_count, len_max);
}

static int
translate(struct jit *jit, uint64_t len_max, struct error *error)
{
    while (jit->at < jit->insn_count) {
        struct bpf_insn insn = jit->insns[jit->at];
        if (!jit_reserve(jit))
            return error_set(error, "no memory for machine code");
        if (jit_is_start(jit->insns, jit->marks, jit->at)) {
            bpf_bounds_init(&jit->bounds);
            jit_forget_copies(jit);
        }
        jit->starts[jit->at] = jit->emit.len;
        jit_emitter *emitter = emitters[bpf_opcodes[insn.opcode].op];
        must(emitter);
        unsigned count = emitter(jit, insn);
        for (unsigned i = 1; i < count; i++)
            jit->starts[jit->at + i] = jit->emit.len;
        learn(jit, count);
        jit->at += count;
        if (len_at_least(jit) > len_max)
            return too_long(jit, len_max, error);
    }
    jit->starts[jit->insn_count] = jit->emit.len;
    return 0;
}

static int
build(struct jit *jit, struct bpf_code *code, uint64_t len_max, struct error *error)
{
    if (!jit->starts)
        return error_set(error, "no memory for machine code");
    if (translate(jit, len_max, error) < 0)
        return -1;
    if (!jit_shorten(jit) || !jit_finish(jit))
        return error_set(error, "no memory for machine code");
    if (jit->emit.len > len_max)
        return too_long(jit, len_max, error);
    return bpf_code_map(code, (const char *)jit->emit.bytes, jit->emit.len, error);
}

int
bpf_code_new(struct bpf_code *code, const struct bpf_object *object, const struct bpf_check *check,
             const struct bpf_helper_table *helpers, uint64_t len_max, struct error *error)
{
    struct jit jit = {
        .insns = object->insns,
        .marks = check->marks,
        .insn_count = object->insn_count,
        .helpers = helpers,
        .helpers_by_number = check->calls_by_register,
        .mask = (uint32_t)(bpf_cage_len() - 1),
        .features = x86_features(),
    };
    *code = (struct bpf_code){0};
    jit_forget_copies(&jit);
    jit.starts = malloc(((size_t)jit.insn_count + 1) * sizeof(*jit.starts));
    int result = build(&jit, code, len_max, error);
    if (result == 0)
        code->starts = jit.starts;
    else
        free(jit.starts);
    emit_deinit(&jit.emit);
    free(jit.fixups);
    return result;
}
