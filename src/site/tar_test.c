#include "site/tar.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct member_list members;
    struct buf tar;
    struct error error;
};

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    log_set_level(LOG_ERROR);
    arena_init(&fixture->arena, 1 << 30, 65536);
    member_list_init(&fixture->members, &fixture->arena);
    buf_init(&fixture->tar, 16 << 20);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    member_list_deinit(&fixture->members);
    arena_deinit(&fixture->arena);
    buf_deinit(&fixture->tar);
    free(fixture);
    return 0;
}

static void
set_checksum(char *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
}

static void
put_octal(char *field, uint64_t value)
{
    for (int i = 10; i >= 0; i--, value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

/* A header block that can then be spoilt. */
static char *
put_header(struct fixture *fixture, char type, const char *name, const char *link, uint64_t size)
{
    char *block = buf_reserve(&fixture->tar, TAR_BLOCK);
    memset(block, 0, TAR_BLOCK);
    memcpy(block, name, strlen(name));
    memcpy(block + 157, link, strlen(link));
    put_octal(block + 124, size);
    put_octal(block + 136, 1700000000);
    memcpy(block + 257, "ustar\00000", 8);
    block[156] = type;
    set_checksum(block);
    buf_commit(&fixture->tar, TAR_BLOCK);
    return block;
}

static void
put_bytes(struct fixture *fixture, struct str bytes)
{
    buf_append(&fixture->tar, bytes);
    while (fixture->tar.len % TAR_BLOCK)
        buf_append_char(&fixture->tar, '\0');
}

static void
put_file(struct fixture *fixture, const char *name, const char *text)
{
    put_header(fixture, '0', name, "", strlen(text));
    put_bytes(fixture, str_from_cstr(text));
}

static void
put_link(struct fixture *fixture, const char *name, const char *target)
{
    put_header(fixture, '2', name, target, 0);
}

static void
put_pax(struct fixture *fixture, char type, const char *records)
{
    put_header(fixture, type, "pax", "", strlen(records));
    put_bytes(fixture, str_from_cstr(records));
}

static void
put_end(struct fixture *fixture)
{
    static const char zeros[2 * TAR_BLOCK];
    buf_append(&fixture->tar, str_make(zeros, sizeof zeros));
}

static int
read_tar(struct fixture *fixture)
{
    int result = tar_read_memory(buf_str(&fixture->tar), &fixture->members, &fixture->error);
    return result < 0 ? result : member_list_finish(&fixture->members, &fixture->error);
}

static void
assert_reads(struct fixture *fixture)
{
    put_end(fixture);
    if (read_tar(fixture) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
assert_refused(struct fixture *fixture, const char *reason)
{
    assert_int_equal(read_tar(fixture), -1);
    if (!strstr(fixture->error.text, reason))
        fail_msg("'%s' does not say '%s'", fixture->error.text, reason);
}

static void
assert_content(struct fixture *fixture, const char *path, const char *text)
{
    const struct member *member = member_list_find(&fixture->members, str_from_cstr(path));
    if (!member)
        fail_msg("%s is missing", path);
    assert_false(member->is_dir);
    assert_true(member->off + member->size <= fixture->tar.len);
    assert_true(
        str_eq(str_make(fixture->tar.ptr + member->off, member->size), str_from_cstr(text)));
}

static void
assert_paths(struct fixture *fixture, const char *expected)
{
    char got[4096] = "";
    for (size_t i = 0; i < fixture->members.count; i++) {
        const struct member *member = &fixture->members.list[i];
        size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s%.*s%s", i ? " " : "", STR_ARG(member->path),
                 member->is_dir ? "/" : "");
    }
    assert_string_equal(got, expected);
}

static void
plain_files_and_directories_are_listed(void **state)
{
    struct fixture *fixture = *state;
    put_header(fixture, '5', "./", "", 0);
    put_header(fixture, '5', "./sub/", "", 0);
    put_file(fixture, "./sub//b.txt", "bee");
    put_file(fixture, "a.txt", "");
    put_file(fixture, "x/./y/../z", "zed");
    assert_reads(fixture);
    assert_paths(fixture, "a.txt sub/ sub/b.txt x/ x/z");
    assert_content(fixture, "sub/b.txt", "bee");
    assert_content(fixture, "x/z", "zed");
    assert_content(fixture, "a.txt", "");
    assert_int_equal(member_list_find(&fixture->members, STR("a.txt"))->mtime, 1700000000);
}

static void
a_later_duplicate_wins(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "first");
    put_file(fixture, "./a", "second");
    put_file(fixture, "d", "a file");
    put_file(fixture, "d/x", "below");
    assert_reads(fixture);
    assert_paths(fixture, "a d/ d/x");
    assert_content(fixture, "a", "second");
    assert_int_equal(fixture->members.warnings, 1);
}

static void
the_prefix_counts_only_under_the_posix_magic(void **state)
{
    struct fixture *fixture = *state;
    char *block = put_header(fixture, '0', "name", "", 0);
    memcpy(block + 345, "some/where", 10);
    set_checksum(block);
    block = put_header(fixture, '0', "other", "", 0);
    memcpy(block + 345, "some/where", 10);
    memcpy(block + 257, "ustar  ", 8);
    set_checksum(block);
    assert_reads(fixture);
    assert_paths(fixture, "other some/ some/where/ some/where/name");
}

static void
names_that_leave_the_site_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a/../../x", "evil");
    put_end(fixture);
    assert_refused(fixture, "entry 'a/../../x': its name leaves the site");
    buf_clear(&fixture->tar);
    put_file(fixture, "/etc/passwd", "evil");
    put_end(fixture);
    assert_refused(fixture, "entry '/etc/passwd': its name is absolute");
    buf_clear(&fixture->tar);
    put_pax(fixture, 'x', "16 path=../../x\n");
    put_file(fixture, "fine", "evil");
    put_end(fixture);
    assert_refused(fixture, "entry '../../x': its name leaves the site");
}

static void
damage_is_reported_with_its_offset(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "text");
    char *block = put_header(fixture, '0', "b", "", 0);
    block[0] = 'c';
    put_end(fixture);
    assert_refused(fixture, "bad checksum in the header at offset 1024");

    buf_clear(&fixture->tar);
    block = put_header(fixture, '0', "b", "", 0);
    block[125] = 'q';
    set_checksum(block);
    put_end(fixture);
    assert_refused(fixture, "bad number in the header at offset 0");

    buf_clear(&fixture->tar);
    put_header(fixture, '0', "b", "", 5000);
    put_end(fixture);
    assert_refused(fixture, "cut short: the entry at offset 0 has 5000 bytes");

    buf_clear(&fixture->tar);
    put_file(fixture, "a", "text");
    assert_refused(fixture, "end mark is missing at offset 1024");

    buf_clear(&fixture->tar);
    assert_refused(fixture, "end mark is missing at offset 0");

    put_end(fixture);
    fixture->tar.len -= TAR_BLOCK;
    put_file(fixture, "a", "text");
    assert_refused(fixture, "a lone block of zeros at offset 0");
}

