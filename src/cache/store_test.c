/* The store: the lock and the marks, the steps of a file, recovery, and what a full disk does. All
 * of it runs twice, the second time on a system that has no openat2. */
#include "cache/cache_dir_test_run.h"
#include "cache/store.h"
#include "tls/digest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define URL_A STR("https://example.com/a")
#define URL_B STR("https://example.com/b")

struct fixture {
    struct cache_dir dir;
    struct store *store;
    struct store_known known[8];
    unsigned known_count, given_count;
    uint64_t missing[8];
    unsigned missing_count;
};

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    cache_dir_init(&fixture->dir);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store, false);
    cache_dir_deinit(&fixture->dir);
    free(fixture);
    return 0;
}

static void
open_store(struct fixture *fixture)
{
    if (store_open(&fixture->store, fixture->dir.path, &fixture->dir.error) < 0)
        fail_msg("%s", fixture->dir.error.text);
}

static void
close_store(struct fixture *fixture, bool orderly)
{
    store_close(fixture->store, orderly);
    fixture->store = NULL;
}

/* A finished file. */
static void
add_file(struct fixture *fixture, struct str url, uint64_t id, const char *text)
{
    int fd = store_create_part(fixture->store, url, id, strlen(text));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(store_finish_part(fixture->store, url, id), 0);
}

static void
add_known(struct fixture *fixture, struct str url, uint64_t id, uint64_t len)
{
    fixture->known[fixture->known_count++] = (struct store_known){.url = url, .id = id, .len = len};
}

static bool
next_known(void *arg, struct store_known *known)
{
    struct fixture *fixture = arg;
    assert_int_equal(fixture->missing_count, 0);
    if (fixture->given_count == fixture->known_count)
        return false;
    *known = fixture->known[fixture->given_count++];
    return true;
}

static void
take_missing(void *arg, const struct store_known *known)
{
    struct fixture *fixture = arg;
    assert_true(fixture->missing_count < 8);
    fixture->missing[fixture->missing_count++] = known->id;
    for (unsigned i = 0; i < fixture->known_count; i++)
        if (fixture->known[i].id == known->id)
            assert_true(str_eq(fixture->known[i].url, known->url));
}

static struct store_recovery
recover(struct fixture *fixture)
{
    struct store_recovery recovery;
    fixture->given_count = fixture->missing_count = 0;
    if (store_recover(fixture->store, next_known, take_missing, fixture, &recovery,
                      &fixture->dir.error) < 0)
        fail_msg("%s", fixture->dir.error.text);
    assert_int_equal(recovery.missing_count, fixture->missing_count);
    return recovery;
}

/* --- the directory --- */

static void
a_missing_directory_is_made_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct stat info;
    umask(022);
    open_store(fixture);
    assert_int_equal(stat(fixture->dir.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_false(store_was_orderly(fixture->store));
    assert_string_equal(store_path(fixture->store), fixture->dir.path);
    assert_true(store_free_len(fixture->store) > 0);
    add_file(fixture, URL_A, 1, "text");
    assert_int_equal(shell_number(&fixture->dir, "find . -type f -perm 0600 | wc -l"), 2);
    assert_int_equal(shell_number(&fixture->dir, "find . -type f | wc -l"), 2);
}

static void
what_cannot_be_a_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/no/parent", fixture->dir.base);
    assert_int_equal(store_open(&fixture->store, path, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "cannot make the directory"));
    assert_shell(&fixture->dir, "touch cache");
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "Not a directory"));
    assert_shell(&fixture->dir, "rm cache; mkdir -p cache/lock");
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "/lock'"));
    assert_shell(&fixture->dir, "rmdir lock; mkfifo lock");
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    assert_shell(&fixture->dir, "rm lock; touch ../elsewhere; ln -s ../elsewhere lock");
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    assert_shell(&fixture->dir, "test ! -s ../elsewhere");
}

