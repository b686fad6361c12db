#include "site/pack.h"

#include "base/log.h"
#include "site/packidx.h"
#include "site/tar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Each test has a directory of its own with the source `in` in it. */
struct fixture {
    char dir[64];
    char in[96], out[96];
    struct pack_config config;
    struct pack_stats stats;
    struct error error;
};

static void __attribute__((format(printf, 2, 3)))
run(const struct fixture *fixture, const char *format, ...)
{
    char inner[1024], command[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && { %s; }", fixture->dir, inner);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    log_set_level(LOG_ERROR);
    strcpy(fixture->dir, "/tmp/tarn-pack-XXXXXX");
    if (!mkdtemp(fixture->dir)) {
        free(fixture);
        return -1;
    }
    snprintf(fixture->in, sizeof fixture->in, "%s/in", fixture->dir);
    snprintf(fixture->out, sizeof fixture->out, "%s/out.tar", fixture->dir);
    fixture->config = (struct pack_config){
        .source = fixture->in, .output = fixture->out, .compress = true, .threads = 2};
    run(fixture, "mkdir -p in/sub in/.git in/.tarn in/.well-known");
    run(fixture, "seq 1 500 >in/index.html; seq 1 900 >in/sub/style.css; : >in/empty.txt");
    run(fixture, "head -c 5000 /dev/urandom >in/noise.html; seq 1 99 >in/photo.jpg");
    run(fixture, "echo x >in/.git/config; echo y >in/.tarn/a.o; echo z >in/.well-known/s.txt");
    run(fixture, "echo stale >in/.tarn/index; echo no >in/.hidden; echo mine >in/index.html.br");
    run(fixture,
        "find in -type f -exec touch -d @1600000000 {} +; touch -d @1650000000 in/noise.html");
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "rm -rf %s", fixture->dir);
    free(fixture);
    return 0;
}

static void
pack(struct fixture *fixture)
{
    if (pack_write(&fixture->config, &fixture->stats, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
assert_refused(struct fixture *fixture, const char *reason)
{
    assert_int_equal(pack_write(&fixture->config, &fixture->stats, &fixture->error), -1);
    if (!strstr(fixture->error.text, reason))
        fail_msg("'%s' does not say '%s'", fixture->error.text, reason);
}

static struct str
load(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *text = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, text, (size_t)st.st_size + 1), st.st_size);
    close(fd);
    return str_make(text, (size_t)st.st_size);
}

static void
release(struct str s)
{
    free((void *)(uintptr_t)s.ptr);
}

static void
assert_same_files(const char *one, const char *two)
{
    struct str a = load(one), b = load(two);
    assert_true(str_eq(a, b));
    release(a);
    release(b);
}

static void
the_archive_holds_what_is_public_and_variants_and_scripts(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture);
    run(fixture, "tar tf out.tar >list 2>&1");
    run(fixture, "printf '%%s\\n' .tarn/index .tarn/a.o .well-known/s.txt empty.txt index.html "
                 "index.html.br index.html.gz index.html.zst noise.html photo.jpg sub/style.css "
                 "sub/style.css.br sub/style.css.gz sub/style.css.zst >expected");
    run(fixture, "diff expected list");
    assert_int_equal(fixture->stats.file_count, 8);
    assert_int_equal(fixture->stats.variant_count, 5);
    struct stat st;
    assert_int_equal(stat(fixture->out, &st), 0);
    assert_int_equal(fixture->stats.output_len, st.st_size);
    assert_int_equal(st.st_size % TAR_BLOCK, 0);
}

static void
tar_extracts_it_with_times_modes_and_contents(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture);
    run(fixture, "mkdir x; tar -C x -xpf out.tar --no-same-owner");
    run(fixture, "for n in index.html index.html.br noise.html sub/style.css empty.txt photo.jpg; "
                 "do cmp in/$n x/$n; done");
    run(fixture, "gzip -dc x/sub/style.css.gz | cmp - in/sub/style.css");
    run(fixture, "test \"$(stat -c '%%a %%Y' x/noise.html)\" = '644 1650000000'");
    run(fixture, "test \"$(stat -c '%%a %%Y' x/sub/style.css.gz)\" = '644 1600000000'");
    run(fixture, "test \"$(stat -c %%Y x/.tarn/index)\" = 1650000000");
}

struct check {
    struct str tar;
    size_t count;
};

