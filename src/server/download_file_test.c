#include "server/download_file.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL STR("http://a/dir/name.img?x=/y")
#define ETAG STR("\"v1\"")

static char folder[] = "/tmp/download_file_XXXXXX";
static struct error error;

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

static int
set_up(void **state)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
    return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

static void
put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* NULL: there is no such file. */
static void
expect(const char *path, const char *text)
{
    char content[4096];
    FILE *file = fopen(path, "r");
    if (!text) {
        if (file)
            fail_msg("there is %s", path);
        return;
    }
    if (!file)
        fail_msg("there is no %s", path);
    content[fread(content, 1, sizeof content - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(content, text);
}

static void
open_good(struct download_file *file, const char *path)
{
    if (download_file_open(file, path, URL, &error) != 0)
        fail_msg("%s: %s", path, error.text);
}

static void
write_good(struct download_file *file, struct str bytes)
{
    if (download_file_write(file, bytes, &error) != 0)
        fail_msg("%s", error.text);
}

static void
restart(struct download_file *file, struct str etag)
{
    assert_int_equal(download_file_restart(file, URL, etag, &error), 0);
}

static bool
can_resume(const struct download_file *file, struct str url, const char *expected)
{
    struct buf etag;
    buf_init(&etag, 1024);
    bool can = download_file_can_resume(file, url, &etag);
    if (can)
        assert_true(str_eq(buf_str(&etag), str_from_cstr(expected)));
    buf_deinit(&etag);
    return can;
}

/* Leaves 4 bytes of the version in ./f.part. */
static void
break_off(struct str etag)
{
    struct download_file file;
    open_good(&file, "f");
    restart(&file, etag);
    write_good(&file, STR("part"));
    download_file_close(&file);
}

static void
test_a_file_is_there_when_it_is_whole(void **state)
{
    struct download_file file;
    put("f", "old");
    open_good(&file, "f");
    restart(&file, ETAG);
    write_good(&file, STR("new "));
    write_good(&file, STR("content"));
    expect("f", "old");
    expect("f.part", "new content");
    expect("f.part.from", "\"v1\"\nhttp://a/dir/name.img?x=/y\n");
    assert_int_equal(download_file_commit(&file, &error), 0);
    download_file_close(&file);
    expect("f", "new content");
    expect("f.part", NULL);
    expect("f.part.from", NULL);
}

static void
test_what_broke_off_can_be_gone_on_with(void **state)
{
    struct download_file file;
    struct digest digest;
    uint8_t found[DIGEST_SHA256_LEN], wanted[DIGEST_SHA256_LEN];
    break_off(ETAG);
    open_good(&file, "f");
    assert_int_equal(file.len, 4);
    assert_false(can_resume(&file, STR("http://a/other"), ""));
    assert_false(can_resume(&file, STR("http://a/dir/name.img?x=/z"), ""));
    assert_true(can_resume(&file, URL, "\"v1\""));
    digest_init(&digest, DIGEST_SHA256);
    assert_int_equal(download_file_digest(&file, &digest, &error), 0);
    write_good(&file, STR("ner"));
    digest_update(&digest, STR("ner"));
    digest_final(&digest, found);
    digest_of(DIGEST_SHA256, STR("partner"), wanted);
    assert_memory_equal(found, wanted, sizeof found);
    assert_int_equal(download_file_commit(&file, &error), 0);
    download_file_close(&file);
    expect("f", "partner");
}

static void
test_another_version_begins_anew(void **state)
{
    struct download_file file;
    break_off(ETAG);
    open_good(&file, "f");
    restart(&file, STR("\"v2\""));
    write_good(&file, STR("x"));
    assert_true(can_resume(&file, URL, "\"v2\""));
    download_file_close(&file);
    expect("f.part", "x");
    expect("f", NULL);
}

static void
test_a_part_of_an_unknown_version_is_of_no_use(void **state)
{
    static const char *const notes[] = {
        "",
        "\n",
        "\"v1\"",
        "\"v1\"\n",
        "\"v1\"\nhttp://a/dir/name.img?x=/y",
        "W/\"v1\"\nhttp://a/dir/name.img?x=/y\n",
        "\"v1\"\nhttp://a/dir/name.img?x=/y\nmore",
        "\"v 1\"\nhttp://a/dir/name.img?x=/y\n",
        "\"\nhttp://a/dir/name.img?x=/y\n",
    };
    static const struct str weak[] = {STR_INIT(""), STR_INIT("W/\"v1\""), STR_INIT("v1"),
                                      STR_INIT("\"a\rb\"")};
    struct download_file file;
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        break_off(weak[i]);
        expect("f.part", "part");
        expect("f.part.from", NULL);
    }
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        put("f.part.from", notes[i]);
        open_good(&file, "f");
        if (can_resume(&file, URL, "\"v1\""))
            fail_msg("believed: %s", notes[i]);
        download_file_close(&file);
    }
    put("f.part.from", "\"v1\"\nhttp://a/dir/name.img?x=/y\n");
    open_good(&file, "f");
    assert_true(can_resume(&file, URL, "\"v1\""));
    download_file_close(&file);
}

