/* Where the bytes of a site are, and what happens when files change under it. */
#include "site/site_test_run.h"

#include "site/content.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

static void
assert_opens(struct fixture *fixture, const struct site_content *content, bool wanted)
{
    int fd;
    bool owned;
    bool opens = site_content_open(content, &fd, &owned, &fixture->error) == 0;
    if (opens != wanted)
        fail_msg("%s", opens ? "opened a file that changed" : fixture->error.text);
    if (opens && owned)
        close(fd);
}

/* The kernel may read what lies there, but not write. */
static void
assert_read_only(const char *mem)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, (void *)(uintptr_t)mem, 1), -1);
    assert_int_equal(errno, EFAULT);
    close(fd);
}

static void
preloaded_content_lies_in_memory_that_cannot_be_written(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf small >a && head -c 5000 /dev/zero >page && printf b >b && "
                 "head -c 4096 /dev/zero >z && : >empty && printf '<p>' >index.html && mkdir d");
    fixture->config.browse = fixture->config.precompress = true;
    load(fixture);
    static const char *const paths[] = {"/a", "/b", "/page", "/z", "/d/"};
    for (size_t i = 0; i < 5; i++) {
        const struct site_content *content = &find_rep(fixture, paths[i], 0)->content;
        assert_non_null(content->mem);
        assert_int_equal(content->fd, -1);
        assert_null(content->identity);
        assert_int_equal((uintptr_t)content->mem % (content->len >= 4096 ? 4096 : 16), 0);
        assert_read_only(content->mem);
    }
    assert_non_null(find_rep(fixture, "/empty", 0)->content.mem);
    assert_served(fixture, "/empty", "");
}

static bool
is_mapped(const char *address)
{
    unsigned char there;
    return mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 1, &there) == 0;
}

static void
lent_pages_outlive_the_site(void **state)
{
    struct fixture *fixture = *state;
    enum { LEN = 20000 };
    static char wanted[LEN], got[LEN];
    int ends[2];
    run(fixture, "cd in && head -c %d /dev/urandom >f", LEN);
    load(fixture);
    const char *mem = find_rep(fixture, "/f", 0)->content.mem;
    memcpy(wanted, mem, LEN);
    assert_int_equal(pipe(ends), 0);
    struct iovec iov = {(void *)(uintptr_t)mem, LEN};
    assert_int_equal(vmsplice(ends[1], &iov, 1, 0), LEN);
    assert_true(is_mapped(mem));
    site_free(fixture->site);
    fixture->site = NULL;
    assert_false(is_mapped(mem));
    for (size_t len = 0; len < LEN;) {
        ssize_t part = read(ends[0], got + len, LEN - len);
        assert_true(part > 0);
        len += (size_t)part;
    }
    assert_memory_equal(got, wanted, LEN);
    close(ends[0]);
    close(ends[1]);
}

static void
the_two_ceilings_are_kept_in_the_order_of_paths(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && for f in d c b a; do head -c 1000 /dev/zero >$f; done && "
                 "head -c 1001 /dev/zero >e && printf 12345 >f && tar cf ../site.tar d c b a e f");
    fixture->config.preload_max = 1000;
    fixture->config.preload_total = 2010;
    static const char *const sources[] = {"in", "site.tar"};
    for (size_t s = 0; s < 2; s++) {
        set_source(fixture, sources[s]);
        load(fixture);
        static const char *const paths[] = {"/a", "/b", "/c", "/d", "/e", "/f"};
        static const bool in_memory[] = {true, true, false, false, false, true};
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(find_rep(fixture, paths[i], 0)->content.mem != NULL, in_memory[i]);
        assert_int_equal(site_stats(fixture->site)->preloaded_len, 2005);
        assert_int_equal(site_stats(fixture->site)->preloaded_count, 3);
        assert_int_equal(site_stats(fixture->site)->content_len, 5006);
    }
}

static void
made_variants_keep_the_ceiling(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && seq 1 500 >a.css && seq 501 1000 >b.css");
    fixture->config.precompress = true;
    load(fixture);
    uint64_t all = site_stats(fixture->site)->preloaded_len;
    assert_int_equal(find(fixture, "/b.css")->codings, 15);
    fixture->config.preload_total = all;
    load(fixture);
    assert_int_equal(site_stats(fixture->site)->preloaded_len, all);
    /* One byte less: one variant of the last file goes. */
    fixture->config.preload_total = all - 1;
    load(fixture);
    assert_int_equal(find(fixture, "/a.css")->rep_count, 4);
    assert_int_equal(find(fixture, "/b.css")->rep_count, 3);
    assert_true(site_stats(fixture->site)->preloaded_len < all - 1);
}

