#include "bpf/emit_x86_64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Two tests of everything: bytes that were written down by hand from the manual, for what is easily
 * wrong; and every form with every register, compared with what the assembler of the system makes
 * of its text. */

enum { LINES_MAX = 200000 };

static const char *const names_64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const names_32[] = {"eax",  "ecx",  "edx",  "ebx", "esp",  "ebp",
                                       "esi",  "edi",  "r8d",  "r9d", "r10d", "r11d",
                                       "r12d", "r13d", "r14d", "r15d"};
static const char *const names_16[] = {"ax",   "cx",   "dx",   "bx",  "sp",   "bp",
                                       "si",   "di",   "r8w",  "r9w", "r10w", "r11w",
                                       "r12w", "r13w", "r14w", "r15w"};
static const char *const names_8[] = {"al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
                                      "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"};

static const char *
name(unsigned bits, unsigned reg)
{
    return (bits == 64 ? names_64 : bits == 32 ? names_32 : bits == 16 ? names_16 : names_8)[reg];
}

/* Machine code with the text that should give the same. */
static struct {
    struct emit emit;
    FILE *text;
    char folder[64], text_path[96], object_path[96], binary_path[96];
    uint32_t *ends; /* of each line's code */
    uint32_t count;
} list;

static void __attribute__((format(printf, 1, 2))) expect(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(list.text, format, args);
    va_end(args);
    fputc('\n', list.text);
    assert_true(list.count < LINES_MAX);
    list.ends[list.count++] = list.emit.len;
    assert_true(emit_reserve(&list.emit));
}

static int
list_setup(void **state)
{
    memset(&list, 0, sizeof list);
    snprintf(list.folder, sizeof list.folder, "/tmp/tarn-emit-XXXXXX");
    assert_non_null(mkdtemp(list.folder));
    snprintf(list.text_path, sizeof list.text_path, "%s/text.s", list.folder);
    snprintf(list.object_path, sizeof list.object_path, "%s/object.o", list.folder);
    snprintf(list.binary_path, sizeof list.binary_path, "%s/binary", list.folder);
    list.ends = malloc(LINES_MAX * sizeof(*list.ends));
    list.text = fopen(list.text_path, "w");
    assert_non_null(list.text);
    fprintf(list.text, ".intel_syntax noprefix\n");
    assert_true(emit_reserve(&list.emit));
    return list.ends ? 0 : -1;
}

static int
list_teardown(void **state)
{
    emit_deinit(&list.emit);
    free(list.ends);
    unlink(list.text_path);
    unlink(list.object_path);
    unlink(list.binary_path);
    rmdir(list.folder);
    return 0;
}

static void
fail_at(size_t offset)
{
    uint32_t line = 0;
    while (line < list.count && list.ends[line] <= offset)
        line++;
    char command[256];
    snprintf(command, sizeof command, "sed -n '%up' %s >&2", line + 2, list.text_path);
    if (system(command) != 0)
        fail_msg("cannot show the line");
    uint32_t start = line ? list.ends[line - 1] : 0;
    for (uint32_t i = start; i < list.ends[line]; i++)
        fprintf(stderr, "%02x ", list.emit.bytes[i]);
    fail_msg("line %u differs at byte %zu", line, offset - start);
}

/* Has the assembler made the same bytes? Skips without one. */
static void
compare_with_assembler(void)
{
    char command[512];
    assert_int_equal(fclose(list.text), 0);
    if (system("command -v as objcopy >/dev/null 2>&1") != 0) {
        print_message("skipped: no assembler on PATH\n");
        skip();
    }
    snprintf(command, sizeof command, "as -o %s %s && objcopy -O binary -j .text %s %s",
             list.object_path, list.text_path, list.object_path, list.binary_path);
    assert_int_equal(system(command), 0);
    FILE *file = fopen(list.binary_path, "r");
    assert_non_null(file);
    uint8_t *bytes = malloc((size_t)list.emit.len + 1);
    size_t len = fread(bytes, 1, (size_t)list.emit.len + 1, file);
    fclose(file);
    for (size_t i = 0; i < len && i < list.emit.len; i++) {
        if (bytes[i] != list.emit.bytes[i])
            fail_at(i);
    }
    assert_int_equal(len, list.emit.len);
    free(bytes);
}