static void
one_block_of_zeros_at_the_very_end_is_enough(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "text");
    put_end(fixture);
    fixture->tar.len -= TAR_BLOCK;
    assert_int_equal(read_tar(fixture), 0);
    assert_paths(fixture, "a");
}

static void
what_follows_the_end_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "text");
    put_end(fixture);
    buf_append(&fixture->tar, STR("leftovers of the tape"));
    assert_int_equal(read_tar(fixture), 0);
    assert_paths(fixture, "a");
}

static void
base_256_numbers_are_understood(void **state)
{
    struct fixture *fixture = *state;
    char *block = put_header(fixture, '0', "a", "", 0);
    memcpy(block + 124, "\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
    memcpy(block + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
    set_checksum(block);
    put_bytes(fixture, STR("abc"));
    assert_reads(fixture);
    assert_content(fixture, "a", "abc");
    assert_int_equal(fixture->members.list[0].mtime, -2);
}

static void
base_256_sizes_that_overflow_are_refused(void **state)
{
    static const char *const sizes[] = {
        "\x80\1\0\0\0\0\0\0\0\0\0\0",                       /* over 64 bits */
        "\x80\0\0\0\x80\0\0\0\0\0\0\0",                     /* over 63 bits */
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", /* negative */
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf_clear(&fixture->tar);
        char *block = put_header(fixture, '0', "a", "", 0);
        memcpy(block + 124, sizes[i], 12);
        set_checksum(block);
        put_end(fixture);
        assert_refused(fixture, "bad number in the header at offset 0");
    }
    buf_clear(&fixture->tar);
    char *block = put_header(fixture, '0', "a", "", 0);
    memcpy(block + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    set_checksum(block);
    put_end(fixture);
    assert_refused(fixture, "cut short");
}

static void
pax_records_override_the_header(void **state)
{
    struct fixture *fixture = *state;
    put_pax(fixture, 'x', "19 path=caf\xc3\xa9/menu\n9 size=4\n18 mtime=123456.9\n11 foo=bar\n");
    put_header(fixture, '0', "short", "", 0);
    put_bytes(fixture, STR("food"));
    put_file(fixture, "next", "plain");
    assert_reads(fixture);
    assert_paths(fixture, "caf\xc3\xa9/ caf\xc3\xa9/menu next");
    assert_content(fixture, "caf\xc3\xa9/menu", "food");
    assert_int_equal(member_list_find(&fixture->members, STR("caf\xc3\xa9/menu"))->mtime, 123456);
    assert_int_equal(member_list_find(&fixture->members, STR("next"))->mtime, 1700000000);
}

static void
global_pax_records_hold_until_overridden(void **state)
{
    struct fixture *fixture = *state;
    put_pax(fixture, 'g', "12 mtime=-1\n");
    put_file(fixture, "a", "a");
    put_pax(fixture, 'x', "14 mtime=-1.5\n");
    put_file(fixture, "b", "b");
    put_file(fixture, "c", "c");
    put_pax(fixture, 'g', "9 mtime=\n");
    put_file(fixture, "d", "d");
    assert_reads(fixture);
    assert_int_equal(fixture->members.list[0].mtime, -1);
    assert_int_equal(fixture->members.list[1].mtime, -2);
    assert_int_equal(fixture->members.list[2].mtime, -1);
    assert_int_equal(fixture->members.list[3].mtime, 1700000000);
}

static void
malformed_pax_headers_are_refused(void **state)
{
    static const char *const records[] = {
        "99 path=a\n",
        "8 path=a\n",
        "x path=a\n",
        "10 path=ab",
        "0 path=a\n",
        "3 \n",
        " path=a\n",
        "10path=a\n",
        "10 =abcde\n",
        "10 path a\n",
        "12 size=1x4\n",
        "14 mtime=1.2x\n",
        "30 mtime=-9223372036854775809\n",
        "18446744073709551617 path=a\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        buf_clear(&fixture->tar);
        put_pax(fixture, 'x', records[i]);
        put_file(fixture, "a", "text");
        put_end(fixture);
        assert_int_equal(read_tar(fixture), -1);
        if (!strstr(fixture->error.text, "malformed pax header at offset 0"))
            fail_msg("record %zu: %s", i, fixture->error.text);
    }
}

static void
extension_headers_are_bounded_and_need_an_entry(void **state)
{
    struct fixture *fixture = *state;
    put_header(fixture, 'x', "pax", "", TAR_PAX_MAX + 1);
    for (size_t len = 0; len <= TAR_PAX_MAX; len += TAR_BLOCK)
        put_bytes(fixture, STR("x"));
    put_end(fixture);
    assert_refused(fixture, "larger than");
    buf_clear(&fixture->tar);
    put_pax(fixture, 'x', "10 path=ab\n");
    put_end(fixture);
    assert_refused(fixture, "malformed pax header"); /* 10 is one short: its newline is missing */
    buf_clear(&fixture->tar);
    put_pax(fixture, 'x', "11 path=ab\n");
    put_end(fixture);
    assert_refused(fixture, "an extension header stands alone at offset 1024");
}

static void
sparse_entries_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    put_header(fixture, 'S', "holes", "", 0);
    put_end(fixture);
    assert_refused(fixture, "entry 'holes' is sparse");
    buf_clear(&fixture->tar);
    put_pax(fixture, 'x', "22 GNU.sparse.major=1\n");
    put_file(fixture, "holes2", "x");
    put_end(fixture);
    assert_refused(fixture, "entry 'holes2' is sparse");
}

static void
names_over_the_ceiling_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char name[SITE_PATH_MAX + 2];
    memset(name, 'n', sizeof name);
    put_header(fixture, 'L', "././@LongLink", "", sizeof name);
    put_bytes(fixture, str_make(name, sizeof name));
    put_file(fixture, "n", "x");
    put_end(fixture);
    assert_refused(fixture, "its name is too long");
}

static void
devices_and_unknown_kinds_are_skipped_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    put_header(fixture, '3', "dev/null", "", 99999);
    put_header(fixture, '6', "fifo", "", 0);
    put_header(fixture, 'Z', "vendor", "", 3);
    put_bytes(fixture, STR("abc"));
    put_file(fixture, "a", "text");
    assert_reads(fixture);
    assert_paths(fixture, "a");
    assert_int_equal(fixture->members.warnings, 3);
}

