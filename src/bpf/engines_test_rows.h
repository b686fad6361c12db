/* engines_test_rows: executes the rows of cases_test.h, each in many places.
 *
 * Rows are put one after the other into a program that fills registers, does the one instruction,
 * and stores all registers and some memory around what the instruction may write to on its stack.
 * A helper takes that out, to be compared with a model.
 */
#ifndef TARN_BPF_ENGINES_TEST_ROWS_H
#define TARN_BPF_ENGINES_TEST_ROWS_H

#include "bpf/engines_test_run.h"

/* What is seen of a row: all registers but r10, and memory in whose middle 8 bytes at any address
 * are. */
struct engines_seen {
    uint64_t regs[BPF_REG_STACK];
    char memory[24];
};

enum {
    BATCH_ROWS = ENGINES_TAKEN_MAX / sizeof(struct engines_seen),
    BATCH_INSNS = BATCH_ROWS * 64,
    BATCH_FILLER = 0x5a,
};

struct engines_batch {
    struct bpf_insn insns[BATCH_INSNS];
    uint32_t insn_count;
    uint32_t row_count;
    uint64_t regs[BPF_REG_STACK]; /* of the model */
    struct engines_seen expected[BATCH_ROWS];
    char names[BATCH_ROWS][96];
    uint64_t total; /* rows so far, which also chooses what may be any */
};

static struct engines_batch engines_batch;

static inline void
batch_add(struct bpf_insn insn)
{
    assert_true(engines_batch.insn_count < BATCH_INSNS);
    engines_batch.insns[engines_batch.insn_count++] = insn;
}

#define BATCH_ADD(...)                                       \
    do {                                                     \
        static const struct bpf_insn template = __VA_ARGS__; \
        batch_add(template);                                 \
    } while (0)

static inline void
batch_set(unsigned reg, uint64_t value)
{
    const struct bpf_insn wide[] = {LDDW(reg, value)};
    batch_add(wide[0]);
    batch_add(wide[1]);
    engines_batch.regs[reg] = value;
}

/* Where this row's memory is seen from r10. */
static inline int16_t
batch_place(size_t at)
{
    return (int16_t)(engines_batch.row_count * sizeof(struct engines_seen) + at -
                     ENGINES_TAKEN_MAX);
}

static inline void
batch_check_row(const char *how, uint32_t row, const struct engines_seen *seen)
{
    const struct engines_seen *expected = &engines_batch.expected[row];
    for (unsigned reg = 0; reg < BPF_REG_STACK; reg++) {
        if (seen->regs[reg] != expected->regs[reg])
            fail_msg("%s (%s): r%u is 0x%" PRIx64 ", expected 0x%" PRIx64, engines_batch.names[row],
                     how, reg, seen->regs[reg], expected->regs[reg]);
    }
    for (size_t i = 0; i < sizeof seen->memory; i++) {
        if (seen->memory[i] != expected->memory[i])
            fail_msg("%s (%s): byte %zu is 0x%02x, expected 0x%02x", engines_batch.names[row], how,
                     i, (uint8_t)seen->memory[i], (uint8_t)expected->memory[i]);
    }
}

static inline void
batch_check(const char *how, const struct engines_taken *taken)
{
    const struct engines_seen *seen = (const void *)taken->bytes;
    assert_int_equal(taken->len, engines_batch.row_count * sizeof *seen);
    for (uint32_t row = 0; row < engines_batch.row_count; row++)
        batch_check_row(how, row, &seen[row]);
}

/* Executes the rows that were gathered. */
static inline void
batch_flush(void)
{
    struct engines_batch *batch = &engines_batch;
    if (batch->row_count == 0)
        return;
    BATCH_ADD(MOV_R(R1, R10));
    BATCH_ADD(ALU64_I(ADD, R1, -ENGINES_TAKEN_MAX));
    batch_set(R2, batch->row_count * sizeof(struct engines_seen));
    BATCH_ADD(CALL(HELPER_TAKE));
    BATCH_ADD(EXIT);
    const struct bpf_case c = {
        .name = batch->names[0],
        .insns = batch->insns,
        .insn_count = batch->insn_count,
        .result = batch->row_count * sizeof(struct engines_seen),
    };
    engines_run_case(&c);
    for (enum engines_how how = 0; how < ENGINES_HOW_COUNT; how++) {
        if (engines_can(how, &c))
            batch_check(engines_how_names[how], &engines_endings[how].taken);
    }
    batch->insn_count = batch->row_count = 0;
}

