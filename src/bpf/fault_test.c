#include "bpf/fault.h"

#include "bpf/script_test_run.h"

#include <errno.h>
#include <sys/syscall.h>

/* Children die here; what they die of is what a process without scripts would have died of. A
 * sanitizer's own handler is there before, unless a test takes it away: test_child does. */

static volatile uint64_t null_page = 8;

struct order {
    enum bpf_engine engine;
    struct spec spec;
    uint64_t args[5];
};

static void
run_it(void *arg)
{
    struct order *order = arg;
    struct vm vm;
    vm_init(&vm, order->engine, 0);
    struct bpf_run *run = only_run(&vm, &order->spec, order->args);
    test_finish(run);
    _exit(3);
}

static void
a_fault_inside_a_helper_kills(void **state)
{
    struct order order = {
        .engine = engine_of(state),
        .spec = {PROGRAM(CALL(H_CRASH), EXIT)},
        .args = {null_page, 0},
    };
    expect_child_dies(run_it, &order, SIGSEGV);
}

/* Also when the address is one that the script could have named itself. */
static void
a_fault_of_a_helper_within_the_window_kills(void **state)
{
    const uint64_t places[] = {0, BPF_RO_BASE, BPF_STACK_LOW, UINT32_MAX, (uint64_t)-1};
    for (unsigned i = 0; i < ROW_COUNT(places); i++) {
        struct order order = {
            .engine = engine_of(state),
            .spec = {PROGRAM(CALL(H_CRASH), EXIT)},
            .args = {places[i], 1},
        };
        expect_child_dies(run_it, &order, SIGSEGV);
    }
}

static void
crash(void)
{
    *(volatile char *)(uintptr_t)null_page = 1;
}

static void
crash_outside(void *arg)
{
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    crash();
}

static void
crash_after_a_run(void *arg)
{
    const struct spec spec = {PROGRAM(LDX(DW, R0, R0, 0), EXIT)};
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    expect_only_trap(&vm, &spec, NULL, BPF_TRAP_ACCESS, 0, "read of 8 bytes at 0x0: null page");
    crash();
}

static void
crash_while_one_waits(void *arg)
{
    const struct spec spec = {PROGRAM(CALL(H_WAIT), EXIT)};
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    struct bpf_run *run = only_run(&vm, &spec, NULL);
    if (bpf_run_go(run) == BPF_WAITING)
        *(volatile char *)run->cage.base = 1;
}

static void
a_fault_outside_of_runs_kills(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_dies(crash_outside, &engine, SIGSEGV);
    expect_child_dies(crash_after_a_run, &engine, SIGSEGV);
    expect_child_dies(crash_while_one_waits, &engine, SIGSEGV);
}

/* The script's own instruction, but as if its cage were elsewhere. */
static uint64_t
move_cage(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    run->cage.base += (uint64_t)1 << 40;
    return 0;
}

static void
fault_outside_of_the_window(void *arg)
{
    const struct bpf_helper helper = {"move_cage", move_cage};
    const struct bpf_helper_table table = {&helper, 1};
    const struct bpf_insn insns[] = {CALL(0), LDX(DW, R0, R0, 0), EXIT};
    struct vm vm;
    struct bpf_object object;
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct error error;
    const struct bpf_budget budget = {0};
    struct bpf_program_config config = {.helpers = &table, .engine = BPF_ENGINE_JIT};
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    if (bpf_object_from_insns(&object, insns, 3, (struct str){0}, &error) < 0 ||
        bpf_program_new(&program, &object, &config, &error) < 0 ||
        bpf_pool_new(&pool, vm.worker, program, &budget, &error) < 0)
        _exit(1);
    bpf_run_go(bpf_run_new(pool, 0, NULL));
}

static void
a_fault_of_script_code_outside_of_its_window_kills(void **state)
{
    if (!TEST_HAS_JIT)
        skip();
    expect_child_dies(fault_outside_of_the_window, NULL, SIGSEGV);
}

static void
write_to_code(void *arg)
{
    const struct spec spec = {PROGRAM(MOV_I(R0, 0), EXIT)};
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    struct bpf_run *run = only_run(&vm, &spec, NULL);
    *(volatile char *)run->program->code.text = 0;
}

static void
machine_code_cannot_be_written_to(void **state)
{
    if (!TEST_HAS_JIT)
        skip();
    expect_child_dies(write_to_code, NULL, SIGSEGV);
}

static void
overflow_native_stack(void *arg)
{
    const struct spec spec = {PROGRAM(CALL(H_DEEP), EXIT)};
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    struct bpf_run *run = only_run(&vm, &spec, NULL);
    /* as if as much had been used already */
    run->fiber.stack_len = 64 << 10;
    test_finish(run);
}

static void
a_helper_that_uses_up_the_native_stack_kills(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_dies(overflow_native_stack, &engine, SIGSEGV);
}

/* --- who else wants to know --- */

static void
exit_42(int signal)
{
    _exit(42);
}

static void
crash_with_another_handler(void *arg)
{
    signal(SIGSEGV, exit_42);
    crash_after_a_run(arg);
}