#define EACH_REG(reg) for (unsigned reg = 0; reg < 16; reg++)
#define EACH_WIDTH(width) for (unsigned width = 32; width <= 64; width += 32)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const int32_t constants[] = {0,         1,         -1,    2,      127,     128,
                                    -128,      -129,      255,   256,    32767,   65535,
                                    INT32_MAX, INT32_MIN, 65536, -65537, 1000000, 0x12345678};

static void
test_register_forms(void **state)
{
    static const char *const alu[] = {[X86_ADD] = "add", [X86_OR] = "or",   [X86_AND] = "and",
                                      [X86_SUB] = "sub", [X86_XOR] = "xor", [X86_CMP] = "cmp"};
    struct emit *e = &list.emit;
    EACH_WIDTH(w) EACH_REG(a) EACH_REG(b)
    {
        const char *first = name(w, a), *second = name(w, b);
        emit_mov(e, w, a, b), expect("mov %s, %s", first, second);
        for (unsigned op = 0; op < COUNT(alu); op++) {
            if (alu[op])
                emit_alu(e, op, w, a, b), expect("%s %s, %s", alu[op], first, second);
        }
        emit_test(e, w, a, b), expect("test %s, %s", first, second);
        emit_imul(e, w, a, b), expect("imul %s, %s", first, second);
        emit_mov_sign_extend(e, w, 8, a, b), expect("movsx %s, %s", first, name(8, b));
        emit_mov_sign_extend(e, w, 16, a, b), expect("movsx %s, %s", first, name(16, b));
        for (unsigned i = 0; i < COUNT(constants); i++)
            emit_imul_imm(e, w, a, b, constants[i]),
                expect("imul %s, %s, %d", first, second, constants[i]);
    }
    EACH_REG(a) EACH_REG(b)
    {
        emit_mov_sign_extend(e, 64, 32, a, b), expect("movsxd %s, %s", name(64, a), name(32, b));
        emit_mov_zero_extend(e, 8, a, b), expect("movzx %s, %s", name(32, a), name(8, b));
        emit_mov_zero_extend(e, 16, a, b), expect("movzx %s, %s", name(32, a), name(16, b));
        emit_mov_zero_extend(e, 32, a, b), expect("mov %s, %s", name(32, a), name(32, b));
    }
    compare_with_assembler();
}

static void
test_constants(void **state)
{
    static const char *const alu[] = {[X86_ADD] = "add", [X86_OR] = "or",   [X86_AND] = "and",
                                      [X86_SUB] = "sub", [X86_XOR] = "xor", [X86_CMP] = "cmp"};
    struct emit *e = &list.emit;
    EACH_REG(a) for (unsigned i = 0; i < COUNT(constants); i++)
    {
        int32_t c = constants[i];
        EACH_WIDTH(w) for (unsigned op = 0; op < COUNT(alu); op++)
        {
            if (alu[op])
                emit_alu_imm(e, op, w, a, c), expect("%s %s, %d", alu[op], name(w, a), c);
        }
        emit_test_imm(e, 32, a, c);
        expect("test %s, %d", name(c >= 0 && c < 256 ? 8 : 32, a), c);
        emit_test_imm(e, 64, a, c);
        expect("test %s, %d", name(c < 0 ? 64 : c < 256 ? 8 : 32, a), c);
        emit_mov_imm(e, a, (uint32_t)c);
        if (c == 0)
            expect("xor %s, %s", name(32, a), name(32, a));
        else
            expect("mov %s, %u", name(32, a), (uint32_t)c);
        if (c < 0)
            emit_mov_imm(e, a, (uint64_t)(int64_t)c), expect("mov %s, %d", name(64, a), c);
        uint64_t wide = (uint64_t)(uint32_t)c << 32 | 0x89abcdef;
        if ((int64_t)wide != (int32_t)wide && wide > UINT32_MAX)
            emit_mov_imm(e, a, wide),
                expect("movabs %s, %#llx", name(64, a), (unsigned long long)wide);
    }
    for (unsigned i = 0; i < COUNT(constants); i++)
        emit_push_imm(e, constants[i]), expect("push %d", constants[i]);
    compare_with_assembler();
}