/* The row is there, and the model is as after it: stores what is seen of it. */
static inline void __attribute__((format(printf, 2, 3)))
batch_end_row(const char *memory, const char *format, ...)
{
    struct engines_batch *batch = &engines_batch;
    struct engines_seen *expected = &batch->expected[batch->row_count];
    va_list args;
    va_start(args, format);
    vsnprintf(batch->names[batch->row_count], sizeof *batch->names, format, args);
    va_end(args);
    for (unsigned reg = 0; reg < BPF_REG_STACK; reg++) {
        const struct bpf_insn store = STX(DW, R10, batch_place(reg * sizeof(uint64_t)), reg);
        batch_add(store);
    }
    memcpy(expected->regs, batch->regs, sizeof expected->regs);
    memcpy(expected->memory, memory, sizeof expected->memory);
    batch->total++;
    if (++batch->row_count == BATCH_ROWS)
        batch_flush();
}

/* Forgets rows that a test which failed has left. */
static inline void
batch_begin(void)
{
    engines_batch.insn_count = engines_batch.row_count = 0;
    engines_batch.total = 0;
}

/* The first row of a program gives every register a value of its own. */
static inline void
batch_begin_row(void)
{
    if (engines_batch.row_count == 0) {
        for (unsigned reg = 0; reg < BPF_REG_STACK; reg++)
            batch_set(reg, 0x0101010101010101 * (reg + 1));
    }
}

static inline void
batch_alu(const struct bpf_alu_row *row, unsigned dst, unsigned src, bool has_src)
{
    static const char no_memory[sizeof((struct engines_seen *)0)->memory];
    batch_begin_row();
    batch_set(dst, row->a);
    if (has_src)
        batch_set(src, row->b);
    batch_add((struct bpf_insn){row->opcode, dst, has_src ? src : 0, row->off, row->imm});
    engines_batch.regs[dst] = row->result;
    batch_end_row(no_memory, "%s of 0x%" PRIx64 " and 0x%" PRIx64 " in r%u, r%u", row->name, row->a,
                  has_src ? row->b : (uint64_t)row->imm, dst, src);
}

enum { SEQUENCE_KNOWN, SEQUENCE_UNKNOWN, SEQUENCE_APART, SEQUENCE_WAYS };

static inline unsigned
sequence_reg(unsigned stands_for, unsigned dst, unsigned src)
{
    return stands_for == R0 ? dst : src;
}

/* A jump to the next does nothing but that nothing is known behind it; SEQUENCE_UNKNOWN: in front
 * of the first, SEQUENCE_APART: between all. */
static inline void
batch_sequence(const struct bpf_sequence_row *row, unsigned dst, unsigned src, unsigned way)
{
    static const char no_memory[sizeof((struct engines_seen *)0)->memory];
    batch_begin_row();
    batch_set(dst, row->a);
    batch_set(src, row->b);
    for (unsigned i = 0; i < ROW_COUNT(row->insns); i++) {
        struct bpf_insn insn = row->insns[i];
        bool has_dst = insn.opcode, has_src = (insn.opcode & 8) && (insn.opcode & 0xf0) != 0xd0;
        if (!insn.opcode && (i == 0 || row->insns[i - 1].opcode != 0x18))
            break;
        if (insn.opcode && way != SEQUENCE_KNOWN && (i == 0 || way == SEQUENCE_APART))
            batch_add((struct bpf_insn)GOTO(0));
        insn.dst = has_dst ? sequence_reg(insn.dst, dst, src) & 0xf : 0;
        insn.src = has_src && insn.opcode != 0x18 ? sequence_reg(insn.src, dst, src) & 0xf : 0;
        batch_add(insn);
    }
    engines_batch.regs[dst] = row->result;
    batch_end_row(no_memory, "%s of 0x%" PRIx64 " and 0x%" PRIx64 " in r%u, r%u (%u)", row->name,
                  row->a, row->b, dst, src, way);
}

