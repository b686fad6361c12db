/* Nothing of an earlier run is visible in a later one: each way to leave something behind, in each
 * place where something could be left, and each way to look for it. */
#include "bpf/script_test_run.h"

/* A program has a section that writes, which ends or is ended in one way or another, and one that
 * looks. What the second sees in a used slot must be what it sees in a new one. Programs whose
 * writing is of one kind only matter here: the checker says different things of each.
 *
 * r1, r2: from, to. The looking section adds up all bytes, so that no secret can hide: new memory
 * is 0, but for .data, which is all ones. */
enum { SECRET = 0x5a, DATA_LEN = 3000, BSS_LEN = 3000 };

struct ground {
    const char *name;
    uint32_t from, to; /* addresses; offsets from data_off when `in_data` */
    bool in_data;
};

static const struct ground grounds[] = {
    {"the highest frame", BPF_STACK_TOP - BPF_FRAME_LEN, BPF_STACK_TOP, false},
    {"the whole stack", BPF_STACK_LOW, BPF_STACK_TOP, false},
    {"the lowest bytes of the stack", BPF_STACK_LOW, BPF_STACK_LOW + 16, false},
    {"arguments", BPF_ARGS, BPF_ARGS + BPF_ARGS_LEN, false},
    {"the last bytes of arguments", BPF_ARGS + BPF_ARGS_LEN - 8, BPF_ARGS + BPF_ARGS_LEN, false},
    {"stack and arguments", BPF_STACK_TOP - 8, BPF_ARGS + 8, false},
    {".data", 0, DATA_LEN, true},
    {".bss", DATA_LEN + 64, DATA_LEN + BSS_LEN, true},
    {"what follows .bss in its page", 8192 - 8, 8192, true}, /* the last */
};

/* loop: *(u64 *)r1 = r3; r1 += 8; if r1 < r2 goto loop */
static const struct bpf_insn store_loop[] = {
    STX(DW, R1, 0, R3), ALU64_I(ADD, R1, 8), JMP_R(JLT, R1, R2, -3), MOV_I(R0, 0), EXIT,
};
static const struct bpf_insn atomic_loop[] = {
    ATOMIC(DW, XCHG, R1, 0, R4), MOV_R(R4, R3), ALU64_I(ADD, R1, 8), JMP_R(JLT, R1, R2, -4), EXIT,
};
/* the same in a function, whose frame is another */
static const struct bpf_insn store_deep[] = {
    CALL_LOCAL(1), EXIT, STX(DW, R1, 0, R3), ALU64_I(ADD, R1, 8), JMP_R(JLT, R1, R2, -3), EXIT,
};
/* a helper fills r1 to r2 */
static const struct bpf_insn fill[] = {
    ALU64_R(SUB, R2, R1),
    MOV_I(R3, SECRET),
    CALL(H_FILL),
    EXIT,
};
static const struct bpf_insn fill_and_wait[] = {
    ALU64_R(SUB, R2, R1), MOV_I(R3, SECRET), CALL(H_FILL), CALL(H_WAIT), CALL(H_FILL), EXIT,
};
static const struct bpf_insn fill_and_trap[] = {
    ALU64_R(SUB, R2, R1), MOV_I(R3, SECRET), CALL(H_FILL), CALL(H_TRAP), EXIT,
};
static const struct bpf_insn store_and_fault[] = {
    STX(DW, R1, 0, R3), ALU64_I(ADD, R1, 8), JMP_R(JLT, R1, R2, -3), ST(DW, R0, 0, 0), EXIT,
};
/* r10 is all that this one stores through */
static const struct bpf_insn store_frame[] = {
    STX(DW, R10, -8, R3),
    STX(W, R10, -500, R3),
    STX(B, R10, -4096, R3),
    EXIT,
};
static const struct bpf_insn store_frame_low[] = {
    STX(DW, R10, -8, R3),
    STX(DW, R10, -32768, R3),
    EXIT,
};
static const struct bpf_insn store_above[] = {
    STX(DW, R10, 0, R3),
    STX(DW, R10, 4088, R3),
    EXIT,
};
/* the secret is in all registers */
static const struct bpf_insn keep[] = {
    MOV_R(R0, R3), MOV_R(R1, R3), MOV_R(R2, R3), MOV_R(R4, R3), MOV_R(R5, R3),
    MOV_R(R6, R3), MOV_R(R7, R3), MOV_R(R8, R3), MOV_R(R9, R3), EXIT,
};

