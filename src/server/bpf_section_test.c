#include "server/bpf_section.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { SECTIONS_MAX = 64 };

static struct bpf_section sections[SECTIONS_MAX];

/* Sections of these names; each begins one instruction further. */
static struct bpf_object
make_object(const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sections[i] = (struct bpf_section){str_from_cstr(names[i]), i, 1};
    return (struct bpf_object){.sections = sections, .section_count = count, .insn_count = count};
}

#define OBJECT(...)                                 \
    make_object((const char *const[]){__VA_ARGS__}, \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void
check_runs(struct bpf_object object, uint32_t expected)
{
    struct error error;
    const struct bpf_section *section = bpf_section_to_run(&object, NULL, &error);
    assert_non_null(section);
    assert_int_equal(section->first, expected);
}

static void
test_what_a_server_runs_comes_first(void **state)
{
    check_runs(OBJECT("a", "tarn.request", "zeroserve.request"), 2);
    check_runs(OBJECT("tarn.request", "a"), 0);
    check_runs(OBJECT("tarn.request2", "tarn.request"), 1);
}

static void
test_the_only_one_besides_text_is_taken(void **state)
{
    check_runs(OBJECT("a"), 0);
    check_runs(OBJECT(".text"), 0);
    check_runs(OBJECT(".text", "a"), 1);
    check_runs(OBJECT("a", ".text"), 0);
}

static void
test_of_several_one_must_be_named(void **state)
{
    struct bpf_object object = OBJECT("a", ".text", "b");
    struct error error;
    assert_null(bpf_section_to_run(&object, NULL, &error));
    assert_string_equal(error.text, "no section zeroserve.request or tarn.request; --section takes "
                                    "one of a, .text, b");
    assert_ptr_equal(bpf_section_to_run(&object, "b", &error), &sections[2]);
    assert_ptr_equal(bpf_section_find(&object, ".text", &error), &sections[1]);
    assert_null(bpf_section_to_run(&object, "c", &error));
    assert_string_equal(error.text, "no section 'c' with code; there are: a, .text, b");
    object = OBJECT("a");
    assert_null(bpf_section_find(&object, "A", &error));
    assert_string_equal(error.text, "no section 'A' with code; there is: a");
}

static void
test_many_long_names_are_cut(void **state)
{
    static char names[SECTIONS_MAX][100];
    const char *list[SECTIONS_MAX];
    struct error error;
    for (int i = 0; i < SECTIONS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "a\x1b%090d", i);
        list[i] = names[i];
    }
    struct bpf_object object = make_object(list, SECTIONS_MAX);
    assert_null(bpf_section_to_run(&object, NULL, &error));
    assert_in_range(strlen(error.text), 200, ERROR_TEXT_MAX - 1);
    assert_null(strchr(error.text, '\x1b'));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_server_runs_comes_first),
        cmocka_unit_test(test_the_only_one_besides_text_is_taken),
        cmocka_unit_test(test_of_several_one_must_be_named),
        cmocka_unit_test(test_many_long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