/* Forward, and back: memory[0] says whether the first was taken, memory[1] the second. */
static inline void
batch_jump(const struct bpf_jump_row *row, unsigned dst, unsigned src, bool has_src)
{
    int16_t first = batch_place(sizeof(uint64_t[BPF_REG_STACK])), second = (int16_t)(first + 1);
    const char memory[sizeof((struct engines_seen *)0)->memory] = {row->taken ? 1 : 2,
                                                                   row->taken ? 1 : 2};
    struct bpf_insn jump = {row->opcode, dst, has_src ? src : 0, 1, row->imm};
    batch_begin_row();
    batch_set(dst, row->a);
    if (has_src)
        batch_set(src, row->b);
    batch_add((struct bpf_insn)ST(B, R10, first, 1));
    batch_add(jump);
    batch_add((struct bpf_insn)ST(B, R10, first, 2));
    batch_add((struct bpf_insn)GOTO(2));
    batch_add((struct bpf_insn)ST(B, R10, second, 1));
    batch_add((struct bpf_insn)GOTO(2));
    batch_add((struct bpf_insn)ST(B, R10, second, 2));
    jump.off = -4;
    batch_add(jump);
    batch_end_row(memory, "%s of 0x%" PRIx64 " and 0x%" PRIx64 " in r%u, r%u", row->name, row->a,
                  has_src ? row->b : (uint64_t)row->imm, dst, src);
}

static inline unsigned
opcode_class(uint8_t opcode)
{
    return opcode & 7;
}

static inline bool
is_load(uint8_t opcode)
{
    return opcode_class(opcode) == 1;
}

static inline bool
is_store_imm(uint8_t opcode)
{
    return opcode_class(opcode) == 2;
}

static inline bool
is_cmpxchg(const struct bpf_access_row *row)
{
    return (row->opcode == 0xc3 || row->opcode == 0xdb) && row->imm == CMPXCHG;
}

/* Puts `value` at `at` of the row's memory, with filler around. */
static inline void
batch_fill_memory(size_t at, uint64_t value)
{
    int16_t start = batch_place(sizeof(uint64_t[BPF_REG_STACK]));
    int16_t place = (int16_t)(start + (int16_t)at);
    for (int16_t i = 0; i < 24; i = (int16_t)(i + 4))
        batch_add((struct bpf_insn)ST(W, R10, (int16_t)(start + i), BATCH_FILLER * 0x01010101));
    batch_add((struct bpf_insn)ST(W, R10, place, (int32_t)(uint32_t)value));
    batch_add((struct bpf_insn)ST(W, R10, (int16_t)(place + 4), (int32_t)(value >> 32)));
}

/* `base` is the register with the address, `reg` the other. The place is aligned or not, the
 * displacement of any size, the upper half of the address anything. */
static inline void
batch_access(const struct bpf_access_row *row, unsigned base, unsigned reg)
{
    static const int16_t displacements[] = {0,    1,    -1,   127,   128,   -128,
                                            -129, 1000, -999, 32767, -32768};
    struct engines_batch *batch = &engines_batch;
    char memory[sizeof((struct engines_seen *)0)->memory];
    size_t at = 8 + batch->total % 8;
    int16_t place = (int16_t)(batch_place(sizeof(uint64_t[BPF_REG_STACK])) + (int16_t)at);
    int16_t off = displacements[batch->total % (sizeof displacements / sizeof *displacements)];
    bool load = is_load(row->opcode), imm_only = is_store_imm(row->opcode);
    batch_begin_row();
    batch_fill_memory(at, row->memory);
    if (!imm_only)
        batch_set(reg, row->reg);
    if (is_cmpxchg(row))
        batch_set(R0, row->r0);
    if (base == R10)
        off = place;
    else
        batch_set(base, (uint64_t)(BPF_STACK_TOP + place - off) | (batch->total % 3 << 62));
    batch_add((struct bpf_insn){row->opcode, load ? reg : base,
                                imm_only ? 0
                                : load   ? base
                                         : reg,
                                off, row->imm});
    if (!imm_only)
        batch->regs[reg] = row->reg_after;
    if (is_cmpxchg(row))
        batch->regs[R0] = row->r0_after;
    memset(memory, BATCH_FILLER, sizeof memory);
    memcpy(memory + at, &row->memory_after, sizeof row->memory_after);
    batch_end_row(memory, "%s at r%u%+d, r%u", row->name, base, off, reg);
}

