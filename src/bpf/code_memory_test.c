#include "bpf/jit.h"

#include "bpf/script_test_run.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A function that returns 42. */
#if defined(__x86_64__)
static const uint8_t answer[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
static const uint8_t answer[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#endif

/* --- what is mapped --- */

/* The permissions of the mapping at `at` as /proc shows them; "none" for one that is not there. */
static const char *
permissions(const char *at)
{
    static char found[8];
    char line[512];
    unsigned long start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    snprintf(found, sizeof found, "none");
    while (fgets(line, sizeof line, maps)) {
        char bits[8];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, bits) == 3 && start <= (uintptr_t)at &&
            (uintptr_t)at < end)
            snprintf(found, sizeof found, "%.4s", bits);
    }
    fclose(maps);
    return found;
}

static unsigned
open_files(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static uint64_t
page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct bpf_code
map_answer(uint64_t len)
{
    struct bpf_code code;
    struct error error = {0};
    char *bytes = calloc(1, len);
    assert_non_null(bytes);
    memcpy(bytes, answer, len < sizeof answer ? len : sizeof answer);
    if (bpf_code_map(&code, bytes, len, &error) < 0)
        fail_msg("%s", error.text);
    assert_memory_equal(code.text, bytes, len);
    free(bytes);
    return code;
}

static int
call(const struct bpf_code *code)
{
    int (*function)(void);
    memcpy(&function, &code->text, sizeof function);
    return function();
}

static void
expect_mapped_right(const struct bpf_code *code, uint64_t len)
{
    uint64_t text_len = (len + page() - 1) / page() * page();
    assert_int_equal(code->len, len);
    assert_int_equal(code->map_len, text_len + 2 * page());
    assert_string_equal(permissions(code->text - 1), "---p");
    assert_string_equal(permissions(code->text - page()), "---p");
    assert_string_equal(permissions(code->text), "r-xp");
    assert_string_equal(permissions(code->text + text_len - 1), "r-xp");
    assert_string_equal(permissions(code->text + text_len), "---p");
    assert_string_equal(permissions(code->text + text_len + page() - 1), "---p");
    for (uint64_t i = len; i < text_len; i++)
        assert_int_equal((uint8_t)code->text[i], 0xcc);
}

static void
code_is_executable_and_nothing_else(void **state)
{
    const uint64_t lens[] = {1, sizeof answer, page() - 1, page(), page() + 1, 10 * page()};
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct bpf_code code = map_answer(lens[i]);
        expect_mapped_right(&code, lens[i]);
        if (lens[i] >= sizeof answer)
            assert_int_equal(call(&code), 42);
        bpf_code_deinit(&code);
    }
}

static void
deinit_leaves_nothing(void **state)
{
    struct bpf_code code = map_answer(100);
    char *text = code.text;
    code.starts = malloc(4);
    bpf_code_deinit(&code);
    assert_null(code.text);
    assert_null(code.starts);
    assert_int_equal(code.len, 0);
    assert_int_equal(msync(text, page(), MS_ASYNC), -1);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(msync(text - page(), page(), MS_ASYNC), -1);
    bpf_code_deinit(&code); /* of one that holds nothing */
}

static void
write_to(void *at)
{
    *(volatile char *)at = 1;
}

static void
read_from(void *at)
{
    (void)*(volatile char *)at;
}

static void
writing_it_or_leaving_it_is_a_fault(void **state)
{
    struct bpf_code code = map_answer(page());
    expect_child_dies(write_to, code.text, SIGSEGV);
    expect_child_dies(read_from, code.text - 1, SIGSEGV);
    expect_child_dies(read_from, code.text + page(), SIGSEGV);
    bpf_code_deinit(&code);
}

/* --- systems that refuse --- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define NOT_EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define WITHOUT(bits, skip) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, skip)
#define RESULT_OF(value) BPF_STMT(BPF_RET | BPF_K, value)

/* From now on the process cannot make memory executable by mprotect, nor, `all`, by mmap. */
static void
refuse_executable(bool all, uint32_t code)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        NOT_EQUAL(SYS_mprotect, 3),
        LOAD(args[2]),
        WITHOUT(PROT_EXEC, 1),
        RESULT_OF(SECCOMP_RET_ERRNO | code),
        LOAD(nr),
        NOT_EQUAL(all ? SYS_mmap : UINT32_MAX, 3),
        LOAD(args[2]),
        WITHOUT(PROT_EXEC, 1),
        RESULT_OF(SECCOMP_RET_ERRNO | code),
        RESULT_OF(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(77);
    void *memory = mmap(NULL, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(memory, page(), PROT_READ | PROT_EXEC), -1);
    assert_int_equal(errno, code);
}