static int
check_entry(void *arg, const struct packidx_entry *entry)
{
    struct check *check = arg;
    struct content_hash hash = content_hash(str_make(check->tar.ptr + entry->off, entry->size));
    assert_int_equal(hash.high, entry->hash.high);
    assert_int_equal(hash.low, entry->hash.low);
    check->count++;
    return 0;
}

static void
the_index_stands_first_and_tells_the_truth(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture);
    struct check check = {.tar = load(fixture->out)};
    struct arena arena;
    struct member_list members;
    arena_init(&arena, 1 << 20, 4096);
    member_list_init(&members, &arena);
    assert_int_equal(tar_read_memory(check.tar, &members, &fixture->error), 0);
    const struct member *first = &members.list[0];
    assert_true(str_eq(first->path, STR(PACKIDX_NAME)));
    assert_int_equal(first->off, TAR_BLOCK);
    struct str index = str_make(check.tar.ptr + first->off, first->size);
    assert_int_equal(packidx_decode(index, check.tar.len, check_entry, &check), PACKIDX_OK);
    assert_int_equal(check.count, 13);
    assert_int_equal(members.count, 14);
    member_list_deinit(&members);
    arena_deinit(&arena);
    release(check.tar);
}

static void
the_same_input_gives_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    char other[128], other_out[128];
    pack(fixture);
    run(fixture, "mkdir other; cp -a in/. other/");
    snprintf(other, sizeof other, "%s/other", fixture->dir);
    snprintf(other_out, sizeof other_out, "%s/other.tar", fixture->dir);
    fixture->config.source = other;
    fixture->config.output = other_out;
    fixture->config.threads = 1;
    pack(fixture);
    assert_same_files(fixture->out, other_out);
}

static void
a_packed_or_plain_or_compressed_tar_can_be_packed_again(void **state)
{
    struct fixture *fixture = *state;
    char source[128], again[128];
    pack(fixture);
    run(fixture, "cd in; tar czf ../in.tar.gz .");
    const char *const names[] = {"out.tar", "in.tar.gz"};
    snprintf(again, sizeof again, "%s/again.tar", fixture->dir);
    fixture->config.output = again;
    for (int i = 0; i < 2; i++) {
        snprintf(source, sizeof source, "%s/%s", fixture->dir, names[i]);
        fixture->config.source = source;
        pack(fixture);
        assert_same_files(fixture->out, again);
    }
    /* onto itself */
    fixture->config.source = fixture->config.output;
    pack(fixture);
    assert_same_files(fixture->out, again);
}

static void
without_compression_nothing_is_added(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.compress = false;
    pack(fixture);
    assert_int_equal(fixture->stats.file_count, 8);
    assert_int_equal(fixture->stats.variant_count, 0);
}

static void
a_bad_rule_fails_before_anything_is_written(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "echo keep >out.tar; printf '/a /b 999\\n' >in/_redirects");
    assert_refused(fixture, "_redirects line 1");
    assert_non_null(strstr(fixture->error.text, fixture->in));
    run(fixture, "rm in/_redirects; printf '/*\\n  X-A: b\\n  nonsense\\n' >in/_headers");
    assert_refused(fixture, "_headers line 3");
    run(fixture,
        "test \"$(cat out.tar)\" = keep; test \"$(ls -A | tr '\\n' ' ')\" = 'in out.tar '");
    run(fixture, "printf '/*\\n  X-A: b\\n' >in/_headers");
    pack(fixture);
    run(fixture, "tar tf out.tar | grep -qx _headers");
    run(fixture, "! tar tf out.tar | grep -q _headers.");
}

static void
a_failure_leaves_the_old_output_and_no_rest(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "mkdir full; echo keep >full/out.tar; echo keep >out.tar");
    for (int compress = 0; compress < 2; compress++) {
        struct rlimit unlimited, small;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
        small = (struct rlimit){.rlim_cur = 256, .rlim_max = unlimited.rlim_max};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        fixture->config.compress = compress;
        assert_refused(fixture, compress ? "cannot keep compressed" : "cannot write the archive");
        setrlimit(RLIMIT_FSIZE, &unlimited);
    }
    run(fixture,
        "test \"$(cat out.tar)\" = keep; test \"$(ls -A | tr '\\n' ' ')\" = 'full in out.tar '");
    char target[128];
    snprintf(target, sizeof target, "%s/missing/out.tar", fixture->dir);
    fixture->config.output = target;
    assert_refused(fixture, "cannot create");
    snprintf(target, sizeof target, "%s/full", fixture->dir);
    assert_refused(fixture, "cannot write to");
    run(fixture, "test \"$(ls -A full)\" = out.tar; test \"$(cat full/out.tar)\" = keep");
}

