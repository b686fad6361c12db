/* A site of 100,000 files: that it loads at all, gives the same from every kind of tar, and in what
 * time (printed, for the machine decides). */
#include "site/pack.h"
#include "site/site_test_run.h"
#include "site/tar.h"

#include "base/buf.h"

#include <time.h>

enum { FILE_COUNT = 100000, CONTENT_LEN = 300, PATH_LEN = 64 };

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
path_of(int i, char out[static PATH_LEN])
{
    return snprintf(out, PATH_LEN, "section-%02d/topic-%03d/page-%06d.html", i % 50, i % 400, i);
}

static void
write_tar(const struct fixture *fixture, const char *name)
{
    static char content[TAR_BLOCK], zeros[2 * TAR_BLOCK];
    char path[200];
    struct buf out;
    snprintf(path, sizeof path, "%s/%s", fixture->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < FILE_COUNT; i++) {
        int len = path_of(i, path);
        buf_clear(&out);
        tar_write_header(&out, str_make(path, (size_t)len), CONTENT_LEN, 1000000000 + i);
        memset(content, 'a' + i % 26, CONTENT_LEN);
        memcpy(content, path, (size_t)len);
        buf_append(&out, str_make(content, TAR_BLOCK));
        assert_int_equal(fwrite(out.ptr, 1, out.len, file), out.len);
    }
    fwrite(zeros, 1, sizeof zeros, file);
    fclose(file);
    buf_deinit(&out);
}

static void
check_site(struct fixture *fixture, bool from_index)
{
    const struct site_stats *stats = site_stats(fixture->site);
    char path[1 + PATH_LEN] = "/";
    assert_int_equal(stats->file_count, FILE_COUNT);
    assert_int_equal(stats->preloaded_count, FILE_COUNT);
    assert_int_equal(stats->from_index, from_index);
    double start = seconds();
    for (int i = 0; i < FILE_COUNT; i++) {
        int len = path_of(i, path + 1);
        const struct site_route *route = site_find(fixture->site, str_make(path, (size_t)len + 1));
        assert_non_null(route);
        assert_int_equal(route->reps[0].content.len, CONTENT_LEN);
        assert_memory_equal(route->reps[0].content.mem, path + 1, len);
    }
    print_message("  %s: loaded in %.0f ms, %.0f ns a lookup with its path and content\n",
                  fixture->source, (double)stats->load_ns / 1e6,
                  (seconds() - start) * 1e9 / FILE_COUNT);
}

static void
a_hundred_thousand_files_load(void **state)
{
    struct fixture *fixture = *state;
    char packed[200];
    struct pack_stats stats;
    write_tar(fixture, "plain.tar");
    set_source(fixture, "plain.tar");
    load(fixture);
    check_site(fixture, false);
    snprintf(packed, sizeof packed, "%s/packed.tar", fixture->dir);
    const struct pack_config config = {.source = fixture->source, .output = packed, .threads = 2};
    if (pack_write(&config, &stats, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    struct site *plain = fixture->site;
    fixture->site = NULL;
    set_source(fixture, "packed.tar");
    load(fixture);
    check_site(fixture, true);
    char path[1 + PATH_LEN] = "/";
    for (int i = 0; i < FILE_COUNT; i += 97) {
        int len = path_of(i, path + 1);
        const struct site_route *a = site_find(plain, str_make(path, (size_t)len + 1));
        assert_true(str_eq(a->reps[0].head, find(fixture, path)->reps[0].head));
    }
    site_free(plain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hundred_thousand_files_load, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