/* --- tables --- */

/* Any two registers, or one that is both; in turn. */
static inline unsigned
any_dst(void)
{
    return engines_batch.total / 9 % 10;
}

static inline unsigned
any_src(void)
{
    unsigned src = engines_batch.total % 9;
    return src < any_dst() ? src : src + 1;
}

/* Byte swaps use the bit that says so for something else. */
static inline bool
alu_has_src(const struct bpf_alu_row *row)
{
    return (row->opcode & 8) && (row->opcode & 0xf0) != 0xd0;
}

static inline void
engines_run_alu(const struct bpf_alu_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        bool has_src = alu_has_src(&rows[i]);
        batch_alu(&rows[i], any_dst(), any_src(), has_src);
        if (has_src && rows[i].a == rows[i].b) {
            unsigned reg = engines_batch.total % 10;
            batch_alu(&rows[i], reg, reg, true);
        }
    }
    batch_flush();
}

/* With every pair of registers. */
static inline void
engines_run_alu_everywhere(const struct bpf_alu_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        bool has_src = alu_has_src(&rows[i]);
        for (unsigned dst = R0; dst < R10; dst++) {
            for (unsigned src = R0; src < (has_src ? R10 : R1); src++) {
                if (!has_src || dst != src || rows[i].a == rows[i].b)
                    batch_alu(&rows[i], dst, src, has_src);
            }
        }
    }
    batch_flush();
}

static inline void
engines_run_sequences(const struct bpf_sequence_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        for (unsigned way = 0; way < SEQUENCE_WAYS; way++)
            batch_sequence(&rows[i], any_dst(), any_src(), way);
    }
    batch_flush();
}

static inline void
engines_run_jumps(const struct bpf_jump_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        bool has_src = rows[i].opcode & 8;
        batch_jump(&rows[i], any_dst(), any_src(), has_src);
        if (has_src && rows[i].a == rows[i].b) {
            unsigned reg = engines_batch.total % 10;
            batch_jump(&rows[i], reg, reg, true);
        }
    }
    batch_flush();
}

static inline void
engines_run_jumps_everywhere(const struct bpf_jump_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        bool has_src = rows[i].opcode & 8;
        for (unsigned dst = R0; dst < R10; dst++) {
            for (unsigned src = R0; src < (has_src ? R10 : R1); src++) {
                if (!has_src || dst != src || rows[i].a == rows[i].b)
                    batch_jump(&rows[i], dst, src, has_src);
            }
        }
    }
    batch_flush();
}

/* With every pair of registers for which the row says all: an address that is also stored, compared
 * or exchanged is for programs. */
static inline void
engines_run_accesses(const struct bpf_access_row *rows, size_t count)
{
    batch_begin();
    for (size_t i = 0; i < count; i++) {
        bool one = is_store_imm(rows[i].opcode), cmpxchg = is_cmpxchg(&rows[i]);
        for (unsigned base = R0; base <= R10; base++) {
            for (unsigned reg = R0; reg < (one ? R1 : R10); reg++) {
                bool same = base == reg && !one && !is_load(rows[i].opcode);
                if (!same && !(cmpxchg && (base == R0 || reg == R0)))
                    batch_access(&rows[i], base, reg);
            }
        }
    }
    batch_flush();
}

#endif