static void
hard_links_take_the_bytes_of_an_earlier_entry(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "old");
    put_header(fixture, '1', "b", "./a", 4242);
    put_file(fixture, "a", "new");
    put_header(fixture, '1', "c", "a", 0);
    put_header(fixture, '1', "d", "b", 0);
    put_header(fixture, '1', "gone", "later", 0);
    put_header(fixture, '1', "gone2", "gone", 0);
    put_header(fixture, '1', "gone3", "../a", 0);
    put_header(fixture, '1', "self", "self", 0);
    put_file(fixture, "later", "x");
    assert_reads(fixture);
    assert_paths(fixture, "a b c d later");
    assert_content(fixture, "b", "old");
    assert_content(fixture, "c", "new");
    assert_content(fixture, "d", "old");
    assert_int_equal(fixture->members.warnings, 4);
}

static void
symbolic_links_are_followed_inside_the_archive(void **state)
{
    struct fixture *fixture = *state;
    put_link(fixture, "current.html", "pages/one.html");
    put_link(fixture, "again.html", "./current.html");
    put_link(fixture, "pages/up.html", "../top.html");
    put_link(fixture, "pages/same.html", "one.html");
    put_header(fixture, '1', "hard.html", "current.html", 0);
    put_file(fixture, "pages/one.html", "one");
    put_file(fixture, "top.html", "top");
    assert_reads(fixture);
    assert_content(fixture, "current.html", "one");
    assert_content(fixture, "again.html", "one");
    assert_content(fixture, "pages/up.html", "top");
    assert_content(fixture, "pages/same.html", "one");
    assert_content(fixture, "hard.html", "one");
    assert_int_equal(fixture->members.warnings, 0);
}

