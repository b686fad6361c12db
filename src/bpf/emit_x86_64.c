/* An instruction is: prefix 66, REX, opcode of up to three bytes, ModRM, SIB, displacement,
 * constant. REX is there when the operation has 64 bits, when a register is r8 to r15, or when
 * spl, bpl, sil or dil is meant (without it their codes name ah to bh).
 */
#include "bpf/emit_x86_64.h"
#include "base/must.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Of an instruction, besides the opcode. */
enum {
    WIDE = 1,      /* REX.W */
    PREFIX_16 = 2, /* 66 */
    BYTE_REG = 4,  /* the register in ModRM.reg is a byte's */
    BYTE_RM = 8,   /* and that in ModRM.rm */
};

enum { MODE_DIRECT = 3, RM_SIB = 4, RM_RELATIVE = 5 };

static atomic_uint features_mask = ~0u;

unsigned
x86_features(void)
{
    unsigned ecx, features = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("bmi2"))
        features |= X86_HAS_BMI2;
    __asm__("cpuid" : "=c"(ecx) : "a"(1), "c"(0) : "ebx", "edx");
    if (ecx >> 22 & 1)
        features |= X86_HAS_MOVBE;
    return features & atomic_load(&features_mask);
}

void
x86_features_limit(unsigned features)
{
    atomic_store(&features_mask, features);
}

bool
emit_reserve(struct emit *emit)
{
    if (emit->room - emit->len >= EMIT_RESERVE)
        return true;
    uint64_t room = (uint64_t)emit->room * 2 + 16 * EMIT_RESERVE;
    if (room > INT32_MAX)
        return false;
    uint8_t *bytes = realloc(emit->bytes, room);
    if (!bytes)
        return false;
    emit->bytes = bytes;
    emit->room = (uint32_t)room;
    return true;
}

void
emit_deinit(struct emit *emit)
{
    free(emit->bytes);
    *emit = (struct emit){0};
}

void
emit_byte(struct emit *emit, uint8_t byte)
{
    emit->bytes[emit->len++] = byte;
}

static void
emit_16(struct emit *emit, uint16_t word)
{
    memcpy(emit->bytes + emit->len, &word, sizeof(word));
    emit->len += sizeof(word);
}

void
emit_32(struct emit *emit, uint32_t word)
{
    memcpy(emit->bytes + emit->len, &word, sizeof(word));
    emit->len += sizeof(word);
}

void
emit_patch_32(struct emit *emit, uint32_t at, uint32_t word)
{
    memcpy(emit->bytes + at, &word, sizeof(word));
}

static bool
is_8(int32_t value)
{
    return value == (int8_t)value;
}

static unsigned
wide_if(unsigned width)
{
    return width == 64 ? WIDE : 0;
}

/* `opcode` has its bytes in the order of the manual: 0x0fb6 is 0f b6. */
static void
put_opcode(struct emit *emit, unsigned flags, uint32_t opcode, unsigned rex)
{
    if (flags & PREFIX_16)
        emit_byte(emit, 0x66);
    if (rex)
        emit_byte(emit, (uint8_t)(0x40 | rex));
    if (opcode > 0xffff)
        emit_byte(emit, (uint8_t)(opcode >> 16));
    if (opcode > 0xff)
        emit_byte(emit, (uint8_t)(opcode >> 8));
    emit_byte(emit, (uint8_t)opcode);
}

/* The REX bits, or'ed with 0x40 where none of them is set but the prefix is needed. */
static unsigned
rex_bits(unsigned flags, unsigned reg, unsigned index, unsigned base)
{
    unsigned rex = (flags & WIDE) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
    bool byte_needs =
        ((flags & BYTE_REG) && reg >= X86_RSP) || ((flags & BYTE_RM) && base >= X86_RSP);
    return byte_needs ? rex | 0x40 : rex;
}

static void
put_modrm(struct emit *emit, unsigned mode, unsigned reg, unsigned rm)
{
    emit_byte(emit, (uint8_t)(mode << 6 | (reg & 7) << 3 | (rm & 7)));
}

/* Both operands are registers; `reg` may be a part of the opcode. */
static void
put_rr(struct emit *emit, unsigned flags, uint32_t opcode, unsigned reg, unsigned rm)
{
    put_opcode(emit, flags, opcode, rex_bits(flags, reg, 0, rm));
    put_modrm(emit, MODE_DIRECT, reg, rm);
}

