/* Response hooks: which script and function, with which argument, and how many. */
#include "bpf/object_test_run.h"
#include "script/answer_test_run.h"

static const struct bpf_insn nothing[] = {{.opcode = 0xb7}, {.opcode = 0x95}};

struct hooks_stage {
    struct stage *stage;
    struct script_shared *shared;
    struct script_set *set;
    struct script_view view;
};

static struct script_source
make(struct elf_writer *elf, const char *name, const char *const *sections)
{
    elf_init(elf);
    for (; *sections; sections++)
        elf_code(elf, *sections, nothing, 2);
    elf_finish(elf);
    return (struct script_source){
        .name = str_from_cstr(name), .bytes = buf_str(&elf->file), .from = STR("site")};
}

/* Two scripts, the first of which is the one that calls helpers. */
static int
hooks_setup(void **state)
{
    struct hooks_stage *hooks = calloc(1, sizeof *hooks);
    struct elf_writer elf[2];
    struct error error;
    const struct script_config config = {
        .footprint_max = 1 << 18, .rate_buckets_max = 1, .kv_max = 1};
    struct script_source sources[] = {
        make(&elf[0], "own.o", (const char *[]){"zeroserve.request", "zeroserve.call.f", NULL}),
        make(&elf[1], "other.o", (const char *[]){"tarn.call.f", "tarn.call.g", NULL})};
    if (stage_setup((void **)&hooks->stage) != 0)
        return -1;
    must(script_shared_new(&hooks->shared, &config, &error) == 0);
    must(script_set_new(&hooks->set, hooks->shared, sources, 2, &error) == 0);
    elf_deinit(&elf[0]);
    elf_deinit(&elf[1]);
    hooks->view.set = hooks->set;
    hooks->stage->scene->task.view = &hooks->view;
    hooks->stage->scene->frame.script = &hooks->set->list[0];
    *state = hooks;
    return 0;
}

static int
hooks_teardown(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    stage_teardown((void **)&stage);
    script_set_unref(hooks->set);
    script_shared_free(hooks->shared);
    free(hooks);
    return 0;
}

static uint64_t
json(struct stage *stage, const char *text)
{
    return (uint64_t)script_json_try_parse(&stage->scene->frame, str_from_cstr(text));
}

static void
assert_hook(const struct hooks_stage *hooks, unsigned at, unsigned script, const char *func,
            const char *argument)
{
    const struct script_hooks *list = &hooks->stage->scene->task.hooks;
    assert_true(at < list->count);
    const struct script_hook *hook = &list->list[at];
    assert_ptr_equal(hook->script, &hooks->set->list[script]);
    assert_int_equal(hook->entry, script_call_entry(hook->script, str_from_cstr(func)));
    assert_str(str_make(list->text.ptr + hook->argument_off, hook->argument_len), argument);
}

static void
hooks_are_kept_in_order(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    uint64_t one = json(stage, "{\"b\":1,\"a\":[true]}"), two = json(stage, "null");
    EXPECT(0, CALL(zs_res_hook, T(""), T("f"), one));
    EXPECT(0, CALL(zs_res_hook, T(" other.o "), T(" g "), two));
    EXPECT(0, CALL(zs_res_hook, T("other"), T("f"), one));
    EXPECT(0, CALL(zs_res_hook, STAGE_OUTSIDE, 0, T("f"), two));
    assert_int_equal(stage->scene->task.hooks.count, 4);
    assert_hook(hooks, 0, 0, "f", "{\"a\":[true],\"b\":1}");
    assert_hook(hooks, 1, 1, "g", "null");
    assert_hook(hooks, 2, 1, "f", "{\"a\":[true],\"b\":1}");
    assert_hook(hooks, 3, 0, "f", "null");
    EXPECT(0, CALL(zs_res_hooks_clear));
    assert_int_equal(stage->scene->task.hooks.count, 0);
    EXPECT(0, CALL(zs_res_hook, T("other"), T("f"), two));
    assert_hook(hooks, 0, 1, "f", "null");
}

static void
what_is_not_there_is_no_hook(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    uint64_t handle = json(stage, "1");
    EXPECT(-1, CALL(zs_res_hook, T("none"), T("f"), handle));
    EXPECT(-1, CALL(zs_res_hook, T("other"), T("none"), handle));
    EXPECT(-1, CALL(zs_res_hook, T(""), T("g"), handle));
    assert_int_equal(stage->scene->task.hooks.count, 0);
}

static void
hooks_want_good_arguments(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    uint64_t handle = json(stage, "1");
    CALL(zs_res_hook, T(""), T(" "), handle);
    EXPECT_TRAP("zs_res_hook: the function's name is empty");
    CALL(zs_res_hook, T(""), T("f"), 77);
    EXPECT_TRAP("zs_res_hook: 77 is no handle");
    CALL(zs_res_hook, T("none"), T("f"), 0);
    EXPECT_TRAP("zs_res_hook: 0 is no handle");
    CALL(zs_res_hook, STAGE_OUTSIDE, 1, T("f"), handle);
    EXPECT_TRAP("outside of");
    CALL(zs_res_hook, T(""), STAGE_OUTSIDE, 1, handle);
    EXPECT_TRAP("outside of");
    CALL(zs_res_hook, T("\xff"), T("f"), handle);
    EXPECT_TRAP("not UTF-8");
    CALL(zs_res_hook, T(""), T("\xff"), handle);
    EXPECT_TRAP("not UTF-8");
    assert_int_equal(stage->scene->task.hooks.count, 0);
}

static void
hooks_have_a_limit(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    uint64_t handle = json(stage, "1");
    for (unsigned i = 0; i < SCRIPT_HOOKS_MAX; i++)
        EXPECT(0, CALL(zs_res_hook, T(""), T("f"), handle));
    CALL(zs_res_hook, T(""), T("f"), handle);
    EXPECT_TRAP("zs_res_hook: more than 64 hooks, or 256 KiB of their arguments");
    assert_int_equal(stage->scene->task.hooks.count, SCRIPT_HOOKS_MAX);
    EXPECT(0, CALL(zs_res_hooks_clear));
    static char text[100 << 10];
    memset(text, 'x', sizeof text - 1);
    text[0] = text[sizeof text - 2] = '"';
    uint64_t large = json(stage, text);
    EXPECT(0, CALL(zs_res_hook, T(""), T("f"), large));
    EXPECT(0, CALL(zs_res_hook, T(""), T("f"), large));
    CALL(zs_res_hook, T(""), T("f"), large);
    EXPECT_TRAP("256 KiB of their arguments");
    /* What did not fit is not in the way of what does. */
    EXPECT(0, CALL(zs_res_hook, T(""), T("f"), handle));
    assert_hook(hooks, 2, 0, "f", "1");
}

static void
hooks_register_no_hooks(void **state)
{
    struct hooks_stage *hooks = *state;
    struct stage *stage = hooks->stage;
    uint64_t handle = json(stage, "1");
    EXPECT(0, CALL(zs_res_hook, T(""), T("f"), handle));
    stage->scene->task.phase = SCRIPT_RESPONSE;
    EXPECT(-1, CALL(zs_res_hook, T(""), T("f"), handle));
    EXPECT(0, CALL(zs_res_hooks_clear));
    assert_int_equal(stage->scene->task.hooks.count, 1);
}

#define hooks_test(test) cmocka_unit_test_setup_teardown(test, hooks_setup, hooks_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        hooks_test(hooks_are_kept_in_order),   hooks_test(what_is_not_there_is_no_hook),
        hooks_test(hooks_want_good_arguments), hooks_test(hooks_have_a_limit),
        hooks_test(hooks_register_no_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
