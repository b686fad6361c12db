#include "site/identity.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct stat
sample(void)
{
    struct stat st = {.st_mode = S_IFREG | 0644, .st_dev = 1, .st_ino = 2, .st_size = 3};
    st.st_mtim = (struct timespec){4, 5};
    return st;
}

static void
every_part_counts(void **state)
{
    struct arena arena;
    struct stat st = sample();
    arena_init(&arena, 1 << 10, 1 << 10);
    const struct site_identity *identity = identity_new(&arena, &st);
    assert_non_null(identity);
    assert_true(identity_matches(identity, &st));
    st.st_dev++;
    assert_false(identity_matches(identity, &st));
    st = sample();
    st.st_ino++;
    assert_false(identity_matches(identity, &st));
    st = sample();
    st.st_size++;
    assert_false(identity_matches(identity, &st));
    st = sample();
    st.st_mtim.tv_sec++;
    assert_false(identity_matches(identity, &st));
    st = sample();
    st.st_mtim.tv_nsec++;
    assert_false(identity_matches(identity, &st));
    st = sample();
    st.st_mode = S_IFIFO;
    assert_false(identity_matches(identity, &st));
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_part_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
