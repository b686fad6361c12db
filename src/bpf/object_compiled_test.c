/* What clang really writes: each of its kinds of call, data and debug information. With every clang
 * for BPF that is on PATH; says "skipped" when there is none.
 */
#include "bpf/object_test_run.h"
#include "bpf/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Lines that a test looks for carry their number by #line. */
static const char source[] =
    "typedef unsigned long long u64; typedef unsigned int u32;\n"
    "#define HERE(name) __attribute__((section(name), used, noinline))\n"
    "extern u64 zs_log(const char *, u64);\n"
    "extern u64 zs_now_ms(void);\n"
    "static const char *const constant_names[] = {\"alpha\", \"beta\", \"gamma\"};\n"
    "const char *names[] = {\"one\", \"two\"};\n"
    "static u64 counter = 7;\n"
    "u64 zeroed[4];\n"
    "static struct { u64 a; char rest[5000]; } large __attribute__((aligned(4096)));\n"
    "static u32 table[3] = {11, 22, 33};\n"
    "u32 *into_table = &table[1];\n"
    "void *memcpy(void *to, const void *from, u64 n) {\n"
    "  char *a = to; const char *b = from;\n"
    "  for (u64 i = 0; i < n; i++) { a[i] = b[i]; __asm__ volatile(\"\" ::: \"memory\"); }\n"
    "  return to;\n"
    "}\n"
    "#line 100 \"inner.c\"\n"
    "static __attribute__((noinline)) u64 in_text(u64 a) {\n"
    "  __asm__ volatile(\"\" ::: \"memory\"); return a * 3 + zs_now_ms();\n"
    "}\n"
    "#line 200 \"outer.c\"\n"
    "__attribute__((noinline)) u64 global_text(u64 a) {\n"
    "  __asm__ volatile(\"\" ::: \"memory\"); return in_text(a) + 1;\n"
    "}\n"
    "static HERE(\"zeroserve.request\") u64 same_section(u64 a) {\n"
    "  __asm__ volatile(\"\" ::: \"memory\"); return a ^ zs_now_ms();\n"
    "}\n"
    "HERE(\"zeroserve.request\") u64 same_section_global(u64 a) {\n"
    "  __asm__ volatile(\"\" ::: \"memory\"); return a + zs_now_ms();\n"
    "}\n"
    "#line 300 \"entry.c\"\n"
    "HERE(\"zeroserve.call.a\") u64 entry(u64 n) {\n"
    "  char copy[32];\n"
    "  counter++; zeroed[2] += counter; large.a++; large.rest[n] = 1;\n"
    "  zs_log(constant_names[n % 3], 5); zs_log(names[n & 1], 3); zs_log(\"hello\", 5);\n"
    "  memcpy(copy, \"abcdefghijklmnop\", n & 15); zs_log(copy, n & 15);\n"
    "  *into_table += 4;\n"
    "  return in_text(n) + global_text(4) + same_section(n) + same_section_global(n) +\n"
    "         counter * 10000 + *into_table;\n"
    "}\n";

enum { SOURCE_FUNCTIONS = 6 };

struct compiled {
    struct buf file;
    struct bpf_object object;
};

typedef void compiled_check(const struct compiled *compiled);

static void
read_compiled(struct compiled *compiled)
{
    struct error error;
    if (test_read(&compiled->object, buf_str(&compiled->file), &error) != 0)
        fail_msg("%s", error.text);
}

/* With each compiler that there is. */
static void
with_compilers(const char *debug, compiled_check *check)
{
    struct compiled compiled;
    unsigned found = 0;
    buf_init(&compiled.file, ELF_FILE_MAX);
    for (unsigned i = 0; test_compiler(i); i++) {
        if (!test_compile(test_compiler(i), debug, source, &compiled.file))
            continue;
        found++;
        read_compiled(&compiled);
        check(&compiled);
        bpf_object_deinit(&compiled.object);
    }
    buf_deinit(&compiled.file);
    if (found == 0) {
        print_message("skipped: no clang for BPF\n");
        skip();
    }
}

static const struct bpf_function *
find_function(const struct bpf_object *object, const char *name)
{
    for (uint32_t i = 0; i < object->function_count; i++)
        if (str_eq(object->functions[i].name, str_from_cstr(name)))
            return &object->functions[i];
    fail_msg("no function %s", name);
    return NULL;
}

static uint32_t
function_end(const struct bpf_object *object, const struct bpf_function *function)
{
    bool last = function + 1 == object->functions + object->function_count;
    return last ? object->insn_count : function[1].first;
}