static void
the_handler_that_was_there_gets_what_is_not_ours(void **state)
{
    enum bpf_engine engine = engine_of(state);
    int status = test_child(crash_with_another_handler, &engine);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

/* A handler that was put in front, and hands on to ours; another worker then puts ours in front of
 * that. */
static struct sigaction ours;
static unsigned handed_on;

static void
hand_on(int signal, siginfo_t *info, void *context)
{
    if (++handed_on > 10)
        _exit(1);
    ours.sa_sigaction(signal, info, context);
}

static void
crash_in_a_circle(void *arg)
{
    struct vm vm;
    struct sigaction front = {.sa_sigaction = hand_on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    sigaction(SIGSEGV, &front, &ours);
    vm_deinit(&vm);
    crash_after_a_run(arg);
}

static void
handlers_in_a_circle_still_kill(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_dies(crash_in_a_circle, &engine, SIGSEGV);
}

/* --- signals that somebody sends --- */

static void
killed_in_a_helper(void *arg)
{
    const struct spec spec = {PROGRAM(MOV_I(R1, SIGSEGV), CALL(H_RAISE), EXIT)};
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    bpf_run_go(only_run(&vm, &spec, NULL));
}

/* Made to look like a fault of the script. */
static void
send_fault(pid_t pid, const struct bpf_run *run)
{
    siginfo_t info = {.si_signo = SIGBUS, .si_code = SI_QUEUE};
    info.si_addr = run->cage.base;
    syscall(SYS_rt_sigqueueinfo, pid, SIGBUS, &info);
}

static void
killed_in_script_code(void *arg)
{
    const struct spec spec = {PROGRAM(GOTO(-1), EXIT)};
    struct vm vm;
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    struct bpf_run *run = only_run(&vm, &spec, NULL);
    pid_t self = getpid();
    if (fork() == 0) {
        usleep(30 * 1000);
        send_fault(self, run);
        _exit(0);
    }
    bpf_run_go(run);
}

static void
a_signal_that_was_sent_kills(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_dies(killed_in_a_helper, &engine, SIGSEGV);
    expect_child_dies(killed_in_script_code, &engine, SIGBUS);
}

/* --- faults that are ours --- */

static void
faults_are_taken_again_and_again(void **state)
{
    const struct spec spec = {PROGRAM(LDX(DW, R0, R1, 16), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    for (int i = 0; i < 5000; i++) {
        expect_trap(test_run_new(pool, ARGS(0x30000)), BPF_TRAP_ACCESS, 0,
                    "read of 8 bytes at 0x30010: outside of the script's memory");
        expect_done(test_run_new(pool, ARGS(BPF_ARGS)), 0);
    }
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* Signals are not blocked, and errno is as before, in what goes on after a fault. */
static void
a_fault_leaves_no_trace_in_the_thread(void **state)
{
    const struct spec spec = {
        PROGRAM(ST(DW, R10, -0x7000, 1), LDX(DW, R0, R1, 0), EXIT),
    };
    struct vm vm;
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    vm_init(&vm, engine_of(state), 0);
    struct bpf_run *run = only_run(&vm, &spec, NULL);
    struct bpf_pool *pool = run->pool;
    errno = EXDEV;
    enum bpf_outcome outcome = bpf_run_go(run);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(outcome, BPF_TRAPPED);
    expect_trapped(run, BPF_TRAP_ACCESS, 1, "read of 8 bytes at 0x0: null page");
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(sigismember(&after, i), sigismember(&before, i));
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
a_signal_stack_is_given_and_taken_back(void **state)
{
    stack_t before, during, after;
    assert_int_equal(sigaltstack(NULL, &before), 0);
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_INTERP, 0);
    assert_int_equal(sigaltstack(NULL, &during), 0);
    assert_false(during.ss_flags & SS_DISABLE);
    if (!(before.ss_flags & SS_DISABLE))
        assert_ptr_equal(during.ss_sp, before.ss_sp);
    vm_deinit(&vm);
    assert_int_equal(sigaltstack(NULL, &after), 0);
    assert_int_equal(after.ss_flags & SS_DISABLE, before.ss_flags & SS_DISABLE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_fault_inside_a_helper_kills),
        BOTH(a_fault_of_a_helper_within_the_window_kills),
        BOTH(a_fault_outside_of_runs_kills),
        cmocka_unit_test(a_fault_of_script_code_outside_of_its_window_kills),
        cmocka_unit_test(machine_code_cannot_be_written_to),
        BOTH(a_helper_that_uses_up_the_native_stack_kills),
        BOTH(the_handler_that_was_there_gets_what_is_not_ours),
        BOTH(handlers_in_a_circle_still_kill),
        BOTH(a_signal_that_was_sent_kills),
        BOTH(faults_are_taken_again_and_again),
        BOTH(a_fault_leaves_no_trace_in_the_thread),
        cmocka_unit_test(a_signal_stack_is_given_and_taken_back),
    };
    return cmocka_run_group_tests_name("bpf fault", tests, NULL, NULL);
}