static void
a_read_only_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    if (!cache_dir_mount(&fixture->dir, "size=1m"))
        skip();
    open_store(fixture);
    close_store(fixture, true);
    assert_int_equal(mount(NULL, fixture->dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "Read-only file system"));
    assert_shell(&fixture->dir, "test -e orderly");
}

/* --- lock and marks --- */

static void
a_second_holder_is_refused_and_told_who_is_first(void **state)
{
    struct fixture *fixture = *state;
    struct store *second;
    char pid[32], host[128] = "", expected[256];
    open_store(fixture);
    assert_int_equal(store_open(&second, fixture->dir.path, &fixture->dir.error), -1);
    gethostname(host, 64);
    snprintf(pid, sizeof pid, "process %d ", (int)getpid());
    snprintf(expected, sizeof expected, "(tarn cache, on %s, since 20", host);
    assert_non_null(strstr(fixture->dir.error.text, pid));
    assert_non_null(strstr(fixture->dir.error.text, expected));
    assert_non_null(strstr(fixture->dir.error.text, fixture->dir.path));
    close_store(fixture, false);
    open_store(fixture);
}

static void
a_holder_that_was_killed_holds_nothing(void **state)
{
    struct fixture *fixture = *state;
    int status, tell[2];
    char byte;
    assert_int_equal(pipe(tell), 0);
    pid_t child = fork_child();
    if (child == 0) {
        if (store_open(&fixture->store, fixture->dir.path, &fixture->dir.error) == 0 &&
            write(tell[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(tell[0], &byte, 1), 1);
    assert_int_equal(store_open(&fixture->store, fixture->dir.path, &fixture->dir.error), -1);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(tell[0]);
    close(tell[1]);
    open_store(fixture);
    assert_false(store_was_orderly(fixture->store));
    assert_false(store_was_restarted(fixture->store));
}

static void
a_child_does_not_keep_the_lock(void **state)
{
    struct fixture *fixture = *state;
    int status;
    open_store(fixture);
    pid_t child = fork_child();
    if (child == 0) {
        pause();
        _exit(1);
    }
    close_store(fixture, false);
    open_store(fixture);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static void
a_lock_file_that_was_removed_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    close_store(fixture, true);
    assert_shell(&fixture->dir, "rm lock");
    open_store(fixture);
    assert_true(store_was_orderly(fixture->store));
    assert_shell(&fixture->dir, "test -s lock");
}

static void
only_an_orderly_end_leaves_the_mark(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    assert_shell(&fixture->dir, "test ! -e orderly");
    close_store(fixture, true);
    assert_shell(&fixture->dir, "test -e orderly");
    open_store(fixture);
    assert_true(store_was_orderly(fixture->store));
    assert_false(store_was_restarted(fixture->store));
    assert_shell(&fixture->dir, "test ! -e orderly");
    close_store(fixture, false);
    open_store(fixture);
    assert_false(store_was_orderly(fixture->store));
}

static void
a_restart_of_the_machine_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    close_store(fixture, false);
    assert_shell(&fixture->dir, "sed -i 's/boot=..../boot=0000/' lock");
    open_store(fixture);
    assert_true(store_was_restarted(fixture->store));
    close_store(fixture, true);
    assert_shell(&fixture->dir, "sed -i 's/boot=..../boot=0000/' lock");
    open_store(fixture);
    assert_false(store_was_restarted(fixture->store)); /* all was on the disk before */
}

static void
ids_of_a_later_run_are_higher(void **state)
{
    struct fixture *fixture = *state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 5; i++) {
        open_store(fixture);
        assert_true(store_last_id(fixture->store) >= last + (UINT64_C(1) << 31));
        assert_true(store_last_id(fixture->store) < INT64_MAX - (INT64_C(1) << 31));
        last = store_last_id(fixture->store);
        close_store(fixture, i % 2);
    }
    static const char *const runs[] = {"4294967294",           "4294967295", "18446744073709551615",
                                       "99999999999999999999", "-1",         ""};
    for (unsigned i = 0; i < sizeof runs / sizeof *runs; i++) {
        assert_shell(&fixture->dir, "sed -i 's/run=[0-9]*/run=%s/' lock", runs[i]);
        open_store(fixture);
        assert_true(store_last_id(fixture->store) >= UINT64_C(1) << 31);
        assert_true(store_last_id(fixture->store) <= INT64_MAX - (INT64_C(1) << 31) + 1);
        close_store(fixture, false);
    }
    assert_shell(&fixture->dir, "head -c 300 /dev/urandom > lock");
    open_store(fixture);
}

/* --- files --- */

static void
a_file_goes_from_part_to_finished_to_gone(void **state)
{
    struct fixture *fixture = *state;
    char text[8], name[128], digest_hex[65];
    uint8_t digest[DIGEST_SHA256_LEN];
    open_store(fixture);
    digest_of(DIGEST_SHA256, URL_A, digest);
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(digest_hex + 2 * i, 3, "%02x", digest[i]);
    snprintf(name, sizeof name, "%.2s/%.2s/%s.00000000000000ab", digest_hex, digest_hex + 2,
             digest_hex);
    assert_int_equal(store_open_file(fixture->store, URL_A, 0xab, 5), -ENOENT);
    int fd = store_create_part(fixture->store, URL_A, 0xab, 5);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(pwrite(fd, "hello", 5, 0), 5);
    assert_int_equal(pread(fd, text, 5, 0), 5);
    close(fd);
    assert_shell(&fixture->dir, "test -f %s.part -a ! -e %s", name, name);
    assert_int_equal(store_open_file(fixture->store, URL_A, 0xab, 5), -ENOENT);
    assert_int_equal(store_finish_part(fixture->store, URL_A, 0xab), 0);
    assert_shell(&fixture->dir, "test ! -e %s.part -a -f %s", name, name);
    fd = store_open_file(fixture->store, URL_A, 0xab, 5);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(store_remove(fixture->store, URL_A, 0xab), 0);
    assert_int_equal(pread(fd, text, 5, 0), 5); /* who reads goes on */
    assert_memory_equal(text, "hello", 5);
    close(fd);
    assert_int_equal(store_open_file(fixture->store, URL_A, 0xab, 5), -ENOENT);
}

static void
what_is_not_there_is_removed_without_an_error(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    assert_int_equal(store_remove(fixture->store, URL_A, 1), 0);
    assert_int_equal(store_remove_part(fixture->store, URL_A, 1), 0);
    int fd = store_create_part(fixture->store, URL_A, 1, UINT64_MAX);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_remove(fixture->store, URL_A, 1), 0);
    assert_int_equal(store_remove_part(fixture->store, URL_A, 1), 0);
    assert_int_equal(store_finish_part(fixture->store, URL_A, 1), -ENOENT);
    assert_int_equal(shell_number(&fixture->dir, "find . -name '*.part' | wc -l"), 0);
}