static void
a_mounted_config_map_works(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "..2024_01/index.html", "hello");
    put_file(fixture, "..2024_01/sub/x", "x");
    put_link(fixture, "..data", "..2024_01");
    put_link(fixture, "index.html", "..data/index.html");
    put_link(fixture, "sub", "..data/sub");
    assert_reads(fixture);
    assert_content(fixture, "index.html", "hello");
    assert_content(fixture, "sub/x", "x");
    assert_content(fixture, "..data/sub/x", "x");
}

static void
links_to_directories_copy_what_is_below(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "v1/a", "a1");
    put_file(fixture, "v1/img/p", "pic");
    put_link(fixture, "v1/pics", "img");
    put_link(fixture, "v1/ext", "../shared");
    put_file(fixture, "shared/s", "ess");
    put_file(fixture, "v10/no", "no");
    put_file(fixture, "v1-x", "no");
    put_link(fixture, "latest", "v1/");
    assert_reads(fixture);
    assert_content(fixture, "latest/a", "a1");
    assert_content(fixture, "latest/pics/p", "pic");
    assert_content(fixture, "latest/ext/s", "ess");
    assert_content(fixture, "v1/pics/p", "pic");
    assert_null(member_list_find(&fixture->members, STR("latest/no")));
    assert_null(member_list_find(&fixture->members, STR("latest0/no")));
    assert_true(member_list_find(&fixture->members, STR("latest"))->is_dir);
    assert_int_equal(fixture->members.warnings, 0);
}