static void
the_output_is_never_packed_into_itself(void **state)
{
    struct fixture *fixture = *state;
    char target[128];
    snprintf(target, sizeof target, "%s/in/site.tar", fixture->dir);
    fixture->config.output = target;
    pack(fixture);
    run(fixture, "cp in/site.tar first.tar");
    pack(fixture);
    run(fixture, "cmp first.tar in/site.tar; ! tar tf in/site.tar | grep -q site.tar");
}

static void
the_mode_follows_the_umask_and_links_are_kept(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "mkdir real; echo old >real/site.tar; ln -s real/site.tar out.tar");
    mode_t old = umask(027);
    pack(fixture);
    umask(old);
    run(fixture, "test -L out.tar; test \"$(stat -c %%a real/site.tar)\" = 640");
    run(fixture, "tar tf real/site.tar >/dev/null; test \"$(ls -A real)\" = site.tar");
}

/* A pipe of the test's own stands for all that is no regular file: were it replaced, nothing of the
 * machine would be. */
static void
pipes_are_written_to_and_not_replaced(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct stat st;
    pack(fixture);
    snprintf(path, sizeof path, "%s/pipe", fixture->dir);
    run(fixture,
        "mkfifo pipe; { timeout 60 cat pipe >through.tar; mv through.tar done.tar; } & true");
    fixture->config.output = path;
    pack(fixture);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    run(fixture, "for i in $(seq 100); do test -e done.tar && break; sleep 0.1; done");
    run(fixture, "cmp done.tar out.tar");
}

static void
standard_output_gets_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    pack(fixture);
    snprintf(path, sizeof path, "%s/stdout.tar", fixture->dir);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    fixture->config.output = NULL;
    int result = pack_write(&fixture->config, &fixture->stats, &fixture->error);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    assert_int_equal(result, 0);
    assert_same_files(fixture->out, path);
}

static void
long_names_pass_through(void **state)
{
    struct fixture *fixture = *state;
    char name[241];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    run(fixture, "mkdir in/%s; echo deep >in/%s/%s.txt; echo caf >in/caf\xc3\xa9.bin", name, name,
        name);
    pack(fixture);
    run(fixture, "mkdir x; tar -C x -xf out.tar; cmp x/%s/%s.txt in/%s/%s.txt", name, name, name,
        name);
    run(fixture, "cmp x/caf\xc3\xa9.bin in/caf\xc3\xa9.bin");
}

static void
what_cannot_be_packed_is_said(void **state)
{
    struct fixture *fixture = *state;
    char source[128];
    fixture->config.source = source;
    snprintf(source, sizeof source, "%s/nowhere", fixture->dir);
    assert_refused(fixture, "nowhere");
    snprintf(source, sizeof source, "%s/in/index.html", fixture->dir);
    assert_refused(fixture, "is one file");
    run(fixture, "mkdir hidden; echo x >hidden/.x");
    snprintf(source, sizeof source, "%s/hidden", fixture->dir);
    assert_refused(fixture, "has no file to pack");
}

static void
a_huge_file_is_streamed(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "truncate -s 70M in/huge.txt");
    pack(fixture);
    run(fixture, "tar -xOf out.tar huge.txt | cmp - in/huge.txt");
    run(fixture, "! tar tf out.tar | grep -q 'huge.txt.'");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_archive_holds_what_is_public_and_variants_and_scripts),
        TEST(tar_extracts_it_with_times_modes_and_contents),
        TEST(the_index_stands_first_and_tells_the_truth),
        TEST(the_same_input_gives_the_same_bytes),
        TEST(a_packed_or_plain_or_compressed_tar_can_be_packed_again),
        TEST(without_compression_nothing_is_added),
        TEST(a_bad_rule_fails_before_anything_is_written),
        TEST(a_failure_leaves_the_old_output_and_no_rest),
        TEST(the_output_is_never_packed_into_itself),
        TEST(the_mode_follows_the_umask_and_links_are_kept),
        TEST(pipes_are_written_to_and_not_replaced),
        TEST(standard_output_gets_the_same_bytes),
        TEST(long_names_pass_through),
        TEST(what_cannot_be_packed_is_said),
        TEST(a_huge_file_is_streamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