static void
nothing_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "first");
    int fd = store_create_part(fixture->store, URL_A, 1, 3);
    assert_true(fd >= 0);
    assert_int_equal(store_create_part(fixture->store, URL_A, 1, 3), -EEXIST);
    assert_int_equal(store_finish_part(fixture->store, URL_A, 1), -EEXIST);
    close(fd);
    fd = store_open_file(fixture->store, URL_A, 1, 5);
    assert_true(fd >= 0);
    close(fd);
}

static void
versions_and_urls_have_files_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "one");
    add_file(fixture, URL_A, 2, "three");
    add_file(fixture, URL_B, 1, "seven77");
    assert_int_equal(store_remove(fixture->store, URL_A, 1), 0);
    int fd = store_open_file(fixture->store, URL_A, 2, 5);
    assert_true(fd >= 0);
    close(fd);
    fd = store_open_file(fixture->store, URL_B, 1, 7);
    assert_true(fd >= 0);
    close(fd);
}

static void
a_file_of_another_length_or_kind_is_stale(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "four");
    assert_int_equal(store_open_file(fixture->store, URL_A, 1, 5), -ESTALE);
    assert_int_equal(store_open_file(fixture->store, URL_A, 1, 3), -ESTALE);
    assert_shell(&fixture->dir, "f=$(find . -name '*.0000000000000001') && rm $f && mkfifo $f");
    assert_int_equal(store_open_file(fixture->store, URL_A, 1, 0), -ESTALE);
    assert_shell(&fixture->dir, "f=$(find . -name '*.0000000000000001') && rm $f && mkdir $f");
    assert_int_equal(store_open_file(fixture->store, URL_A, 1, 0), -ESTALE);
}

