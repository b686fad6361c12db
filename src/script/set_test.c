/* Sets of scripts: what is loaded, what is found in them, what is refused. */
#include "bpf/object_test_run.h"
#include "script/helpers.h"
#include "script/task.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct bpf_insn nothing[] = {{.opcode = 0xb7}, {.opcode = 0x95}};

struct made {
    struct elf_writer elf;
    char name[64];
};

/* An object file with these code sections; NULL ends them. */
static struct script_source
make(struct made *made, const char *name, const char *const *sections)
{
    elf_init(&made->elf);
    for (; *sections; sections++)
        elf_code(&made->elf, *sections, nothing, 2);
    elf_finish(&made->elf);
    snprintf(made->name, sizeof made->name, "%s", name);
    return (struct script_source){
        .name = str_from_cstr(made->name),
        .bytes = buf_str(&made->elf.file),
        .from = STR("site"),
    };
}

static struct script_shared *
new_shared(void)
{
    const struct script_config config = {
        .slice_ns = 1000000,
        .cpu_limit_ns = 1000000000,
        .footprint_max = 1 << 18,
        .rate_buckets_max = 10,
        .kv_max = 1 << 20,
    };
    struct script_shared *shared;
    struct error error;
    if (script_shared_new(&shared, &config, &error) != 0)
        fail_msg("%s", error.text);
    return shared;
}

static void
scripts_and_their_calls_are_found_by_name(void **state)
{
    struct script_shared *shared = new_shared();
    struct made made[3];
    struct script_source sources[] = {
        make(&made[0], "b.o", (const char *[]){"zeroserve.request", NULL}),
        make(&made[1], "a.o", (const char *[]){"zeroserve.call.two", "tarn.call.one", NULL}),
        make(&made[2], "b.o", (const char *[]){"tarn.request", "zeroserve.call.x", NULL}),
    };
    struct script_set *set;
    struct error error;
    assert_int_equal(script_set_new(&set, shared, sources, 3, &error), 0);
    for (unsigned i = 0; i < 3; i++)
        elf_deinit(&made[i].elf); /* nothing is kept of the bytes */
    assert_int_equal(script_set_count(set), 3);
    const struct script *a = script_set_find(set, STR("a")), *b = script_set_find(set, STR("b.o"));
    assert_ptr_equal(a, &set->list[1]);
    assert_ptr_equal(b, &set->list[2]); /* the later one */
    assert_ptr_equal(a->counters == b->counters, false);
    assert_ptr_equal(b->counters, set->list[0].counters);
    assert_null(script_set_find(set, STR("c")));
    assert_null(script_set_find(set, STR("")));
    assert_true(script_call_entry(a, STR("one")) >= 0);
    assert_true(script_call_entry(a, STR("two")) >= 0);
    assert_true(script_call_entry(a, STR("two")) != script_call_entry(a, STR("one")));
    assert_int_equal(script_call_entry(a, STR("three")), -1);
    assert_int_equal(a->request_entry, -1);
    assert_true(b->request_entry >= 0);
    struct script_facts facts;
    script_set_facts(set, 1, &facts);
    assert_int_equal(facts.insn_count, 4);
    assert_int_equal(facts.call_count, 2);
    assert_false(facts.has_request);
    assert_true(str_eq(script_set_call_name(set, 1, 0), STR("one")));
    assert_true(str_eq(script_set_call_name(set, 1, 1), STR("two")));
    script_set_unref(script_set_ref(set));
    script_set_unref(set);
    script_shared_free(shared);
}

static void
a_long_name_finds_nothing(void **state)
{
    char name[2 * BPF_NAME_MAX];
    struct script_shared *shared = new_shared();
    struct made made;
    struct script_source source = make(&made, "a.o", (const char *[]){"tarn.call.x", NULL});
    struct script_set *set;
    struct error error;
    memset(name, 'x', sizeof name);
    assert_int_equal(script_set_new(&set, shared, &source, 1, &error), 0);
    assert_null(script_set_find(set, str_make(name, sizeof name)));
    assert_int_equal(script_call_entry(&set->list[0], str_make(name, sizeof name)), -1);
    script_set_unref(set);
    elf_deinit(&made.elf);
    script_shared_free(shared);
}

static void
assert_refused(const char *const *sections, const char *why)
{
    struct script_shared *shared = new_shared();
    struct made made;
    struct script_source source = make(&made, "bad.o", sections);
    struct script_set *set;
    struct error error;
    assert_int_equal(script_set_new(&set, shared, &source, 1, &error), -1);
    if (!strstr(error.text, why) || !strstr(error.text, "site: script bad.o: "))
        fail_msg("'%s' does not say '%s'", error.text, why);
    elf_deinit(&made.elf);
    script_shared_free(shared);
}

static void
what_is_no_script_is_refused(void **state)
{
    assert_refused((const char *[]){".text", NULL}, "neither a zeroserve.request section nor");
    assert_refused((const char *[]){"tarn.request", "zeroserve.request", NULL}, "has both");
    assert_refused((const char *[]){"tarn.request", "zeroserve.tls", NULL}, "TLS handshakes");
    assert_refused((const char *[]){"tarn.request", "tarn.tls.request", NULL}, "TLS handshakes");
    assert_refused((const char *[]){"tarn.call.x", "zeroserve.call.x", NULL}, "have one name");
    assert_refused((const char *[]){NULL}, "no code");
}

static void
helpers_that_read_bodies_and_fetch_are_noted(void **state)
{
    static const struct {
        const char *helper;
        bool reads_body, fetches;
    } rows[] = {{"zs_req_body_json", true, false},
                {"zs_req_body", true, false},
                {"zs_fetch", false, true},
                {"zs_now_ms", false, false}};
    struct script_shared *shared = new_shared();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct bpf_insn insns[] = {{.opcode = 0x85, .src = 1, .imm = -1}, {.opcode = 0x95}};
        struct elf_writer elf;
        struct script_set *set;
        struct error error;
        elf_init(&elf);
        unsigned code = elf_code(&elf, "tarn.request", insns, 2);
        unsigned symbol = elf_symbol(&elf, rows[i].helper, STT_NOTYPE, SHN_UNDEF, 0);
        elf_rel(&elf, code, 0, 10, symbol);
        elf_finish(&elf);
        const struct script_source source = {STR_INIT("a.o"), buf_str(&elf.file), STR_INIT("site")};
        if (script_set_new(&set, shared, &source, 1, &error) != 0)
            fail_msg("%s", error.text);
        assert_int_equal(set->reads_body, rows[i].reads_body);
        assert_int_equal(script_set_fetches(set), rows[i].fetches);
        script_set_unref(set);
        elf_deinit(&elf);
    }
    script_shared_free(shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_and_their_calls_are_found_by_name),
        cmocka_unit_test(a_long_name_finds_nothing),
        cmocka_unit_test(what_is_no_script_is_refused),
        cmocka_unit_test(helpers_that_read_bodies_and_fetch_are_noted),
    };
    return cmocka_run_group_tests_name("set", tests, NULL, NULL);
}