/* rbp and r13 as a base have no form without a displacement; rsp and r12 none without SIB. */
static void
put_rm(struct emit *emit, unsigned flags, uint32_t opcode, unsigned reg, struct x86_mem mem)
{
    unsigned index = mem.index == X86_NO_INDEX ? 0u : mem.index;
    bool needs_disp = (mem.base & 7) == X86_RBP;
    bool needs_sib = mem.index != X86_NO_INDEX || (mem.base & 7) == X86_RSP;
    unsigned mode = mem.disp == 0 && !needs_disp ? 0 : is_8(mem.disp) ? 1 : 2;

    put_opcode(emit, flags, opcode, rex_bits(flags & ~(unsigned)BYTE_RM, reg, index, mem.base));
    put_modrm(emit, mode, reg, needs_sib ? (unsigned)RM_SIB : mem.base);
    if (needs_sib)
        emit_byte(emit, (uint8_t)(mem.scale << 6 | (mem.index & 7) << 3 | (mem.base & 7)));
    if (mode == 1)
        emit_byte(emit, (uint8_t)mem.disp);
    if (mode == 2)
        emit_32(emit, (uint32_t)mem.disp);
}

void
emit_mov(struct emit *emit, unsigned width, unsigned dst, unsigned src)
{
    put_rr(emit, wide_if(width), 0x89, src, dst);
}