#define WRITER(name)                 \
    {                                \
#name, name, ROW_COUNT(name) \
    }
static const struct writer {
    const char *name;
    const struct bpf_insn *insns;
    uint32_t count;
} writers[] = {
    WRITER(store_loop),
    WRITER(atomic_loop),
    WRITER(store_deep),
    WRITER(fill),
    WRITER(fill_and_wait),
    WRITER(fill_and_trap),
    WRITER(store_and_fault),
    WRITER(store_frame),
    WRITER(store_frame_low),
    WRITER(store_above),
    WRITER(keep),
};

/* Adds up what the script itself loads, and all registers that it was not given. */
static const struct bpf_insn look_by_loads[] = {
    ALU64_R(ADD, R0, R3), ALU64_R(ADD, R0, R4), ALU64_R(ADD, R0, R5),   ALU64_R(ADD, R0, R6),
    ALU64_R(ADD, R0, R7), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9),   LDX(B, R3, R1, 0),
    ALU64_R(ADD, R0, R3), ALU64_I(ADD, R1, 1),  JMP_R(JLT, R1, R2, -4), EXIT,
};
static const struct bpf_insn look_by_view[] = {
    ALU64_R(SUB, R2, R1),
    CALL(H_SUM),
    EXIT,
};

struct scene {
    struct vm vm;
    const struct writer *writer;
    struct bpf_pool *pool;
    uint32_t look_at;
    uint32_t data_off, data_scale;
};

static void
scene_init(struct scene *scene, const struct writer *writer, const struct bpf_insn *look,
           uint32_t look_count, uint32_t data_scale)
{
    static char ones[64 * DATA_LEN];
    struct bpf_insn insns[64];
    memcpy(insns, writer->insns, writer->count * sizeof *insns);
    memcpy(insns + writer->count, look, look_count * sizeof *insns);
    memset(ones, 1, sizeof ones);
    const struct spec spec = {
        .insns = insns,
        .insn_count = writer->count + look_count,
        .split = writer->count,
        .data = {ones, DATA_LEN * data_scale},
        .bss_len = BSS_LEN * data_scale,
    };
    scene->writer = writer;
    scene->look_at = writer->count;
    scene->pool = spec_pool(&scene->vm, &spec);
    scene->data_scale = data_scale;
    scene->data_off = scene->pool->program->object.layout.data_off;
}

static struct bpf_run *
begin(struct scene *scene, uint32_t entry, const struct ground *ground, uint64_t secret)
{
    uint32_t base = ground->in_data ? scene->data_off : 0;
    uint32_t scale = ground->in_data ? scene->data_scale : 1;
    struct bpf_run *run = bpf_run_new(scene->pool, entry, NULL);
    assert_non_null(run);
    bpf_run_set_args(
        run, ARGS(base + ground->from * scale, base + ground->to * scale, secret, secret, secret),
        5);
    return run;
}

/* The sum of what is there. */
static uint64_t
look(struct scene *scene, const struct ground *ground)
{
    struct bpf_run *run = begin(scene, scene->look_at, ground, 0);
    assert_int_equal(test_finish(run), BPF_DONE);
    uint64_t sum = bpf_run_result(run);
    bpf_run_free(run);
    return sum;
}

/* Ends by itself, or is freed where it first gives the thread back. */
static void
write_secret(struct scene *scene, const struct ground *ground)
{
    struct bpf_run *run = begin(scene, 0, ground, 0x0101010101010101 * SECRET);
    bpf_run_go(run);
    bpf_run_free(run);
}

/* Many a used slot is looked at while its low stack is not mapped yet. */
static void
try_ground(struct scene *scene, const struct ground *ground)
{
    uint64_t clean = look(scene, ground);
    for (int i = 0; i < 3; i++) {
        write_secret(scene, ground);
        uint64_t sum = look(scene, ground);
        if (sum != clean)
            fail_msg("%s in %s: %llx, not %llx", scene->writer->name, ground->name,
                     (unsigned long long)sum, (unsigned long long)clean);
    }
    assert_int_equal(bpf_pool_stats(scene->pool).idle_count, 1);
}