/* How often `from` calls the instruction `to`, or with a negative one helper -to - 1. */
static unsigned
count_calls(const struct bpf_object *object, const char *from, int64_t to)
{
    const struct bpf_function *function = find_function(object, from);
    unsigned count = 0;
    for (uint32_t i = function->first; i < function_end(object, function); i++) {
        if (object->insns[i].opcode != 0x85)
            continue;
        bool local = object->insns[i].src == BPF_CALL_LOCAL;
        int64_t target = local ? bpf_call_target(object->insns[i], i) : -object->insns[i].imm - 1;
        count += target == to;
    }
    return count;
}

static unsigned
count_local_calls(const struct bpf_object *object, const char *from, const char *to)
{
    return count_calls(object, from, find_function(object, to)->first);
}

static void
check_calls(const struct compiled *compiled)
{
    const struct bpf_object *object = &compiled->object;
    assert_int_equal(object->section_count, 3);
    assert_int_equal(object->function_count, SOURCE_FUNCTIONS);
    assert_int_equal(count_local_calls(object, "entry", "in_text"), 1);
    assert_int_equal(count_local_calls(object, "entry", "global_text"), 1);
    assert_int_equal(count_local_calls(object, "entry", "same_section"), 1);
    assert_int_equal(count_local_calls(object, "entry", "same_section_global"), 1);
    assert_int_equal(count_local_calls(object, "global_text", "in_text"), 1);
    assert_int_equal(count_calls(object, "entry", -1), 4);   /* zs_log */
    assert_int_equal(count_calls(object, "in_text", -3), 1); /* zs_now_ms */
    assert_int_equal(count_calls(object, "same_section", -3), 1);
    for (uint32_t i = 0; i < object->insn_count; i++)
        assert_false(object->insns[i].opcode == 0x85 && object->insns[i].src == BPF_CALL_HELPER &&
                     object->insns[i].imm == 1); /* memcpy is the file's own */
}

static bool
is_text(const struct bpf_object *object, uint64_t addr, const char *text)
{
    const char *memory = test_memory(object, addr);
    return memory && strcmp(memory, text) == 0;
}

/* Whether a wide instruction of the entry names the text, or an array of `count` pointers of which
 * the last leads to it. */
static bool
names_text(const struct bpf_object *object, unsigned count, const char *text)
{
    const struct bpf_function *entry = find_function(object, "entry");
    for (uint32_t i = entry->first; i + 1 < function_end(object, entry); i++) {
        uint64_t addr = bpf_wide_imm(&object->insns[i]), pointer;
        if (object->insns[i].opcode != 0x18)
            continue;
        if (count == 0 && is_text(object, addr, text))
            return true;
        const char *array = test_memory(object, addr);
        if (count == 0 || !array || !test_memory(object, addr + count * sizeof pointer - 1))
            continue;
        memcpy(&pointer, array + (count - 1) * sizeof pointer, sizeof pointer);
        if (is_text(object, pointer, text))
            return true;
    }
    return false;
}

static void
check_data(const struct compiled *compiled)
{
    const struct bpf_object *object = &compiled->object;
    const struct bpf_layout *layout = &object->layout;
    const struct bpf_function *entry = find_function(object, "entry");
    bool large = false, counter = false, into_table = false;
    assert_true(names_text(object, 0, "hello"));
    assert_true(names_text(object, 0, "abcdefghijklmnop"));
    assert_true(names_text(object, 3, "gamma"));
    assert_true(names_text(object, 2, "two"));
    for (uint32_t i = entry->first; i + 1 < function_end(object, entry); i++) {
        uint64_t addr = bpf_wide_imm(&object->insns[i]), word = 0;
        if (object->insns[i].opcode != 0x18)
            continue;
        large |= addr >= layout->bss_off && addr < bpf_layout_end(layout) && addr % 4096 == 0;
        if (!test_memory(object, addr) || !test_memory(object, addr + 7))
            continue;
        memcpy(&word, test_memory(object, addr), sizeof word);
        counter |= word == 7 && addr >= layout->data_off;
        const char *element = test_memory(object, word);
        into_table |= word >= layout->data_off && element && memcmp(element, "\26\0\0\0", 4) == 0;
    }
    assert_true(large && counter && into_table);
    assert_true(layout->bss_len > 5000);
}