void
emit_mov_imm(struct emit *emit, unsigned dst, uint64_t value)
{
    if (value == 0) {
        emit_alu(emit, X86_XOR, 32, dst, dst);
    } else if (value <= UINT32_MAX) {
        put_opcode(emit, 0, 0xb8 | (dst & 7), rex_bits(0, 0, 0, dst));
        emit_32(emit, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        put_rr(emit, WIDE, 0xc7, 0, dst);
        emit_32(emit, (uint32_t)value);
    } else {
        put_opcode(emit, 0, 0xb8 | (dst & 7), rex_bits(WIDE, 0, 0, dst));
        emit_32(emit, (uint32_t)value);
        emit_32(emit, (uint32_t)(value >> 32));
    }
}

void
emit_mov_zero_extend(struct emit *emit, unsigned bits, unsigned dst, unsigned src)
{
    if (bits == 32)
        emit_mov(emit, 32, dst, src);
    else if (bits == 16)
        put_rr(emit, 0, 0x0fb7, dst, src);
    else
        put_rr(emit, BYTE_RM, 0x0fb6, dst, src);
}

void
emit_mov_sign_extend(struct emit *emit, unsigned width, unsigned bits, unsigned dst, unsigned src)
{
    if (bits == 32)
        put_rr(emit, WIDE, 0x63, dst, src);
    else if (bits == 16)
        put_rr(emit, wide_if(width), 0x0fbf, dst, src);
    else
        put_rr(emit, wide_if(width) | BYTE_RM, 0x0fbe, dst, src);
}

void
emit_lea(struct emit *emit, unsigned width, unsigned dst, struct x86_mem mem)
{
    put_rm(emit, wide_if(width), 0x8d, dst, mem);
}

void
emit_alu(struct emit *emit, enum x86_alu op, unsigned width, unsigned dst, unsigned src)
{
    put_rr(emit, wide_if(width), op << 3 | 1, src, dst);
}

void
emit_alu_imm(struct emit *emit, enum x86_alu op, unsigned width, unsigned dst, int32_t imm)
{
    unsigned flags = wide_if(width);
    if (is_8(imm)) {
        put_rr(emit, flags, 0x83, op, dst);
        emit_byte(emit, (uint8_t)imm);
        return;
    }
    if (dst == X86_RAX)
        put_opcode(emit, flags, op << 3 | 5, rex_bits(flags, 0, 0, 0));
    else
        put_rr(emit, flags, 0x81, op, dst);
    emit_32(emit, (uint32_t)imm);
}

void
emit_alu_to_mem(struct emit *emit, enum x86_alu op, unsigned width, struct x86_mem mem,
                unsigned src)
{
    put_rm(emit, wide_if(width), op << 3 | 1, src, mem);
}

void
emit_cmp_mem_imm(struct emit *emit, struct x86_mem mem, int8_t imm)
{
    put_rm(emit, 0, 0x83, X86_CMP, mem);
    emit_byte(emit, (uint8_t)imm);
}

void
emit_test(struct emit *emit, unsigned width, unsigned a, unsigned b)
{
    put_rr(emit, wide_if(width), 0x85, b, a);
}

/* A constant that is not negative has no bits above the 31st, in any width. */
void
emit_test_imm(struct emit *emit, unsigned width, unsigned reg, int32_t imm)
{
    bool byte = imm >= 0 && imm <= UINT8_MAX;
    unsigned flags = byte ? BYTE_RM : imm < 0 ? wide_if(width) : 0;
    if (reg == X86_RAX)
        put_opcode(emit, flags, byte ? 0xa8 : 0xa9, rex_bits(flags, 0, 0, 0));
    else
        put_rr(emit, flags, byte ? 0xf6 : 0xf7, 0, reg);
    if (byte)
        emit_byte(emit, (uint8_t)imm);
    else
        emit_32(emit, (uint32_t)imm);
}

void
emit_unary(struct emit *emit, enum x86_unary op, unsigned width, unsigned reg)
{
    put_rr(emit, wide_if(width), op >= X86_INC ? 0xff : 0xf7, op & 7, reg);
}

void
emit_sign_to_rdx(struct emit *emit, unsigned width)
{
    put_opcode(emit, 0, 0x99, wide_if(width) << 3);
}

void
emit_imul(struct emit *emit, unsigned width, unsigned dst, unsigned src)
{
    put_rr(emit, wide_if(width), 0x0faf, dst, src);
}

void
emit_imul_imm(struct emit *emit, unsigned width, unsigned dst, unsigned src, int32_t imm)
{
    put_rr(emit, wide_if(width), is_8(imm) ? 0x6b : 0x69, dst, src);
    if (is_8(imm))
        emit_byte(emit, (uint8_t)imm);
    else
        emit_32(emit, (uint32_t)imm);
}

void
emit_shift_imm(struct emit *emit, enum x86_shift op, unsigned width, unsigned reg, unsigned count)
{
    put_rr(emit, wide_if(width), count == 1 ? 0xd1 : 0xc1, op, reg);
    if (count != 1)
        emit_byte(emit, (uint8_t)count);
}

void
emit_shift_cl(struct emit *emit, enum x86_shift op, unsigned width, unsigned reg)
{
    put_rr(emit, wide_if(width), 0xd3, op, reg);
}

/* VEX of three bytes: map (2: 0f38, 3: 0f3a), a third register (15: none), prefix (1: 66, 2: f3, 3:
 * f2). Its register bits are stored inverted. */
static void
put_vex(struct emit *emit, unsigned map, unsigned width, unsigned reg, unsigned third, unsigned rm,
        unsigned prefix)
{
    emit_byte(emit, 0xc4);
    emit_byte(emit, (uint8_t)((reg < 8) << 7 | 1 << 6 | (rm < 8) << 5 | map));
    emit_byte(emit, (uint8_t)((width == 64) << 7 | (~third & 15) << 3 | prefix));
}

void
emit_shift_by(struct emit *emit, enum x86_shift op, unsigned width, unsigned dst, unsigned src,
              unsigned count)
{
    put_vex(emit, 2, width, dst, count, src, op == X86_SHL ? 1 : op == X86_SAR ? 2 : 3);
    emit_byte(emit, 0xf7);
    put_modrm(emit, MODE_DIRECT, dst, src);
}

void
emit_rotate_imm(struct emit *emit, unsigned width, unsigned dst, unsigned src, unsigned count)
{
    put_vex(emit, 3, width, dst, 0, src, 3);
    emit_byte(emit, 0xf0);
    put_modrm(emit, MODE_DIRECT, dst, src);
    emit_byte(emit, (uint8_t)count);
}

void
emit_bswap(struct emit *emit, unsigned width, unsigned reg)
{
    unsigned flags = wide_if(width);
    put_opcode(emit, flags, 0x0fc8 | (reg & 7), rex_bits(flags, 0, 0, reg));
}

void
emit_swap_16(struct emit *emit, unsigned reg)
{
    put_rr(emit, PREFIX_16, 0xc1, 0, reg); /* rol reg, 8 */
    emit_byte(emit, 8);
}

void
emit_load(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem)
{
    static const uint16_t opcodes[] = {[1] = 0x0fb6, [2] = 0x0fb7, [4] = 0x8b, [8] = 0x8b};
    put_rm(emit, wide_if(bits), opcodes[bits / 8], dst, mem);
}

void
emit_load_sign_extend(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem)
{
    static const uint16_t opcodes[] = {[1] = 0x0fbe, [2] = 0x0fbf, [4] = 0x63};
    put_rm(emit, WIDE, opcodes[bits / 8], dst, mem);
}

void
emit_load_swapped(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem)
{
    put_rm(emit, wide_if(bits), 0x0f38f0, dst, mem);
}

/* How the width of a store is told. */
static unsigned
store_flags(unsigned bits)
{
    return bits == 8 ? BYTE_REG : bits == 16 ? PREFIX_16 : wide_if(bits);
}

void
emit_store(struct emit *emit, unsigned bits, struct x86_mem mem, unsigned src)
{
    put_rm(emit, store_flags(bits), bits == 8 ? 0x88 : 0x89, src, mem);
}

void
emit_store_imm(struct emit *emit, unsigned bits, struct x86_mem mem, int32_t imm)
{
    put_rm(emit, store_flags(bits), bits == 8 ? 0xc6 : 0xc7, 0, mem);
    if (bits == 8)
        emit_byte(emit, (uint8_t)imm);
    else if (bits == 16)
        emit_16(emit, (uint16_t)imm);
    else
        emit_32(emit, (uint32_t)imm);
}

void
emit_xadd(struct emit *emit, unsigned width, struct x86_mem mem, unsigned reg)
{
    put_rm(emit, wide_if(width), 0x0fc1, reg, mem);
}

void
emit_cmpxchg(struct emit *emit, unsigned width, struct x86_mem mem, unsigned src)
{
    put_rm(emit, wide_if(width), 0x0fb1, src, mem);
}

void
emit_push(struct emit *emit, unsigned reg)
{
    put_opcode(emit, 0, 0x50 | (reg & 7), rex_bits(0, 0, 0, reg));
}

void
emit_push_imm(struct emit *emit, int32_t imm)
{
    emit_byte(emit, is_8(imm) ? 0x6a : 0x68);
    if (is_8(imm))
        emit_byte(emit, (uint8_t)imm);
    else
        emit_32(emit, (uint32_t)imm);
}

void
emit_pop(struct emit *emit, unsigned reg)
{
    put_opcode(emit, 0, 0x58 | (reg & 7), rex_bits(0, 0, 0, reg));
}

void
emit_ret(struct emit *emit)
{
    emit_byte(emit, 0xc3);
}

void
emit_ret_drop(struct emit *emit, uint16_t len)
{
    emit_byte(emit, 0xc2);
    emit_16(emit, len);
}

void
emit_call_mem(struct emit *emit, struct x86_mem mem)
{
    put_rm(emit, 0, 0xff, 2, mem);
}

void
emit_jump_long(struct emit *emit, enum x86_cond cond)
{
    if (cond == X86_ALWAYS) {
        emit_byte(emit, 0xe9);
    } else {
        emit_byte(emit, 0x0f);
        emit_byte(emit, (uint8_t)(0x80 | cond));
    }
    emit_32(emit, 0);
}

void
emit_call_long(struct emit *emit)
{
    emit_byte(emit, 0xe8);
    emit_32(emit, 0);
}

void
emit_call_relative_mem(struct emit *emit)
{
    emit_byte(emit, 0xff);
    put_modrm(emit, 0, 2, RM_RELATIVE);
    emit_32(emit, 0);
}

void
emit_lea_relative(struct emit *emit, unsigned dst)
{
    put_opcode(emit, WIDE, 0x8d, rex_bits(WIDE, dst, 0, 0));
    put_modrm(emit, 0, dst, RM_RELATIVE);
    emit_32(emit, 0);
}

uint32_t
emit_jump_short(struct emit *emit, enum x86_cond cond)
{
    emit_byte(emit, cond == X86_ALWAYS ? 0xeb : (uint8_t)(0x70 | cond));
    emit_byte(emit, 0);
    return emit->len;
}

void
emit_land(struct emit *emit, uint32_t jump)
{
    uint32_t distance = emit->len - jump;
    must(distance <= INT8_MAX);
    emit->bytes[jump - 1] = (uint8_t)distance;
}