static void
files_of_many_pieces_are_whole(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    run(fixture, "cd in && head -c 3500001 /dev/urandom >big && cp big also && printf x >x && "
                 "tar cf ../site.tar big x also");
    static const char *const sources[] = {"in", "site.tar"};
    char *text = malloc(3500001);
    for (size_t i = 0; i < 4; i++) {
        fixture->config.preload_max = i & 1 ? 1 << 20 : 4 << 20;
        set_source(fixture, sources[i / 2]);
        load(fixture);
        const struct site_rep *big = find_rep(fixture, "/big", 0);
        int fd;
        bool owned;
        assert_int_equal(big->content.mem == NULL, i & 1);
        if (big->content.mem) {
            memcpy(text, big->content.mem, 3500001);
        } else {
            assert_int_equal(site_content_open(&big->content, &fd, &owned, &error), 0);
            assert_int_equal(pread(fd, text, 3500001, (off_t)big->content.off), 3500001);
        }
        char etag[CONTENT_ETAG_LEN];
        content_etag(content_hash(str_make(text, 3500001)), etag);
        assert_memory_equal(big->etag.ptr, etag, CONTENT_ETAG_LEN);
        assert_true(str_eq(find_rep(fixture, "/also", 0)->etag, big->etag));
        assert_served(fixture, "/x", "x");
    }
    free(text);
}

static void
a_file_that_ends_behind_the_window_is_whole(void **state)
{
    struct fixture *fixture = *state;
    /* a is read through a window of 256 KiB from offset 512 on; c ends one byte behind it. */
    run(fixture, "cd in && printf a >a && head -c 259584 /dev/urandom >b && "
                 "head -c 1025 /dev/urandom >c && printf d >d && "
                 "tar cf ../site.tar --format=ustar a b c d");
    load(fixture);
    struct site *from_dir = fixture->site;
    fixture->site = NULL;
    set_source(fixture, "site.tar");
    load(fixture);
    static const char *const paths[] = {"/a", "/b", "/c", "/d"};
    for (size_t i = 0; i < 4; i++) {
        const struct site_rep *rep = find_rep(fixture, paths[i], 0);
        const struct site_rep *same = &site_find(from_dir, str_from_cstr(paths[i]))->reps[0];
        assert_true(str_eq(rep->etag, same->etag));
        assert_memory_equal(rep->content.mem, same->content.mem, same->content.len);
    }
    site_free(from_dir);
}

static void
a_large_file_that_changes_is_refused(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && for f in keep short long same other; do printf 0123456789 >$f; "
                 "touch -d @1000000000 $f; done");
    fixture->config.preload_max = 0;
    load(fixture);
    run(fixture, "cd in && truncate -s 4 short && printf more >>long && printf 9876543210 >same");
    assert_opens(fixture, &find_rep(fixture, "/keep", 0)->content, true);
    assert_opens(fixture, &find_rep(fixture, "/short", 0)->content, false);
    assert_non_null(strstr(fixture->error.text, "/in/short' changed since it was loaded"));
    assert_opens(fixture, &find_rep(fixture, "/long", 0)->content, false);
    assert_opens(fixture, &find_rep(fixture, "/same", 0)->content, false);
    /* Kept open, so what replaces it is not seen. */
    run(fixture, "cd in && printf new >new && mv new other");
    assert_served(fixture, "/other", "0123456789");
    run(fixture, "rm -r in");
    assert_opens(fixture, &find_rep(fixture, "/keep", 0)->content, true);
}

static void
without_descriptors_large_files_are_opened_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, few;
    run(fixture, "cd in && for i in 1 2 3 4 5 6 7 8 9; do printf 0123456789 >f$i; done && "
                 "ln -s f9 link");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64; /* of which an eighth may be kept */
    setrlimit(RLIMIT_NOFILE, &few);
    fixture->config.preload_max = 0;
    load(fixture);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(find_rep(fixture, "/f1", 0)->content.fd >= 0);
    const struct site_content *last = &find_rep(fixture, "/f9", 0)->content;
    assert_int_equal(last->fd, -1);
    assert_served(fixture, "/f9", "0123456789");
    assert_served(fixture, "/link", "0123456789");
    /* The same text in another file is another file. */
    run(fixture, "cd in && cp -p f9 new && mv new f9");
    assert_opens(fixture, last, false);
    run(fixture, "rm in/f9");
    assert_opens(fixture, last, false);
    assert_non_null(strstr(fixture->error.text, "cannot open"));
}

static void
a_tar_that_changes_is_refused(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf 0123456789 >large && printf s >s && tar cf ../site.tar . && "
                 "cp ../site.tar ../copy.tar");
    fixture->config.preload_max = 5;
    set_source(fixture, "site.tar");
    load(fixture);
    assert_served(fixture, "/large", "0123456789");
    run(fixture, "mv copy.tar site.tar");
    assert_served(fixture, "/large", "0123456789"); /* the old file, still open */
    load(fixture);
    run(fixture, "truncate -s 512 site.tar");
    assert_opens(fixture, &find_rep(fixture, "/large", 0)->content, false);
    assert_non_null(strstr(fixture->error.text, "/site.tar' changed since it was loaded"));
    assert_served(fixture, "/s", "s");
    load_must_fail(fixture, "site.tar");
}