static void
assert_function_line(const struct bpf_object *object, const char *name, const char *file,
                     uint32_t low, uint32_t high)
{
    const struct bpf_function *function = find_function(object, name);
    for (uint32_t i = function->first; i < function_end(object, function); i++) {
        const struct bpf_line *line = bpf_object_line(object, i);
        assert_non_null(line);
        if (!str_ends_with(line->file, str_from_cstr(file)) || line->line < low ||
            line->line > high)
            fail_msg("%s: insn %u is of %.*s:%u", name, i - function->first, STR_ARG(line->file),
                     line->line);
    }
}

static void
check_lines(const struct compiled *compiled)
{
    const struct bpf_object *object = &compiled->object;
    assert_function_line(object, "memcpy", "script.c", 12, 16);
    assert_function_line(object, "in_text", "inner.c", 100, 101);
    assert_function_line(object, "global_text", "outer.c", 200, 201);
    assert_function_line(object, "same_section", "outer.c", 203, 204);
    const struct bpf_line *line = bpf_object_line(object, find_function(object, "entry")->first);
    assert_true(line && str_ends_with(line->file, STR("entry.c")));
    assert_in_range(line->line, 300, 307);
    for (uint32_t i = 1; i < object->line_count; i++)
        assert_true(object->lines[i - 1].insn < object->lines[i].insn);
}

/* The same file without BTF, so that DWARF is read. */
static void
check_dwarf(const struct compiled *compiled)
{
    struct compiled dwarf;
    Elf64_Ehdr header;
    buf_init(&dwarf.file, ELF_FILE_MAX);
    buf_append(&dwarf.file, buf_str(&compiled->file));
    memcpy(&header, dwarf.file.ptr, sizeof header);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        char *at = dwarf.file.ptr + header.e_shoff + i * sizeof(Elf64_Shdr);
        Elf64_Shdr section, names;
        memcpy(&section, at, sizeof section);
        memcpy(&names, dwarf.file.ptr + header.e_shoff + header.e_shstrndx * sizeof names,
               sizeof names);
        const char *name = dwarf.file.ptr + names.sh_offset + section.sh_name;
        if (strcmp(name, ".BTF.ext") == 0)
            section.sh_type = SHT_NOTE;
        memcpy(at, &section, sizeof section);
    }
    read_compiled(&dwarf);
    assert_true(compiled->object.line_count > 0);
    check_lines(&dwarf);
    bpf_object_deinit(&dwarf.object);
    buf_deinit(&dwarf.file);
}

static void
check_no_lines(const struct compiled *compiled)
{
    assert_int_equal(compiled->object.line_count, 0);
    assert_null(bpf_object_line(&compiled->object, 0));
}

static uint64_t
helper_log(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct buf *log = bpf_user(run);
    buf_append(log, bpf_view(run, r1, r2));
    buf_append_char(log, ' ');
    return 0;
}

static uint64_t
helper_now(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return 1000;
}

static const struct bpf_helper run_helpers[] = {{"zs_log", helper_log}, {"zs_now_ms", helper_now}};
static const struct bpf_helper_table run_table = {run_helpers, 2};

/* entry(2), and what it logs. Data is as the file has it each time. */
static void
run_once(struct bpf_pool *pool, struct bpf_program *program)
{
    struct buf log;
    const uint64_t n = 2;
    int64_t entry = bpf_program_entry(program, STR("zeroserve.call.a"));
    buf_init(&log, 1000);
    assert_true(entry >= 0);
    struct bpf_run *run = bpf_run_new(pool, (uint32_t)entry, &log);
    assert_non_null(run);
    bpf_run_set_args(run, &n, 1);
    if (bpf_run_go(run) != BPF_DONE)
        fail_msg("%s", bpf_run_trap(run).text);
    /* in_text, global_text, same_section, same_section_global, counter, table[1] */
    assert_int_equal(bpf_run_result(run), 1006 + 1013 + 1002 + 1002 + 80000 + 26);
    assert_true(str_eq(buf_str(&log), STR("gamma one hello ab ")));
    bpf_run_free(run);
    buf_deinit(&log);
}

static void
check_runs(const struct compiled *compiled)
{
    static const enum bpf_engine engines[] = {BPF_ENGINE_INTERP, BPF_ENGINE_AUTO};
    const struct bpf_budget budget = {.fuel = 10000};
    struct bpf_worker *worker;
    struct error error;
    assert_int_equal(bpf_worker_new(&worker, NULL, &error), 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct bpf_program_config config = {.helpers = &run_table, .engine = engines[i]};
        struct bpf_program *program;
        struct bpf_pool *pool;
        if (bpf_program_load(&program, buf_str(&compiled->file), &config, &error) != 0)
            fail_msg("%s", error.text);
        assert_int_equal(bpf_pool_new(&pool, worker, program, &budget, &error), 0);
        run_once(pool, program);
        run_once(pool, program);
        bpf_pool_free(pool);
        bpf_program_unref(program);
    }
    bpf_worker_free(worker);
}