static void
links_in_circles_or_out_or_to_nothing_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "d/f", "eff");
    put_link(fixture, "a", "b");
    put_link(fixture, "b", "a");
    put_link(fixture, "self", "self");
    put_link(fixture, "d/up", "..");
    put_link(fixture, "d/here", ".");
    put_link(fixture, "d/again", "../d");
    put_link(fixture, "out", "../out");
    put_link(fixture, "out2", "d/../../x");
    put_link(fixture, "abs", "/etc/passwd");
    put_link(fixture, "none", "missing");
    put_link(fixture, "through", "d/f/x");
    put_link(fixture, "back", "d/f/../f");
    put_link(fixture, "over", "../d/f");
    put_link(fixture, "slash", "d/f/");
    assert_reads(fixture);
    assert_content(fixture, "d/f", "eff");
    assert_content(fixture, "slash", "eff");
    assert_paths(fixture, "d/ d/f slash");
    assert_int_equal(fixture->members.warnings, 13);
}

static void
directories_that_link_to_each_other_end(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a/f", "a");
    put_link(fixture, "a/l", "../b");
    put_file(fixture, "b/f", "b");
    put_link(fixture, "b/m", "../a");
    assert_reads(fixture);
    assert_content(fixture, "a/l/f", "b");
    assert_content(fixture, "b/m/f", "a");
    assert_true(fixture->members.warnings > 0);
    assert_true(fixture->members.count < 20);
}

static void
a_tower_of_directory_links_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char name[32], target[32];
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < 8; j++) {
            snprintf(name, sizeof name, "d%d/%d", i, j);
            snprintf(target, sizeof target, "../d%d", i + 1);
            put_link(fixture, name, target);
        }
    put_file(fixture, "d40/f", "deep");
    put_end(fixture);
    assert_refused(fixture, "links make more than");
}

static void
a_memory_file_reads_like_memory_with_many_members(void **state)
{
    struct fixture *fixture = *state;
    char name[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "dir%d/file%d.txt", i % 7, i);
        put_file(fixture, name, name);
        if (i % 500 == 0) { /* a jump over more than a window */
            put_header(fixture, '0', "big", "", 300000);
            for (int j = 0; j < 300000; j += TAR_BLOCK)
                put_bytes(fixture, STR("b"));
        }
    }
    put_end(fixture);
    FILE *file = tmpfile();
    fwrite(fixture->tar.ptr, 1, fixture->tar.len, file);
    fflush(file);
    struct site_identity identity = {.ino = 5};
    assert_int_equal(
        tar_read(fileno(file), fixture->tar.len, &identity, &fixture->members, &fixture->error), 0);
    assert_int_equal(member_list_finish(&fixture->members, &fixture->error), 0);
    assert_int_equal(fixture->members.count, 3000 + 7 + 1);
    assert_content(fixture, "dir3/file2999.txt", "dir3/file2999.txt");
    const struct member *member = member_list_find(&fixture->members, STR("dir0/file0.txt"));
    assert_ptr_equal(member->identity, &identity);
    assert_int_equal(member->fd, fileno(file));

    assert_int_equal(ftruncate(fileno(file), 100000), 0);
    struct member_list again;
    member_list_init(&again, &fixture->arena);
    assert_int_equal(tar_read(fileno(file), fixture->tar.len, NULL, &again, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "shorter"));
    member_list_deinit(&again);
    fclose(file);
}

static void
header_blocks_are_told_from_other_content(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "a", "text");
    assert_true(tar_is_header(fixture->tar.ptr, TAR_BLOCK));
    assert_false(tar_is_header(fixture->tar.ptr, TAR_BLOCK - 1));
    assert_false(tar_is_header(fixture->tar.ptr + TAR_BLOCK, TAR_BLOCK));
    char zeros[TAR_BLOCK] = "";
    assert_false(tar_is_header(zeros, sizeof zeros));
    memset(zeros, ' ', sizeof zeros);
    assert_false(tar_is_header(zeros, sizeof zeros));
}

/* --- archives made by tar itself --- */

static void
run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

#define LONG_DIR "a-directory-with-a-rather-long-name-that-goes-on-for-a-while-0123456789"