static void
test_what_is_empty_or_wrong_goes(void **state)
{
    struct download_file file;
    open_good(&file, "f");
    download_file_close(&file);
    expect("f.part", NULL);
    open_good(&file, "f");
    restart(&file, ETAG);
    download_file_close(&file);
    expect("f.part", NULL);
    expect("f.part.from", NULL);
    break_off(ETAG);
    open_good(&file, "f");
    download_file_discard(&file);
    download_file_close(&file);
    expect("f.part", NULL);
    expect("f.part.from", NULL);
    /* before anything new came, the old part stays */
    break_off(ETAG);
    open_good(&file, "f");
    download_file_close(&file);
    expect("f.part", "part");
    /* an empty resource is a whole one */
    open_good(&file, "f");
    restart(&file, ETAG);
    assert_int_equal(download_file_commit(&file, &error), 0);
    download_file_close(&file);
    expect("f", "");
    expect("f.part", NULL);
}

static void
expect_refused(const char *path, struct str url, const char *expected)
{
    struct download_file file;
    assert_int_equal(download_file_open(&file, path, url, &error), -1);
    download_file_close(&file);
    assert_string_equal(error.text, expected);
}

static void
test_two_downloads_of_one_file_exclude_each_other(void **state)
{
    struct download_file file;
    open_good(&file, "f");
    restart(&file, ETAG);
    write_good(&file, STR("x"));
    char *here = realpath("f.part", NULL), expected[256];
    expect_refused("f", URL, "another download is writing 'f.part'");
    put("f", "");
    snprintf(expected, sizeof expected, "another download is writing '%s'", here);
    expect_refused("f", URL, expected);
    free(here);
    expect("f.part", "x");
    download_file_close(&file);
}

static void
test_a_directory_takes_a_file_named_after_the_url(void **state)
{
    static const struct {
        struct str url;
        const char *name; /* NULL: refused */
    } cases[] = {
        {STR_INIT("http://a/dir/name.img?x=/y#z"), "name.img"},
        {STR_INIT("http://a/%2e%2e%2f"), "%2e%2e%2f"},
        {STR_INIT("http://a/-rf"), "-rf"},
        {STR_INIT("http://a"), NULL},
        {STR_INIT("http://a/dir/"), NULL},
        {STR_INIT("http://a/.."), NULL},
        {STR_INIT("http://a/."), NULL},
    };
    struct download_file file;
    char path[256];
    assert_int_equal(mkdir("d", 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!cases[i].name) {
            expect_refused("d", cases[i].url,
                           "'d' is a directory, and the URL has no name for a file in it");
            continue;
        }
        assert_int_equal(download_file_open(&file, "d", cases[i].url, &error), 0);
        assert_int_equal(download_file_commit(&file, &error), 0);
        download_file_close(&file);
        snprintf(path, sizeof path, "d/%s", cases[i].name);
        expect(path, "");
    }
    assert_int_equal(mkdir("d/sub", 0700), 0);
    expect_refused("d", STR("http://a/sub"), "'d/sub' is a directory");
    char url[URL_MAX] = "http://a/";
    memset(url + 9, 'x', CACHE_GET_NAME_MAX);
    expect_refused("d", str_from_cstr(url),
                   "'d' is a directory, and the URL has no name for a file in it");
}

