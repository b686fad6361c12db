#include "req/req_test_run.h"

static const struct site_content *
content_of(struct world *world, const char *path)
{
    return &find_rep(world->fixture, path, 0)->content;
}

static void
without_a_body_there_is_only_its_end(void **state)
{
    struct body body = {0};
    struct body_piece piece;
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
    body_set_text(&body, STR(""));
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
}

static void
text_is_one_piece(void **state)
{
    struct body body = {0};
    struct body_piece piece;
    body_set_text(&body, STR("hello"));
    assert_int_equal(body_pull(&body, &piece), BODY_PIECE);
    assert_str(piece.mem, "hello");
    assert_int_equal(piece.len, 5);
    assert_false(piece.constant);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
}

static void
content_in_memory_is_sent_from_there(void **state)
{
    struct world *world = *state;
    struct body body = {0};
    struct body_piece piece;
    struct error error;
    world_make(world, "printf 0123456789 >a");
    assert_int_equal(body_set_content(&body, content_of(world, "/a"), 2, 5, &error), 0);
    assert_int_equal(body_pull(&body, &piece), BODY_PIECE);
    assert_str(piece.mem, "23456");
    assert_true(piece.constant);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
    assert_int_equal(body_set_content(&body, content_of(world, "/a"), 10, 0, &error), 0);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
}

static void
content_of_a_file_is_a_range_of_it(void **state)
{
    struct world *world = *state;
    struct body body = {0};
    struct body_piece piece;
    struct error error;
    char bytes[5];
    world->fixture->config.preload_max = 0;
    world_make(world, "printf 0123456789 >a");
    assert_int_equal(body_set_content(&body, content_of(world, "/a"), 2, 5, &error), 0);
    assert_int_equal(body_pull(&body, &piece), BODY_PIECE);
    assert_null(piece.mem.ptr);
    assert_int_equal(piece.len, 5);
    assert_int_equal(pread(piece.fd, bytes, 5, (off_t)piece.off), 5);
    assert_memory_equal(bytes, "23456", 5);
    assert_int_equal(body_pull(&body, &piece), BODY_END);
    body_close(&body);
    body_close(&body);
}

static void
parts_come_in_their_order(void **state)
{
    struct world *world = *state;
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        const struct body_part parts[] = {
            {.text = STR_INIT("<")}, {.off = 8, .len = 2}, {.text = STR_INIT(">")}, {.len = 1}};
        struct error error;
        world->fixture->config.preload_max = preloaded ? 1000 : 0;
        world_make(world, "printf 0123456789 >a");
        buf_clear(&world->body);
        assert_int_equal(
            body_set_parts(&world->req.body, content_of(world, "/a"), parts, 4, &error), 0);
        world_collect_body(world);
        assert_false(world->body_failed);
        assert_answer(world, "<89>0");
        body_close(&world->req.body);
    }
}

static void
a_file_that_is_not_what_was_loaded_is_not_opened(void **state)
{
    struct world *world = *state;
    struct body body = {0};
    struct error error;
    world->fixture->config.preload_max = 0;
    world_make(world, "printf 0123456789 >a");
    run(world->fixture, "printf short >in/a");
    assert_int_equal(body_set_content(&body, content_of(world, "/a"), 0, 10, &error), -1);
    assert_non_null(strstr(error.text, "/a"));
    body_close(&body);
}

static void
a_file_that_changes_while_it_is_sent_fails_the_body(void **state)
{
    struct world *world = *state;
    struct body body = {0};
    struct body_piece piece;
    struct error error;
    world->fixture->config.preload_max = 0;
    world_make(world, "printf 0123456789 >a");
    assert_int_equal(body_set_content(&body, content_of(world, "/a"), 0, 10, &error), 0);
    assert_int_equal(body_pull(&body, &piece), BODY_PIECE);
    run(world->fixture, "printf ABCDEFGHIJ >in/a");
    assert_int_equal(body_pull(&body, &piece), BODY_FAILED);
    body_close(&body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_body_there_is_only_its_end),
        cmocka_unit_test(text_is_one_piece),
        world_test(content_in_memory_is_sent_from_there),
        world_test(content_of_a_file_is_a_range_of_it),
        world_test(parts_come_in_their_order),
        world_test(a_file_that_is_not_what_was_loaded_is_not_opened),
        world_test(a_file_that_changes_while_it_is_sent_fails_the_body),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