static void
make_tree(const char *dir, bool long_names)
{
    run("mkdir -p %s/t/sub/deeper", dir);
    run("cd %s/t; printf index >index.html; printf deep >sub/deeper/x.txt; : >empty", dir);
    run("cd %s/t; ln -s sub/deeper/x.txt link; ln -s sub/deeper way; ln index.html hard.html", dir);
    run("cd %s/t; ln -s /etc/passwd bad; printf accent >caf\xc3\xa9.txt", dir);
    if (long_names) {
        run("mkdir -p %s/t/%s/%s/%s", dir, LONG_DIR, LONG_DIR, LONG_DIR);
        run("printf long >%s/t/%s/%s/%s/%s.txt", dir, LONG_DIR, LONG_DIR, LONG_DIR, LONG_DIR);
        run("ln -s %s/%s/%s/%s.txt %s/t/longlink", LONG_DIR, LONG_DIR, LONG_DIR, LONG_DIR, dir);
    }
    run("find %s/t -exec touch -h -d @1600000000 {} +", dir);
}

static void
load_file(struct fixture *fixture, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    buf_clear(&fixture->tar);
    char *to = buf_reserve(&fixture->tar, (size_t)st.st_size);
    assert_int_equal(read(fd, to, (size_t)st.st_size), st.st_size);
    buf_commit(&fixture->tar, (size_t)st.st_size);
    close(fd);
}

static void
check_format(struct fixture *fixture, const char *dir, const char *format, bool long_names)
{
    char path[256];
    run("rm -rf %s/t", dir);
    make_tree(dir, long_names);
    run("tar -C %s/t --format=%s -cf %s/t.tar .", dir, format, dir);
    snprintf(path, sizeof path, "%s/t.tar", dir);
    load_file(fixture, path);
    member_list_deinit(&fixture->members);
    if (read_tar(fixture) < 0)
        fail_msg("%s: %s", format, fixture->error.text);
    assert_content(fixture, "index.html", "index");
    assert_content(fixture, "hard.html", "index");
    assert_content(fixture, "empty", "");
    assert_content(fixture, "link", "deep");
    assert_content(fixture, "way/x.txt", "deep");
    assert_content(fixture, "caf\xc3\xa9.txt", "accent");
    if (long_names) {
        assert_content(fixture, LONG_DIR "/" LONG_DIR "/" LONG_DIR "/" LONG_DIR ".txt", "long");
        assert_content(fixture, "longlink", "long");
    }
    assert_null(member_list_find(&fixture->members, STR("bad")));
    assert_int_equal(fixture->members.warnings, 1);
    assert_int_equal(member_list_find(&fixture->members, STR("index.html"))->mtime, 1600000000);
}

static void
archives_of_gnu_tar_are_read_in_all_its_formats(void **state)
{
    struct fixture *fixture = *state;
    char dir[] = "/tmp/tarn-tar-XXXXXX";
    assert_non_null(mkdtemp(dir));
    check_format(fixture, dir, "v7", false);
    check_format(fixture, dir, "ustar", false);
    check_format(fixture, dir, "gnu", true);
    check_format(fixture, dir, "pax", true);
    run("rm -rf %s", dir);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(plain_files_and_directories_are_listed),
        TEST(a_later_duplicate_wins),
        TEST(the_prefix_counts_only_under_the_posix_magic),
        TEST(names_that_leave_the_site_are_refused_by_name),
        TEST(damage_is_reported_with_its_offset),
        TEST(one_block_of_zeros_at_the_very_end_is_enough),
        TEST(what_follows_the_end_is_ignored),
        TEST(base_256_numbers_are_understood),
        TEST(base_256_sizes_that_overflow_are_refused),
        TEST(pax_records_override_the_header),
        TEST(global_pax_records_hold_until_overridden),
        TEST(malformed_pax_headers_are_refused),
        TEST(extension_headers_are_bounded_and_need_an_entry),
        TEST(sparse_entries_are_refused_by_name),
        TEST(names_over_the_ceiling_are_refused),
        TEST(devices_and_unknown_kinds_are_skipped_with_a_warning),
        TEST(hard_links_take_the_bytes_of_an_earlier_entry),
        TEST(symbolic_links_are_followed_inside_the_archive),
        TEST(a_mounted_config_map_works),
        TEST(links_to_directories_copy_what_is_below),
        TEST(links_in_circles_or_out_or_to_nothing_are_skipped),
        TEST(directories_that_link_to_each_other_end),
        TEST(a_tower_of_directory_links_is_bounded),
        TEST(a_memory_file_reads_like_memory_with_many_members),
        TEST(header_blocks_are_told_from_other_content),
        TEST(archives_of_gnu_tar_are_read_in_all_its_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