static void
test_single_register_forms(void **state)
{
    static const char *const unary[] = {[X86_NOT] = "not",   [X86_NEG] = "neg", [X86_DIV] = "div",
                                        [X86_IDIV] = "idiv", [X86_INC] = "inc", [X86_DEC] = "dec"};
    static const char *const shift[] = {[X86_SHL] = "shl", [X86_SHR] = "shr", [X86_SAR] = "sar"};
    struct emit *e = &list.emit;
    EACH_WIDTH(w) EACH_REG(a)
    {
        const char *text = name(w, a);
        for (unsigned op = 0; op < COUNT(unary); op++) {
            if (unary[op])
                emit_unary(e, op, w, a), expect("%s %s", unary[op], text);
        }
        for (unsigned op = X86_SHL; op < COUNT(shift); op++) {
            if (!shift[op])
                continue;
            emit_shift_cl(e, op, w, a), expect("%s %s, cl", shift[op], text);
            for (unsigned count = 1; count < w; count++)
                emit_shift_imm(e, op, w, a, count), expect("%s %s, %u", shift[op], text, count);
            EACH_REG(b) EACH_REG(c)
            {
                emit_shift_by(e, op, w, a, b, c);
                expect("%sx %s, %s, %s", shift[op], text, name(w, b), name(w, c));
            }
        }
        for (unsigned count = 1; count < w; count++) {
            emit_shift_imm(e, X86_ROR, w, a, count), expect("ror %s, %u", text, count);
            emit_rotate_imm(e, w, a, (a * 5 + count) % 16, count);
            expect("rorx %s, %s, %u", text, name(w, (a * 5 + count) % 16), count);
        }
        emit_bswap(e, w, a), expect("bswap %s", text);
    }
    EACH_REG(a)
    {
        emit_swap_16(e, a), expect("rol %s, 8", name(16, a));
        emit_push(e, a), expect("push %s", name(64, a));
        emit_pop(e, a), expect("pop %s", name(64, a));
    }
    emit_sign_to_rdx(e, 32), expect("cdq");
    emit_sign_to_rdx(e, 64), expect("cqo");
    emit_ret(e), expect("ret");
    emit_ret_drop(e, 8), expect("ret 8");
    compare_with_assembler();
}

static const char *
operand(struct x86_mem mem)
{
    static char text[64];
    if (mem.index == X86_NO_INDEX)
        snprintf(text, sizeof text, "[%s%+d]", names_64[mem.base], mem.disp);
    else
        snprintf(text, sizeof text, "[%s+%s*%u%+d]", names_64[mem.base], names_64[mem.index],
                 1u << mem.scale, mem.disp);
    return text;
}

static const char *
sized(unsigned bits)
{
    return bits == 64   ? "qword ptr"
           : bits == 32 ? "dword ptr"
           : bits == 16 ? "word ptr"
                        : "byte ptr";
}