static void
no_link_is_followed(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "four");
    assert_shell(&fixture->dir, "mkdir ../out && f=$(find . -name '*.0000000000000001') &&"
                                " cp $f ../out/file && rm $f && ln -s $PWD/../out/file $f");
    assert_int_equal(store_open_file(fixture->store, URL_A, 1, 4), -ELOOP);
    assert_int_equal(store_remove(fixture->store, URL_A, 1), 0);
    assert_shell(&fixture->dir, "test -f ../out/file");
    /* a directory of the path */
    assert_shell(&fixture->dir, "for d in [0-9a-f][0-9a-f]; do mv $d ../out/ &&"
                                " ln -s $PWD/../out/$d $d; done");
    assert_true(store_create_part(fixture->store, URL_A, 2, 4) < 0);
    assert_true(store_open_file(fixture->store, URL_A, 1, 4) < 0);
    assert_true(store_remove(fixture->store, URL_A, 1) < 0);
    assert_int_equal(shell_number(&fixture->dir, "find ../out -name '*.part' | wc -l"), 0);
}

static void
declared_bytes_are_reserved(void **state)
{
    struct fixture *fixture = *state;
    struct stat info;
    open_store(fixture);
    int fd = store_create_part(fixture->store, URL_A, 1, 1 << 20);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, 0);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
        assert_true(info.st_blocks * 512 >= 1 << 20);
    close(fd);
    assert_int_equal(store_create_part(fixture->store, URL_A, 2, UINT64_MAX - 1), -EFBIG);
    assert_int_equal(shell_number(&fixture->dir, "find . -name '*.part' | wc -l"), 1);
}

/* --- a full disk --- */

static void
a_full_disk_is_said_before_anything_is_downloaded(void **state)
{
    struct fixture *fixture = *state;
    if (!cache_dir_mount(&fixture->dir, "size=1m"))
        skip();
    open_store(fixture);
    uint64_t before = store_free_len(fixture->store);
    assert_true(before > 900000 && before <= 1 << 20);
    assert_int_equal(store_create_part(fixture->store, URL_A, 1, 2 << 20), -ENOSPC);
    assert_int_equal(shell_number(&fixture->dir, "find . -name '*.part' | wc -l"), 0);
    int fd = store_create_part(fixture->store, URL_A, 2, 800000);
    assert_true(fd >= 0);
    assert_true(store_free_len(fixture->store) < 300000);
    close(fd);
    assert_int_equal(store_create_part(fixture->store, URL_A, 3, 800000), -ENOSPC);
    assert_int_equal(store_remove_part(fixture->store, URL_A, 2), 0);
    fd = store_create_part(fixture->store, URL_A, 3, 800000);
    assert_true(fd >= 0);
    close(fd);
}

static void
a_full_disk_does_not_keep_the_store_from_opening(void **state)
{
    struct fixture *fixture = *state;
    if (!cache_dir_mount(&fixture->dir, "size=1m"))
        skip();
    open_store(fixture);
    uint64_t last_id = store_last_id(fixture->store);
    int fd = store_create_part(fixture->store, URL_A, 1, UINT64_MAX);
    assert_true(fd >= 0);
    close(fd);
    assert_int_not_equal(shell(&fixture->dir, "cat /dev/zero > $(find . -name '*.part') 2>&-"), 0);
    assert_int_equal(store_free_len(fixture->store), 0);
    close_store(fixture, true);
    open_store(fixture);
    assert_true(store_last_id(fixture->store) > last_id);
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_parts, 1);
    assert_true(store_free_len(fixture->store) > 900000);
}

