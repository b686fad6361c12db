#include "bpf/program.h"

#include "bpf/object_test_run.h"
#include "bpf/script_test_run.h"

#include <pthread.h>
#include <sys/mman.h>

enum { R_CALL = 10 }; /* R_BPF_64_32 */

static const struct spec two = {PROGRAM(MOV_I(R0, 2), EXIT)};

/* An object file: "tarn.request" calls the helper "add", "tarn.call.f" loads from .rodata. */
static void
write_file(struct elf_writer *elf)
{
    const struct bpf_insn request[] = {MOV_I(R1, 3), CALL(-1), EXIT};
    const struct bpf_insn call[] = {LDDW(R1, BPF_RO_BASE), LDX(B, R0, R1, 1), EXIT};
    elf_init(elf);
    unsigned code = elf_code(elf, "tarn.request", request, ROW_COUNT(request));
    elf_code(elf, "tarn.call.f", call, ROW_COUNT(call));
    elf_data(elf, ".rodata", "abc", 3);
    elf_rel(elf, code, 8, R_CALL, elf_symbol(elf, "add", STT_NOTYPE, SHN_UNDEF, 0));
    elf_finish(elf);
}

static void
a_file_is_loaded_and_its_sections_run(void **state)
{
    struct vm vm;
    struct elf_writer elf;
    struct error error = {0};
    struct bpf_program *program;
    struct bpf_pool *pool;
    const struct bpf_budget budget = {0};
    vm_init(&vm, engine_of(state), 0);
    struct bpf_program_config config = {.helpers = &script_helpers, .engine = vm.engine};
    write_file(&elf);
    assert_int_equal(bpf_program_load(&program, buf_str(&elf.file), &config, &error), 0);
    elf_deinit(&elf);
    assert_int_equal(bpf_pool_new(&pool, vm.worker, program, &budget, &error), 0);
    int64_t request = bpf_program_entry(program, STR("tarn.request"));
    int64_t call = bpf_program_entry(program, STR("tarn.call.f"));
    assert_int_equal(request, 0);
    assert_int_equal(call, 3);
    assert_int_equal(bpf_program_entry(program, STR("tarn.call")), -1);
    assert_int_equal(bpf_program_entry(program, STR("")), -1);
    bpf_program_unref(program); /* the pool has its own */
    expect_done(bpf_run_new(pool, (uint32_t)request, NULL), 3);
    expect_done(bpf_run_new(pool, (uint32_t)call, NULL), 'b');
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
what_is_no_program_is_refused_with_a_line(void **state)
{
    struct vm vm = {.engine = engine_of(state)};
    struct error error = {0};
    struct bpf_program *program = NULL;
    struct bpf_program_config config = {.helpers = &script_helpers, .engine = vm.engine};
    assert_int_equal(bpf_program_load(&program, STR("no file at all"), &config, &error), -1);
    assert_true(strlen(error.text) > 0);
    error.text[0] = '\0';
    const struct spec endless_fall = {PROGRAM(MOV_I(R0, 1), MOV_I(R0, 2)), .ro_len = 10};
    assert_null(spec_load(&vm, &endless_fall, &error));
    assert_non_null(strstr(error.text, "insn 1"));
    /* a helper that is not in the table, also when there is no table */
    struct elf_writer elf;
    write_file(&elf);
    config.helpers = NULL;
    assert_int_equal(bpf_program_load(&program, buf_str(&elf.file), &config, &error), -1);
    assert_non_null(strstr(error.text, "add"));
    elf_deinit(&elf);
    assert_null(program);
}

static void
machine_code_is_there_when_asked_for(void **state)
{
    struct vm vm = {.engine = engine_of(state)};
    struct error error = {0};
    struct bpf_program *program = spec_load(&vm, &two, &error);
    assert_non_null(program);
    bool jit = vm.engine == BPF_ENGINE_JIT;
    assert_int_equal(bpf_program_code_len(program) > 0, jit);
    assert_string_equal(bpf_program_no_jit_reason(program), "");
    uint64_t len = bpf_program_code(program, 0).len + bpf_program_code(program, 1).len;
    assert_int_equal(len > 0, jit);
    assert_true(len <= bpf_program_code_len(program));
    assert_int_equal(bpf_program_object(program)->insn_count, 2);
    bpf_program_unref(program);
    bpf_program_unref(NULL);
}

/* Code that is too long is an error for who wants machine code, and a reason for who does not care.
 */
static void
auto_interprets_what_cannot_be_translated(void **state)
{
    struct error error = {0};
    struct bpf_object object;
    struct bpf_program *program;
    struct bpf_program_config config = {.engine = BPF_ENGINE_JIT, .code_len_max = 1};
    assert_int_equal(bpf_object_from_insns(&object, two.insns, two.insn_count, STR("data"), &error),
                     0);
    assert_int_equal(bpf_program_new(&program, &object, &config, &error), -1);
    assert_true(strlen(error.text) > 0);
    assert_int_equal(bpf_object_from_insns(&object, two.insns, two.insn_count, STR("data"), &error),
                     0);
    config.engine = BPF_ENGINE_AUTO;
    assert_int_equal(bpf_program_new(&program, &object, &config, &error), 0);
    assert_int_equal(bpf_program_code_len(program), 0);
    assert_int_equal(bpf_program_code(program, 0).len, 0);
    assert_string_equal(bpf_program_no_jit_reason(program), error.text);
    bpf_program_unref(program);
    struct vm vm = {.engine = BPF_ENGINE_AUTO};
    program = spec_load(&vm, &two, &error);
    assert_int_equal(bpf_program_code_len(program) > 0, TEST_HAS_JIT);
    bpf_program_unref(program);
}

/* Counted by threads at a time. */
static void *
hold_and_drop(void *arg)
{
    struct bpf_program *program = arg;
    for (int i = 0; i < 10000; i++)
        bpf_program_unref(bpf_program_ref(program));
    bpf_program_unref(program);
    return NULL;
}

static void
the_last_to_let_go_frees_it(void **state)
{
    struct vm vm = {.engine = BPF_ENGINE_AUTO};
    struct error error = {0};
    pthread_t threads[3];
    const struct spec spec = {PROGRAM(MOV_I(R0, 2), EXIT), .ro_len = 1};
    struct bpf_program *program = spec_load(&vm, &spec, &error);
    int image = program->image;
    char *text = program->code.text;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, bpf_program_ref(program)),
                         0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(program->refs, 1);
    assert_true(fcntl(image, F_GETFD) >= 0);
    bpf_program_unref(program);
    assert_int_equal(fcntl(image, F_GETFD), -1);
    unsigned char resident;
    if (TEST_HAS_JIT)
        assert_int_equal(mincore((char *)((uintptr_t)text & ~(uintptr_t)4095), 1, &resident), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_file_is_loaded_and_its_sections_run),
        BOTH(what_is_no_program_is_refused_with_a_line),
        BOTH(machine_code_is_there_when_asked_for),
        cmocka_unit_test(auto_interprets_what_cannot_be_translated),
        cmocka_unit_test(the_last_to_let_go_frees_it),
    };
    return cmocka_run_group_tests_name("bpf program", tests, NULL, NULL);
}