static void
try_writer(struct vm *vm, const struct writer *writer, const struct bpf_insn *insns, uint32_t count,
           uint32_t scale)
{
    unsigned ground_count = ROW_COUNT(grounds) - (scale != 1);
    for (unsigned g = 0; g < ground_count; g++) {
        struct scene scene = {.vm = *vm};
        scene_init(&scene, writer, insns, count, scale);
        if (g % 2)
            write_secret(&scene, &grounds[g]); /* before anything else has touched the slot */
        try_ground(&scene, &grounds[g]);
        bpf_pool_free(scene.pool);
    }
}

static void
no_secret_stays(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (unsigned w = 0; w < ROW_COUNT(writers); w++) {
        try_writer(&vm, &writers[w], look_by_loads, ROW_COUNT(look_by_loads), 1);
        try_writer(&vm, &writers[w], look_by_view, ROW_COUNT(look_by_view), 1);
    }
    vm_deinit(&vm);
}

/* Long data is not copied but mapped anew. */
static void
no_secret_stays_in_long_data(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (unsigned w = 0; w < ROW_COUNT(writers); w++)
        try_writer(&vm, &writers[w], look_by_view, ROW_COUNT(look_by_view), 64);
    vm_deinit(&vm);
}

/* The sum that a look at the whole of stack and arguments must have is known: 0. */
static void
a_new_slot_is_clean(void **state)
{
    const struct ground all = {"all", BPF_STACK_LOW, BPF_ARGS + BPF_ARGS_LEN, false};
    const struct ground data = {"data", 0, 8192, true};
    struct scene scene;
    vm_init(&scene.vm, engine_of(state), 0);
    scene_init(&scene, &writers[0], look_by_loads, ROW_COUNT(look_by_loads), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(&scene, &all), 0);
        assert_int_equal(look(&scene, &data), DATA_LEN);
        write_secret(&scene, &all);
        write_secret(&scene, &data);
    }
    bpf_pool_free(scene.pool);
    vm_deinit(&scene.vm);
}

/* What the caller has put there, whether the run began or not, and whatever the next takes. */
static void
arguments_of_the_caller_go_too(void **state)
{
    const struct ground args = {"arguments", BPF_ARGS, BPF_ARGS + BPF_ARGS_LEN, false};
    struct scene scene;
    vm_init(&scene.vm, engine_of(state), 0);
    const struct writer only_exit = WRITER(keep);
    scene_init(&scene, &only_exit, look_by_loads, ROW_COUNT(look_by_loads), 1);
    const uint32_t lens[] = {1, 8, 100, BPF_ARGS_LEN};
    for (unsigned i = 0; i < 2 * ROW_COUNT(lens); i++) {
        uint32_t len = lens[i / 2];
        struct bpf_run *run = begin(&scene, 0, &args, 0);
        memset(bpf_run_args(run, 1), SECRET, 1);
        memset(bpf_run_args(run, len), SECRET, len);
        memset(bpf_run_args(run, 1), SECRET, 1);
        if (i % 2)
            test_finish(run);
        bpf_run_free(run);
        assert_int_equal(look(&scene, &args), 0);
    }
    bpf_pool_free(scene.pool);
    vm_deinit(&scene.vm);
}

/* After a helper r1 to r5 are 0, and r6 to r9 as before. */
static void
helpers_leave_nothing_in_registers(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5), MOV_I(R6, 6),
                MOV_I(R7, 7), MOV_I(R8, 8), MOV_I(R9, 9), CALL(H_ADD), MOV_I(R0, 0),
                ALU64_R(OR, R0, R1), ALU64_R(OR, R0, R2), ALU64_R(OR, R0, R3), ALU64_R(OR, R0, R4),
                ALU64_R(OR, R0, R5), ALU64_I(MUL, R0, 1000), ALU64_R(ADD, R0, R6),
                ALU64_R(ADD, R0, R7), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_done(&vm, &spec, NULL, 30);
    vm_deinit(&vm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_new_slot_is_clean),
        BOTH(no_secret_stays),
        BOTH(no_secret_stays_in_long_data),
        BOTH(arguments_of_the_caller_go_too),
        BOTH(helpers_leave_nothing_in_registers),
    };
    return cmocka_run_group_tests_name("bpf fresh", tests, NULL, NULL);
}