/* 77: the system has no such filters. */
static void
expect_child_passes_or_skips(void (*function)(void *arg), void *arg)
{
    int status = test_child(function, arg);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
map_from_file(void)
{
    unsigned files = open_files();
    struct bpf_code code = map_answer(page() + 100);
    expect_mapped_right(&code, page() + 100);
    assert_int_equal(call(&code), 42);
    assert_int_equal(open_files(), files);
    bpf_code_deinit(&code);
}

static void
where_mprotect_is_refused(void *code)
{
    refuse_executable(false, *(uint32_t *)code);
    map_from_file();
}

static void
a_memory_file_where_mprotect_is_refused(void **state)
{
    uint32_t not_permitted = EPERM, no_access = EACCES;
    expect_child_passes_or_skips(where_mprotect_is_refused, &not_permitted);
    expect_child_passes_or_skips(where_mprotect_is_refused, &no_access);
}

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static void
under_mdwe(void *arg)
{
    if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
        _exit(77);
    map_from_file();
}

static void
a_memory_file_under_mdwe(void **state)
{
    expect_child_passes_or_skips(under_mdwe, NULL);
}

static void
where_all_is_refused(void *arg)
{
    struct bpf_code code;
    struct error error = {0};
    refuse_executable(true, EPERM);
    unsigned files = open_files();
    assert_int_equal(bpf_code_map(&code, (const char *)answer, sizeof answer, &error), -1);
    assert_string_equal(error.text,
                        "the system gives no executable memory: Operation not permitted");
    assert_null(code.text);
    assert_int_equal(code.len, 0);
    assert_int_equal(open_files(), files);
}

static void
an_error_where_all_is_refused(void **state)
{
    expect_child_passes_or_skips(where_all_is_refused, NULL);
}

static void
without_address_space(void *arg)
{
    struct bpf_code code;
    struct error error = {0};
    const struct rlimit limit = {1 << 20, 1 << 20};
    char *bytes = calloc(1, 64 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_int_equal(bpf_code_map(&code, bytes, 64 << 20, &error), -1);
    assert_string_equal(error.text,
                        "cannot map 67108864 bytes of machine code: Cannot allocate memory");
    free(bytes);
}

static void
an_error_without_address_space(void **state)
{
    expect_child_passes(without_address_space, NULL);
}

/* --- which instruction --- */

static void
an_address_is_of_the_instruction_whose_code_holds_it(void **state)
{
    /* the third and fourth have no code, nor has the last */
    uint32_t starts[] = {4, 10, 20, 20, 20, 30, 31, 31};
    struct bpf_code code = {.text = (char *)0x10000, .len = 100, .starts = starts};
    const struct {
        uint64_t address;
        int64_t insn;
    } cases[] = {
        {0x10000, -1}, {0x10003, -1},      {0x10004, 0},
        {0x10009, 0},  {0x1000a, 1},       {0x10013, 1},
        {0x10014, 4},  {0x1001d, 4},       {0x1001e, 5},
        {0x1001f, -1}, {0x10000 + 99, -1}, {0xffff, -1},
        {0, -1},       {UINT64_MAX, -1},   {0x10000 + ((uint64_t)1 << 32) + 10, -1},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(bpf_code_insn(&code, 7, cases[i].address), cases[i].insn);
    const struct bpf_code none = {0};
    assert_int_equal(bpf_code_insn(&none, 0, 0), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_is_executable_and_nothing_else),
        cmocka_unit_test(deinit_leaves_nothing),
        cmocka_unit_test(writing_it_or_leaving_it_is_a_fault),
        cmocka_unit_test(a_memory_file_where_mprotect_is_refused),
        cmocka_unit_test(a_memory_file_under_mdwe),
        cmocka_unit_test(an_error_where_all_is_refused),
        cmocka_unit_test(an_error_without_address_space),
        cmocka_unit_test(an_address_is_of_the_instruction_whose_code_holds_it),
    };
    return cmocka_run_group_tests_name("bpf code memory", tests, NULL, NULL);
}
