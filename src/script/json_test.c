/* What other families use of JSON; handles and their trees are tested with the helpers. */
#include "script/json_test_run.h"

static struct script_frame other; /* a second frame of the same task */

static int
set_up_frames(void **state)
{
    set_up(state);
    other = (struct script_frame){.task = &scene->task, .script = &scene->script};
    return 0;
}

static int
tear_down_frames(void **state)
{
    script_json_deinit(&other.json);
    return tear_down(state);
}

static void
an_empty_one_may_be_dropped(void **state)
{
    struct script_json json = {0};
    script_json_deinit(&json);
    script_json_deinit(&json);
    assert_false(script_json_has(&scene->frame, 0));
    assert_false(script_json_has(&scene->frame, 1));
}

static void
everything_goes_with_the_run(void **state)
{
    parse("{\"a\":{\"b\":\"a text that is no short one\"}}");
    get(get(parse("{\"a\":{\"b\":\"a text that is no short one\"}}"), "a"), "b");
    get(parse("{\"a\":{\"b\":\"a text that is no short one\"}}"), "a");
    GOOD(zs_json_remove, 2, TEXT("a"));
    script_json_deinit(&scene->frame.json); /* the address sanitizer looks */
    scene->frame.footprint = 0;
    assert_int_equal(parse("[]"), 1);
    assert_even();
}

static void
before_a_run_nothing_traps(void **state)
{
    struct str text = STR("{\"a\":[\"a text that is no short one\"]}");
    scene->task.running = NULL; /* nobody could */
    assert_int_equal(script_json_try_parse(&other, STR("{")), -1);
    assert_int_equal(script_json_try_parse(&other, text), 1);
    assert_true(script_json_has(&other, 1));
    assert_true(other.footprint > 0);
    uint64_t needed = other.footprint;
    script_json_deinit(&other.json);
    other.footprint = 0;
    for (uint64_t room = 0; room < needed; room += 16) {
        scene->shared.config.footprint_max = room;
        assert_int_equal(script_json_try_parse(&other, text), -1);
        assert_int_equal(other.footprint, 0);
    }
    scene->shared.config.footprint_max = needed;
    assert_int_equal(script_json_try_parse(&other, text), 1);
    for (int i = 2; i <= SCRIPT_HANDLES_MAX; i++) {
        scene->shared.config.footprint_max += needed;
        assert_int_equal(script_json_try_parse(&other, text), i);
    }
    scene->shared.config.footprint_max += needed;
    assert_int_equal(script_json_try_parse(&other, text), -1);
    scene->task.running = &scene->frame;
}

/* Called as a helper, so that it may trap: copies from this frame to the other one, or back. */
static uint64_t
copy_there(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return (uint64_t)script_json_copy(&other, script_frame_of(run), r1);
}

static uint64_t
copy_back(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return (uint64_t)script_json_copy(script_frame_of(run), &other, r1);
}

static void
copies_go_from_frame_to_frame(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":[1,2.5,\"a text that is no short one\"]}}");
    uint64_t a = get(root, "a");
    assert_int_equal(GOOD(copy_there, a), 1);
    assert_int_equal(GOOD(copy_there, root), 2);
    GOOD(zs_json_set_null, a);
    uint64_t footprint = scene->frame.footprint;
    assert_true(other.footprint > footprint);
    uint64_t back = GOOD(copy_back, 1);
    assert_json(back, "{\"b\":[1,2.5,\"a text that is no short one\"]}");
    assert_true(scene->frame.footprint > footprint);
    assert_even();
}

/* The frame whose handle it is need not be the one that runs. */
static void
copies_trap_in_the_frame_that_runs(void **state)
{
    uint64_t root = parse("[\"a text that is no short one\"]");
    TRAPS("99 is no handle", copy_there, 99);
    TRAPS("1 is no handle", copy_back, 1);
    assert_int_equal(GOOD(copy_there, root), 1);
    scene->shared.config.footprint_max = scene->frame.footprint;
    TRAPS("--max-request-external-memory", copy_back, 1);
    TRAPS("--max-request-external-memory", copy_there, root);
    assert_even();
}

static uint64_t
write_it(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    script_json_write(script_frame_of(run), r1, &written);
    return written.len;
}

static void
what_is_written_is_appended(void **state)
{
    uint64_t root = parse("[1,2]");
    assert_int_equal(GOOD(write_it, root), 5);
    assert_int_equal(GOOD(write_it, root), 10);
    assert_memory_equal(written.ptr, "[1,2][1,2]", 10);
    TRAPS("99 is no handle", write_it, 99);
    assert_even();
}

static uint64_t
member_is(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return script_json_member_is(script_frame_of(run), r1, STR("action"), STR("adopt"));
}

static void
a_member_is_a_string(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        {"{\"action\":\"adopt\"}", true},
        {"{\"action\":\"adop\\u0074\",\"b\":1}", true},
        {"{\"action\":\"adopt\\u0000\"}", false},
        {"{\"action\":\"adop\"}", false},
        {"{\"action\":1}", false},
        {"{\"actio\":\"adopt\"}", false},
        {"{}", false},
        {"[\"action\",\"adopt\"]", false},
        {"\"adopt\"", false},
        {"null", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(GOOD(member_is, parse(cases[i].text)), cases[i].is);
    TRAPS("99 is no handle", member_is, 99);
    assert_even();
}

static void
note_string(void *arg, struct str key, struct str value)
{
    buf_printf(arg, "%.*s=%.*s;", STR_ARG(key), STR_ARG(value));
}

static uint64_t
each_string(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return script_json_each_string(script_frame_of(run), r1, note_string, &written);
}

static uint64_t
string(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct str value;
    if (!script_json_string(script_frame_of(run), r1, &value))
        return NONE;
    return value.len;
}

static void
strings_are_visited_in_order(void **state)
{
    uint64_t root =
        parse("{\"z\":\"1\",\"b\":2,\"a\":\"a text that is no short one\",\"c\":[\"x\"],"
              "\"\":\"\"}");
    assert_int_equal(GOOD(each_string, root), 1);
    assert_true(str_eq(buf_str(&written), STR("=;a=a text that is no short one;z=1;")));
    buf_clear(&written);
    assert_int_equal(GOOD(each_string, get(root, "c")), 0);
    assert_int_equal(GOOD(each_string, parse("{}")), 1);
    assert_int_equal(written.len, 0);
    TRAPS("99 is no handle", each_string, 99);
    assert_int_equal(GOOD(string, get(root, "a")), 27);
    assert_int_equal(GOOD(string, get(root, "")), 0);
    assert_int_equal(GOOD(string, get(root, "b")), NONE);
    TRAPS("99 is no handle", string, 99);
    assert_even();
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_frames, tear_down_frames)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_may_be_dropped),
        TEST(everything_goes_with_the_run),
        TEST(before_a_run_nothing_traps),
        TEST(copies_go_from_frame_to_frame),
        TEST(copies_trap_in_the_frame_that_runs),
        TEST(what_is_written_is_appended),
        TEST(a_member_is_a_string),
        TEST(strings_are_visited_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
