/* The rules for bounds are those of unsigned arithmetic that cannot wrap around: where the largest
 * operands still fit, the result is bounded by theirs; where they may not, it is bounded by the
 * width only. Nothing is concluded from a number that may be negative. r10 is the stack's top less
 * some frames, and no instruction writes it.
 */
#include "bpf/regs.h"

#include "bpf/layout.h"

enum {
    ALL = (1 << BPF_REG_COUNT) - 1,
    ARGS = 0x3e,        /* r1 to r5 */
    RESULT_ARGS = 0x3f, /* and r0 */
};

static uint16_t
bit(unsigned reg)
{
    return (uint16_t)(1u << reg);
}

/* The register that takes the old value of the word in memory, as a set. */
static uint16_t
fetched_into(struct bpf_insn insn)
{
    if (insn.imm == BPF_ATOMIC_CMPXCHG)
        return bit(0);
    return insn.imm & BPF_ATOMIC_FETCH ? bit(insn.src) : 0;
}

uint16_t
bpf_regs_read(struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    uint16_t dst = bit(insn.dst), src = opcode->reg ? bit(insn.src) : 0;
    switch (opcode->op) {
    case BPF_OP_MOV:
    case BPF_OP_LDX:
    case BPF_OP_LDXS:
        return src;
    case BPF_OP_LDDW:
    case BPF_OP_JA:
        return 0;
    case BPF_OP_LE:
    case BPF_OP_BE:
    case BPF_OP_SWAP:
        return dst; /* "reg" is the byte order there */
    case BPF_OP_ATOMIC:
        return dst | src | (insn.imm == BPF_ATOMIC_CMPXCHG ? bit(0) : 0);
    case BPF_OP_CALL:
        return insn.src == BPF_CALL_HELPER ? ARGS : ALL;
    case BPF_OP_CALLX:
        return ARGS | dst;
    case BPF_OP_EXIT:
        return ALL;
    default:
        return dst | src;
    }
}

uint16_t
bpf_regs_written(struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    switch (opcode->op) {
    case BPF_OP_ATOMIC:
        return fetched_into(insn);
    case BPF_OP_CALL:
    case BPF_OP_CALLX:
        return RESULT_ARGS; /* a called function's frame keeps r6 to r9 */
    default:
        return opcode->uses & BPF_WRITES_DST ? bit(insn.dst) : 0;
    }
}

/* --- bounds --- */

/* The largest number of so many bits. */
static uint64_t
max_of(unsigned bits)
{
    return bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

static uint64_t
lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void
bpf_bounds_init(struct bpf_bounds *bounds)
{
    for (unsigned reg = 0; reg < BPF_REG_COUNT; reg++)
        bounds->max[reg] = UINT64_MAX;
    bounds->max[BPF_REG_STACK] = BPF_STACK_TOP;
}

/* An operation of `bits` bits on numbers up to a and b, both of that width. `count` is the number
 * of a shift, or -1 when it is not known. */
struct bounded {
    unsigned bits;
    uint64_t a, b;
    int count;
};

static uint64_t
max_sum(const struct bounded *op)
{
    uint64_t limit = max_of(op->bits);
    return op->b <= limit - op->a ? op->a + op->b : limit;
}

static uint64_t
max_product(const struct bounded *op)
{
    uint64_t product, limit = max_of(op->bits);
    return __builtin_mul_overflow(op->a, op->b, &product) || product > limit ? limit : product;
}

/* or, xor: no bit above the highest of both. */
static uint64_t
max_bits(const struct bounded *op)
{
    uint64_t both = op->a | op->b;
    return both ? UINT64_MAX >> __builtin_clzll(both) : 0;
}

static uint64_t
max_left(const struct bounded *op)
{
    uint64_t limit = max_of(op->bits);
    return op->count >= 0 && op->a <= limit >> op->count ? op->a << op->count : limit;
}

static uint64_t
max_right(const struct bounded *op)
{
    return op->count >= 0 ? op->a >> op->count : op->a;
}

static uint64_t
max_right_signed(const struct bounded *op)
{
    return op->a <= max_of(op->bits - 1) ? max_right(op) : max_of(op->bits);
}

/* `off` bits of b with their sign, or b. */
static uint64_t
max_moved(const struct bounded *op, int off)
{
    return off == 0 || op->b <= max_of((unsigned)off - 1) ? op->b : max_of(op->bits);
}

static uint64_t
max_result(const struct bounded *op, struct bpf_insn insn)
{
    bool is_signed = insn.off != 0;
    switch (bpf_opcodes[insn.opcode].op) {
    case BPF_OP_ADD:
        return max_sum(op);
    case BPF_OP_MUL:
        return max_product(op);
    case BPF_OP_DIV: /* by 0 it is 0 */
    case BPF_OP_MOD: /* by 0 it is dst */
        return is_signed ? max_of(op->bits) : op->a;
    case BPF_OP_AND:
        return lower(op->a, op->b);
    case BPF_OP_OR:
    case BPF_OP_XOR:
        return max_bits(op);
    case BPF_OP_LSH:
        return max_left(op);
    case BPF_OP_RSH:
        return max_right(op);
    case BPF_OP_ARSH:
        return max_right_signed(op);
    case BPF_OP_MOV:
        return max_moved(op, insn.off);
    case BPF_OP_LE:
        return lower(op->a, max_of((unsigned)insn.imm));
    case BPF_OP_BE:
    case BPF_OP_SWAP:
        return max_of((unsigned)insn.imm);
    default:
        return max_of(op->bits);
    }
}

/* Of what arithmetic writes. */
static uint64_t
max_computed(const struct bpf_bounds *bounds, struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    uint64_t limit = max_of(opcode->width);
    struct bounded op = {
        .bits = opcode->width,
        .a = lower(bounds->max[insn.dst], limit),
        .b = opcode->reg ? lower(bounds->max[insn.src], limit) : (uint64_t)insn.imm & limit,
        .count = opcode->reg ? -1 : insn.imm & (opcode->width - 1),
    };
    return max_result(&op, insn);
}

static uint64_t
max_written(const struct bpf_bounds *bounds, const struct bpf_insn *insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn->opcode];
    switch (opcode->op) {
    case BPF_OP_LDDW:
        return bpf_wide_imm(insn);
    case BPF_OP_LDXS:
        return UINT64_MAX;
    case BPF_OP_LDX:
    case BPF_OP_ATOMIC:
        return max_of(opcode->width);
    default:
        return max_computed(bounds, *insn);
    }
}

/* A helper leaves 0 in r1 to r5, a function anything; it gives r6 to r9 back. */
static void
pass_call(struct bpf_bounds *bounds, struct bpf_insn insn)
{
    bool local = bpf_opcodes[insn.opcode].op == BPF_OP_CALL && insn.src == BPF_CALL_LOCAL;
    bounds->max[0] = UINT64_MAX;
    for (unsigned reg = 1; reg <= 5; reg++)
        bounds->max[reg] = local ? UINT64_MAX : 0;
}

void
bpf_bounds_pass(struct bpf_bounds *bounds, const struct bpf_insn *insn)
{
    uint8_t op = bpf_opcodes[insn->opcode].op;
    if (op == BPF_OP_CALL || op == BPF_OP_CALLX) {
        pass_call(bounds, *insn);
        return;
    }
    uint16_t written = bpf_regs_written(*insn);
    if (written == 0)
        return;
    uint64_t max = max_written(bounds, insn);
    bounds->max[__builtin_ctz(written)] = max; /* no other instruction writes two */
}