static void
loads_and_stores(struct x86_mem mem, unsigned reg)
{
    struct emit *e = &list.emit;
    const char *text = operand(mem);
    emit_lea(e, 32, reg, mem), expect("lea %s, %s", name(32, reg), text);
    emit_lea(e, 64, reg, mem), expect("lea %s, %s", name(64, reg), text);
    for (unsigned bits = 8; bits <= 64; bits *= 2) {
        emit_store(e, bits, mem, reg), expect("mov %s, %s", text, name(bits, reg));
        emit_load(e, bits, reg, mem);
        if (bits < 32)
            expect("movzx %s, %s %s", name(32, reg), sized(bits), text);
        else
            expect("mov %s, %s", name(bits, reg), text);
        if (bits == 64)
            continue;
        emit_load_sign_extend(e, bits, reg, mem);
        expect("%s %s, %s %s", bits == 32 ? "movsxd" : "movsx", name(64, reg), sized(bits), text);
    }
    EACH_WIDTH(w)
    {
        emit_load_swapped(e, w, reg, mem), expect("movbe %s, %s", name(w, reg), text);
        emit_alu_to_mem(e, X86_ADD, w, mem, reg), expect("add %s, %s", text, name(w, reg));
        emit_alu_to_mem(e, X86_XOR, w, mem, reg), expect("xor %s, %s", text, name(w, reg));
        emit_xadd(e, w, mem, reg), expect("xadd %s, %s", text, name(w, reg));
        emit_cmpxchg(e, w, mem, reg), expect("cmpxchg %s, %s", text, name(w, reg));
    }
}

static void
constants_to(struct x86_mem mem)
{
    struct emit *e = &list.emit;
    const char *text = operand(mem);
    for (unsigned bits = 8; bits <= 64; bits *= 2) {
        for (unsigned i = 0; i < COUNT(constants); i++) {
            int32_t c = bits == 8    ? (int8_t)constants[i]
                        : bits == 16 ? (int16_t)constants[i]
                                     : constants[i];
            emit_store_imm(e, bits, mem, constants[i]),
                expect("mov %s %s, %d", sized(bits), text, c);
        }
    }
    emit_cmp_mem_imm(e, mem, 0), expect("cmp dword ptr %s, 0", text);
    emit_cmp_mem_imm(e, mem, -3), expect("cmp dword ptr %s, -3", text);
    emit_call_mem(e, mem), expect("call qword ptr %s", text);
}

/* All bases and indices, with displacements of every length. */
static void
test_memory(void **state)
{
    static const int32_t displacements[] = {0, 1, -1, 127, -128, 128, -129, 32767, -32768, -131072};
    EACH_REG(base) EACH_REG(index) for (unsigned i = 0; i < COUNT(displacements); i++)
    {
        unsigned reg = (base * 7 + index * 3 + i) % 16;
        struct x86_mem mem = {(uint8_t)base, (uint8_t)index, 0, displacements[i]};
        if (index != X86_NO_INDEX)
            mem.scale = (uint8_t)(i % 4);
        loads_and_stores(mem, reg);
        if (index % 5 == 4 || base == X86_R12)
            constants_to(mem);
    }
    compare_with_assembler();
}

/* As in translated code: all registers for every access through the cage's base. */
static void
test_accesses_of_scripts(void **state)
{
    EACH_REG(reg)
    {
        loads_and_stores((struct x86_mem){X86_R12, X86_R11, 0, 0}, reg);
        loads_and_stores((struct x86_mem){X86_R12, X86_RBP, 0, -8}, reg);
        loads_and_stores((struct x86_mem){X86_R12, X86_NO_INDEX, 0, -131072}, reg);
    }
    compare_with_assembler();
}

#define assert_bytes(...)                                           \
    do {                                                            \
        static const uint8_t expected[] = {__VA_ARGS__};            \
        assert_int_equal(emit.len, sizeof expected);                \
        assert_memory_equal(emit.bytes, expected, sizeof expected); \
        emit.len = 0;                                               \
    } while (0)