static void
test_calls_of_clang(void **state)
{
    with_compilers("-g", check_calls);
    with_compilers("-g0", check_calls);
}

static void
test_data_of_clang(void **state)
{
    with_compilers("-g", check_data);
    with_compilers("-fdata-sections", check_data);
}

static void
test_what_clang_makes_runs(void **state)
{
    with_compilers("-g", check_runs);
    with_compilers("-ffunction-sections", check_runs);
}

static void
test_lines_of_clang_by_btf(void **state)
{
    with_compilers("-g", check_lines);
}

static void
test_lines_of_clang_by_dwarf(void **state)
{
    with_compilers("-gdwarf-5", check_dwarf);
    with_compilers("-gdwarf-4", check_dwarf);
}

static void
test_no_lines_without_debug_information(void **state)
{
    with_compilers("-g0", check_no_lines);
}

/* Programs that cannot be loaded, and what is said of them. */
static void
test_what_clang_takes_and_scripts_cannot_have(void **state)
{
    static const struct {
        const char *source, *line;
    } programs[] = {
        {"int zs_caddy_x(void); __attribute__((section(\"s\"))) int e(void) { return zs_caddy_x(); "
         "}",
         "section s, insn 0: calls zs_caddy_x, which is not supported"},
        {"__attribute__((noinline)) static int f(int a) { __asm__ volatile(\"\"); return a; }\n"
         "int (*volatile p)(int);\n"
         "__attribute__((section(\"s\"))) int e(int a) { p = f; return p(a); }",
         "takes the address of function f, and functions can only be called by name"},
        {"static int f(int a) { return a; } static int g(int a) { return a + 1; }\n"
         "int (*const volatile list[])(int) = {f, g};\n"
         "__attribute__((section(\"s\"))) int e(int a) { return list[a & 1](a); }",
         "takes the address of function f, and functions can only be called by name"},
        {"extern int there; __attribute__((section(\"s\"))) int e(void) { return there; }",
         "section s, insn 0: uses there, which the file does not define"},
        {"__attribute__((weak)) int w(void);\n"
         "__attribute__((section(\"s\"))) int e(void) { return w ? w() : 1; }",
         "uses w, which the file does not define"},
        {"__attribute__((common)) int shared;\n"
         "__attribute__((section(\"s\"))) int e(void) { return shared; }",
         "section s, insn 0: uses shared, a common symbol: compile with -fno-common"},
        {"__attribute__((section(\".maps\"))) struct { int a; } m;\n"
         "int zs_log(void *); __attribute__((section(\"s\"))) int e(void) { return zs_log(&m); }",
         "section s, insn 0: uses m, a map, and there are none"},
        {"__attribute__((section(\"mine\"))) int m = 1;\n"
         "__attribute__((section(\"s\"))) int e(void) { return m; }",
         "section s, insn 0: uses m of section mine, and data is in .rodata, .data and .bss"},
        {"int data = 1;", "no code"},
    };
    struct buf file;
    buf_init(&file, ELF_FILE_MAX);
    unsigned found = 0;
    for (unsigned i = 0; test_compiler(i); i++)
        for (unsigned j = 0; j < sizeof programs / sizeof *programs; j++) {
            struct bpf_object object;
            struct error error;
            if (!test_compile(test_compiler(i), "-g", programs[j].source, &file))
                break;
            found++;
            if (test_read(&object, buf_str(&file), &error) != -1)
                fail_msg("read, and expected: %s", programs[j].line);
            if (!str_ends_with(str_from_cstr(error.text), str_from_cstr(programs[j].line)))
                assert_string_equal(error.text, programs[j].line);
        }
    buf_deinit(&file);
    if (found == 0) {
        print_message("skipped: no clang for BPF\n");
        skip();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_of_clang),
        cmocka_unit_test(test_data_of_clang),
        cmocka_unit_test(test_what_clang_makes_runs),
        cmocka_unit_test(test_lines_of_clang_by_btf),
        cmocka_unit_test(test_lines_of_clang_by_dwarf),
        cmocka_unit_test(test_no_lines_without_debug_information),
        cmocka_unit_test(test_what_clang_takes_and_scripts_cannot_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