static void
test_links_are_kept_but_not_for_the_part(void **state)
{
    struct download_file file;
    struct stat st;
    put("real", "old");
    assert_int_equal(symlink("real", "f"), 0);
    open_good(&file, "f");
    restart(&file, ETAG);
    write_good(&file, STR("new"));
    assert_int_equal(download_file_commit(&file, &error), 0);
    download_file_close(&file);
    expect("real", "new");
    assert_true(lstat("f", &st) == 0 && S_ISLNK(st.st_mode));
    put("victim", "victim");
    assert_int_equal(symlink("victim", "g.part"), 0);
    expect_refused("g", URL, "cannot create 'g.part': Too many levels of symbolic links");
    assert_int_equal(mkdir("h.part", 0700), 0);
    expect_refused("h", URL, "cannot create 'h.part': Is a directory");
    expect_refused("missing/f", URL, "cannot create 'missing/f.part': No such file or directory");
    expect("victim", "victim");
}

static void
test_what_cannot_be_replaced_is_written_to(void **state)
{
    struct download_file file;
    char got[16] = "";
    assert_int_equal(mkfifo("pipe", 0600), 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    open_good(&file, "pipe");
    restart(&file, ETAG);
    assert_false(can_resume(&file, URL, ""));
    write_good(&file, STR("through"));
    assert_int_equal(file.len, 7);
    assert_int_equal(download_file_commit(&file, &error), 0);
    download_file_close(&file);
    assert_int_equal(read(reader, got, sizeof got), 7);
    assert_string_equal(got, "through");
    close(reader);
    expect("pipe.part", NULL);
    open_good(&file, "/dev/full");
    assert_int_equal(download_file_write(&file, STR("x"), &error), -1);
    assert_string_equal(error.text, "cannot write the output: No space left on device");
    download_file_close(&file);
}

static bool
is_let_through(const char *first, const char *second)
{
    int sink = open("/dev/null", O_WRONLY);
    struct download_file file = {.fd = sink, .guards_terminal = true};
    bool good = download_file_write(&file, str_from_cstr(first), &error) == 0 &&
                download_file_write(&file, str_from_cstr(second), &error) == 0;
    close(sink);
    return good;
}

static void
test_a_terminal_gets_text_only(void **state)
{
    assert_true(is_let_through("line\r\n\tnext\n", "caf\xc3\xa9 \xe2\x82\xac\n"));
    assert_true(is_let_through("\xc3", "\x9f"));
    assert_false(is_let_through("a\x1b[2J", ""));
    assert_false(is_let_through("a", "\x07"));
    assert_false(is_let_through("\x7f", ""));
    assert_false(is_let_through("\xc2\x9b", ""));
    assert_false(is_let_through("\xc2", "\x9b")); /* in two pieces */
    struct download_file file = {.fd = -1, .guards_terminal = true};
    assert_int_equal(download_file_write(&file, STR("\0"), &error), -1);
    assert_string_equal(error.text, "this is not text: name a file with -o, or say -o - to have it "
                                    "on the terminal all the same");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_there_when_it_is_whole),
        TEST(test_what_broke_off_can_be_gone_on_with),
        TEST(test_another_version_begins_anew),
        TEST(test_a_part_of_an_unknown_version_is_of_no_use),
        TEST(test_what_is_empty_or_wrong_goes),
        TEST(test_two_downloads_of_one_file_exclude_each_other),
        TEST(test_a_directory_takes_a_file_named_after_the_url),
        TEST(test_links_are_kept_but_not_for_the_part),
        TEST(test_what_cannot_be_replaced_is_written_to),
        TEST(test_a_terminal_gets_text_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