/* --- recovery --- */

static void
recovery_keeps_what_is_known_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "known");
    add_file(fixture, URL_A, 2, "older version");
    add_file(fixture, URL_B, 1, "id of another");
    add_file(fixture, STR("http://c/"), 7, "unknown");
    close(store_create_part(fixture->store, URL_A, 1, 100)); /* beside the finished one */
    assert_shell(&fixture->dir, "truncate -s 5 */*/*.part");
    close(store_create_part(fixture->store, URL_A, 3, 100));
    close(store_create_part(fixture->store, STR("http://d/"), 4, 0));
    add_known(fixture, URL_A, 1, 5);
    add_known(fixture, STR("http://gone/"), 9, 5);
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_parts, 3);
    assert_int_equal(recovery.removed_files, 3);
    assert_int_equal(recovery.removed_bytes, 5 + 13 + 13 + 7);
    assert_int_equal(recovery.kept_count, 0);
    assert_int_equal(fixture->missing_count, 1);
    assert_int_equal(fixture->missing[0], 9);
    assert_int_equal(shell_number(&fixture->dir, "find . -mindepth 2 -type f | wc -l"), 1);
    assert_int_equal(shell_number(&fixture->dir, "find . -mindepth 1 -type d | wc -l"), 2);
    int fd = store_open_file(fixture->store, URL_A, 1, 5);
    assert_true(fd >= 0);
    close(fd);
    fixture->known_count = 1;
    recovery = recover(fixture); /* and once more there is nothing to do */
    assert_int_equal(recovery.removed_parts + recovery.removed_files, 0);
    assert_int_equal(fixture->missing_count, 0);
}

static void
recovery_drops_what_is_not_as_its_entry_says(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    for (unsigned id = 1; id <= 5; id++)
        add_file(fixture, URL_A, id, "text");
    add_known(fixture, URL_A, 1, 4);
    add_known(fixture, URL_A, 2, 5); /* another length */
    add_known(fixture, URL_A, 3, 4);
    add_known(fixture, URL_A, 4, 4);
    add_known(fixture, URL_A, 5, 4);
    digest_of(DIGEST_SHA256, STR("text"), fixture->known[2].sha256);
    digest_of(DIGEST_SHA256, STR("tent"), fixture->known[3].sha256);
    fixture->known[2].checks_content = fixture->known[3].checks_content = true;
    /* a link that is as long as the file was */
    assert_shell(&fixture->dir, "f=$(find . -name '*.0000000000000005') && cp $f ../copy && rm $f"
                                " && ln -s copy $f");
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_files, 3);
    assert_int_equal(fixture->missing_count, 3);
    assert_int_equal(fixture->missing[0] + fixture->missing[1] + fixture->missing[2], 2 + 4 + 5);
    assert_shell(&fixture->dir, "test -f ../copy");
    for (unsigned id = 1; id <= 3; id += 2) {
        int fd = store_open_file(fixture->store, URL_A, id, 4);
        assert_true(fd >= 0);
        close(fd);
    }
}

static void
recovery_touches_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "unknown");
    assert_shell(&fixture->dir,
                 "d=$(find . -mindepth 2 -type d) && cd $d && touch README .hidden x.part &&"
                 " f=$(ls *.0000000000000001) && touch $f.bak ${f%%?} ${f}0 $f.part2 &&"
                 " touch $(echo $f | tr a-f A-F | sed s/^./G/) && mkdir sub && touch sub/$f");
    assert_shell(&fixture->dir, "mkdir -p AB/cd zz/00 && touch AB/cd/f zz/00/f index.db &&"
                                " mkdir ../out ../out/00 && touch ../out/00/f &&"
                                " test ! -e ff && ln -s ../out ff && test ! -e fe && touch fe");
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_files, 1);
    assert_int_equal(recovery.removed_parts, 0);
    assert_int_equal(shell_number(&fixture->dir, "find . -mindepth 3 -type f | wc -l"), 11);
    assert_shell(&fixture->dir, "test -e index.db -a -e lock -a -L ff -a -f fe -a"
                                " -f ../out/00/f -a -f AB/cd/f");
}