static void
test_bytes_from_the_manual(void **state)
{
    struct emit emit = {0};
    assert_true(emit_reserve(&emit));
    emit_mov(&emit, 32, X86_R11, X86_RDI);
    assert_bytes(0x41, 0x89, 0xfb);
    emit_load(&emit, 32, X86_RAX, (struct x86_mem){X86_R12, X86_R11, 0, 0});
    assert_bytes(0x43, 0x8b, 0x04, 0x1c);
    emit_load(&emit, 64, X86_RAX, (struct x86_mem){X86_R12, X86_RBP, 0, -8});
    assert_bytes(0x49, 0x8b, 0x44, 0x2c, 0xf8);
    emit_load(&emit, 64, X86_RAX, (struct x86_mem){X86_R13, X86_NO_INDEX, 0, 0});
    assert_bytes(0x49, 0x8b, 0x45, 0x00); /* r13 as a base has no form without displacement */
    emit_load(&emit, 64, X86_RAX, (struct x86_mem){X86_RSP, X86_NO_INDEX, 0, 0});
    assert_bytes(0x48, 0x8b, 0x04, 0x24);
    emit_mov_zero_extend(&emit, 8, X86_RDI, X86_RDI);
    assert_bytes(0x40, 0x0f, 0xb6, 0xff); /* dil, not bh */
    emit_mov_zero_extend(&emit, 8, X86_RAX, X86_RBX);
    assert_bytes(0x0f, 0xb6, 0xc3);
    emit_mov_imm(&emit, X86_R9, 0);
    assert_bytes(0x45, 0x31, 0xc9);
    emit_mov_imm(&emit, X86_RAX, UINT64_MAX);
    assert_bytes(0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff);
    emit_mov_imm(&emit, X86_RAX, 0x8000000000000000);
    assert_bytes(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80);
    emit_alu_imm(&emit, X86_CMP, 32, X86_RBP, 0x11000);
    assert_bytes(0x81, 0xfd, 0x00, 0x10, 0x01, 0x00);
    emit_shift_imm(&emit, X86_SHL, 64, X86_RBX, 1);
    assert_bytes(0x48, 0xd1, 0xe3);
    emit_shift_by(&emit, X86_SHL, 64, X86_RAX, X86_RAX, X86_RCX);
    assert_bytes(0xc4, 0xe2, 0xf1, 0xf7, 0xc0);
    emit_deinit(&emit);
}

static void
test_distances(void **state)
{
    struct emit emit = {0};
    assert_true(emit_reserve(&emit));
    emit_jump_long(&emit, X86_ALWAYS);
    assert_int_equal(emit.len, EMIT_JMP_LEN);
    emit_patch_32(&emit, 1, 0x11223344);
    assert_bytes(0xe9, 0x44, 0x33, 0x22, 0x11);
    emit_jump_long(&emit, X86_NOT_EQUAL);
    assert_int_equal(emit.len, EMIT_JCC_LEN);
    assert_bytes(0x0f, 0x85, 0, 0, 0, 0);
    emit_call_long(&emit);
    assert_int_equal(emit.len, EMIT_CALL_LEN);
    assert_bytes(0xe8, 0, 0, 0, 0);
    emit_call_relative_mem(&emit);
    assert_bytes(0xff, 0x15, 0, 0, 0, 0);
    emit_lea_relative(&emit, X86_R11);
    assert_bytes(0x4c, 0x8d, 0x1d, 0, 0, 0, 0);
    uint32_t below = emit_jump_short(&emit, X86_NOT_ABOVE), always;
    emit_ret(&emit);
    always = emit_jump_short(&emit, X86_ALWAYS);
    emit_land(&emit, below);
    emit_ret(&emit);
    emit_land(&emit, always);
    assert_bytes(0x76, 0x03, 0xc3, 0xeb, 0x01, 0xc3);
    emit_deinit(&emit);
}

static void
test_features_can_be_limited(void **state)
{
    unsigned all = x86_features();
    x86_features_limit(X86_HAS_MOVBE);
    assert_int_equal(x86_features(), all & X86_HAS_MOVBE);
    x86_features_limit(0);
    assert_int_equal(x86_features(), 0);
    x86_features_limit(~0u);
    assert_int_equal(x86_features(), all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_register_forms, list_setup, list_teardown),
        cmocka_unit_test_setup_teardown(test_constants, list_setup, list_teardown),
        cmocka_unit_test_setup_teardown(test_single_register_forms, list_setup, list_teardown),
        cmocka_unit_test_setup_teardown(test_memory, list_setup, list_teardown),
        cmocka_unit_test_setup_teardown(test_accesses_of_scripts, list_setup, list_teardown),
        cmocka_unit_test(test_bytes_from_the_manual),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_features_can_be_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