static void
an_unpacked_tar_serves_large_files_from_memory(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf 0123456789 >large && tar czf ../site.tar.gz .");
    fixture->config.preload_max = 5;
    set_source(fixture, "site.tar.gz");
    load(fixture);
    run(fixture, ": >site.tar.gz");
    assert_null(find_rep(fixture, "/large", 0)->content.mem);
    assert_served(fixture, "/large", "0123456789");
}

static unsigned
open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void
nothing_stays_open_when_a_site_goes(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf 0123456789 >large && printf s >s && tar czf ../site.tar.gz . && "
                 "tar cf ../site.tar . && printf '/*\\n  bad\\n' >_headers && "
                 "tar cf ../bad.tar . && rm _headers");
    unsigned before = open_descriptors();
    static const char *const sources[] = {"in", "site.tar", "site.tar.gz"};
    for (size_t i = 0; i < 6; i++) {
        fixture->config.preload_max = i & 1 ? 5 : 1000;
        set_source(fixture, sources[i / 2]);
        load(fixture);
        /* Only what large files are read from. */
        assert_int_equal(open_descriptors() - before, i & 1);
        site_free(fixture->site);
        fixture->site = NULL;
        assert_int_equal(open_descriptors(), before);
    }
    set_source(fixture, "bad.tar");
    load_must_fail(fixture, "_headers line 2");
    assert_int_equal(open_descriptors(), before);
    site_free(NULL);
}

/* A store and a plan of one file, to change the file between the walk and the loading. */
struct direct {
    struct arena arena;
    struct content_store store;
    struct member member;
    struct plan plan;
    uint64_t warnings;
    char path[160];
};

static int
load_direct(struct fixture *fixture, struct direct *direct, const char *between)
{
    struct stat st;
    run(fixture, "rm -rf in/* && printf 0123456789 >in/f && touch -d @1000000000 in/f");
    *direct = (struct direct){0};
    snprintf(direct->path, sizeof direct->path, "%s/f", fixture->source);
    assert_int_equal(stat(direct->path, &st), 0);
    struct site_identity identity = {st.st_dev, st.st_ino, 10, 1000000000, 0};
    direct->member = (struct member){
        .path = STR("f"), .size = 10, .fd = -1, .disk_path = direct->path, .identity = &identity};
    run(fixture, "%s", between);
    arena_init(&direct->arena, 1 << 20, 1 << 16);
    assert_int_equal(plan_make_single(&direct->plan, &direct->member, STR("x/y"), &fixture->error),
                     0);
    assert_int_equal(content_store_init(&direct->store, 100, 1000, &fixture->error), 0);
    return content_load(&direct->store, &direct->plan, &direct->arena, &direct->warnings,
                        &fixture->error);
}

static void
drop_direct(struct direct *direct)
{
    content_store_deinit(&direct->store);
    content_store_deinit(&direct->store);
    plan_deinit(&direct->plan);
    arena_deinit(&direct->arena);
}

static void
changes_between_walk_and_load_are_seen(void **state)
{
    struct fixture *fixture = *state;
    struct direct direct;
    /* Grown meanwhile: taken as it is now. */
    assert_int_equal(load_direct(fixture, &direct, "printf ab >>in/f"), 0);
    assert_int_equal(direct.plan.list[0].bytes.content.len, 12);
    drop_direct(&direct);
    /* Another file in its place was not checked to lie inside. */
    assert_int_equal(load_direct(fixture, &direct, "printf 0123456789 >x && mv x in/f"),
                     CONTENT_CHANGED);
    assert_non_null(strstr(fixture->error.text, "'f' changed while it was loaded"));
    drop_direct(&direct);
    assert_int_equal(load_direct(fixture, &direct, "rm in/f && ln -s /etc/hostname in/f"),
                     CONTENT_CHANGED);
    drop_direct(&direct);
    /* Gone. */
    assert_int_equal(load_direct(fixture, &direct, "rm in/f"), 0);
    assert_false(direct.plan.list[0].bytes.loaded);
    assert_int_equal(direct.warnings, 1);
    drop_direct(&direct);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(preloaded_content_lies_in_memory_that_cannot_be_written),
        TEST(lent_pages_outlive_the_site),
        TEST(the_two_ceilings_are_kept_in_the_order_of_paths),
        TEST(made_variants_keep_the_ceiling),
        TEST(files_of_many_pieces_are_whole),
        TEST(a_file_that_ends_behind_the_window_is_whole),
        TEST(a_large_file_that_changes_is_refused),
        TEST(without_descriptors_large_files_are_opened_by_name),
        TEST(a_tar_that_changes_is_refused),
        TEST(an_unpacked_tar_serves_large_files_from_memory),
        TEST(nothing_stays_open_when_a_site_goes),
        TEST(changes_between_walk_and_load_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