static void
a_file_in_the_wrong_directory_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "text");
    add_known(fixture, URL_A, 1, 4);
    assert_shell(&fixture->dir, "mkdir -p 00/00 && mv */*/*.0000000000000001 00/00/");
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_files, 1);
    assert_int_equal(fixture->missing_count, 1);
    assert_int_equal(shell_number(&fixture->dir, "find . -mindepth 1 -type d | wc -l"), 0);
}

static void
a_file_of_a_digest_that_is_only_similar_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "text");
    add_known(fixture, URL_A, 1, 4);
    assert_shell(&fixture->dir, "f=$(ls */*/*) && mv $f $(echo $f | sed 's/[0-9]\\./f./;"
                                "s/[a-e]\\./0./')");
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_files, 1);
    assert_int_equal(fixture->missing_count, 1);
}

static void
what_cannot_be_removed_is_counted(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    add_file(fixture, URL_A, 1, "text");
    assert_shell(&fixture->dir, "f=$(ls -d */*/*) && rm $f && mkdir $f");
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.kept_count, 1);
    assert_int_equal(recovery.removed_files, 0);
}

static void
many_entries_of_one_directory_are_told_apart(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    for (unsigned id = 1; id <= 200; id++)
        add_file(fixture, URL_A, id, "text");
    for (unsigned id = 50; id < 58; id++)
        add_known(fixture, URL_A, id, 4);
    struct store_recovery recovery = recover(fixture);
    assert_int_equal(recovery.removed_files, 192);
    assert_int_equal(fixture->missing_count, 0);
    assert_int_equal(shell_number(&fixture->dir, "ls */*/* | wc -l"), 8);
}

/* --- a system without openat2 --- */

static bool
forbid_openat2(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_directory_is_made_for_its_owner_alone),
        TEST(what_cannot_be_a_store_is_refused),
        TEST(a_read_only_directory_is_refused),
        TEST(a_second_holder_is_refused_and_told_who_is_first),
        TEST(a_holder_that_was_killed_holds_nothing),
        TEST(a_child_does_not_keep_the_lock),
        TEST(a_lock_file_that_was_removed_is_made_again),
        TEST(only_an_orderly_end_leaves_the_mark),
        TEST(a_restart_of_the_machine_is_noticed),
        TEST(ids_of_a_later_run_are_higher),
        TEST(a_file_goes_from_part_to_finished_to_gone),
        TEST(what_is_not_there_is_removed_without_an_error),
        TEST(nothing_is_replaced),
        TEST(versions_and_urls_have_files_of_their_own),
        TEST(a_file_of_another_length_or_kind_is_stale),
        TEST(no_link_is_followed),
        TEST(declared_bytes_are_reserved),
        TEST(a_full_disk_is_said_before_anything_is_downloaded),
        TEST(a_full_disk_does_not_keep_the_store_from_opening),
        TEST(recovery_keeps_what_is_known_and_nothing_else),
        TEST(recovery_drops_what_is_not_as_its_entry_says),
        TEST(recovery_touches_nothing_else),
        TEST(a_file_in_the_wrong_directory_is_nobodys),
        TEST(a_file_of_a_digest_that_is_only_similar_is_nobodys),
        TEST(what_cannot_be_removed_is_counted),
        TEST(many_entries_of_one_directory_are_told_apart),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    int failed = run_group("store");
    if (!forbid_openat2()) {
        print_message("not run without openat2: no system call filter is permitted here\n");
        return failed;
    }
    return failed + run_group("store, without openat2");
}
