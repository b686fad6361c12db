#include "site/listing.h"

#include "site/listing_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int
setup(void **state)
{
    struct buf *out = malloc(sizeof *out);
    buf_init(out, 1 << 20);
    *state = out;
    return 0;
}

static int
teardown(void **state)
{
    struct buf *out = *state;
    buf_deinit(out);
    free(out);
    return 0;
}

static size_t
count_of(const struct buf *out, const char *needle)
{
    struct str rest = buf_str(out), wanted = str_from_cstr(needle);
    size_t count = 0;
    for (size_t at; (at = str_find(rest, wanted)) < rest.len; count++)
        rest = str_skip(rest, at + wanted.len);
    return count;
}

static void
expect_count(const struct buf *out, size_t count, const char *needle)
{
    if (count_of(out, needle) != count)
        fail_msg("%zu times \"%s\", want %zu", count_of(out, needle), needle, count);
}

static void
render_one(struct buf *out, struct listing_entry entry)
{
    buf_clear(out);
    listing_render_html(out, STR("/"), &entry, 1);
    assert_false(buf_overflowed(out));
}

static void
names_are_escaped_in_text_and_links(void **state)
{
    struct buf *out = *state;
    render_one(out, (struct listing_entry){.name = STR("a:b <i>\"&'#?%\xc3\xa9.txt")});
    expect_count(out, 1, "href=\"a%3Ab%20%3Ci%3E%22%26%27%23%3F%25%C3%A9.txt\"");
    expect_count(out, 1, "<bdi>a:b &lt;i&gt;&quot;&amp;'#?%\xc3\xa9.txt</bdi>");
    buf_clear(out);
    listing_render_html(out, STR("/<s>/"), NULL, 0);
    expect_count(out, 0, "<s>");
    expect_count(out, 1, "<title>/&lt;s&gt;/</title>");
}

static void
breadcrumb_leads_to_each_directory_above(void **state)
{
    struct buf *out = *state;
    listing_render_html(out, STR("/one/two & x/three/"), NULL, 0);
    expect_count(out, 1, "<a href=\"../../../\" aria-label=\"Home\">");
    expect_count(out, 1, "<a href=\"../../\">one</a>");
    expect_count(out, 1, "<a href=\"../\">two &amp; x</a>");
    expect_count(out, 1, "<span aria-current=\"page\">three</span>");
    expect_count(out, 1, "<tr class=\"up\"><td><a href=\"../\">");
    expect_count(out, 1, "Nothing in this folder");
    buf_clear(out);
    listing_render_html(out, STR("/"), NULL, 0);
    expect_count(out, 0, "../");
    expect_count(out, 0, "<table>");
    expect_count(out, 0, "<script>");
}

static void
sizes_are_short_with_the_exact_one_in_the_title(void **state)
{
    static const struct {
        uint64_t size;
        const char *title, *text;
    } cases[] = {
        {0, "0 bytes", ">0 B<"},
        {1, "1 byte\"", ">1 B<"},
        {999, "999 bytes", ">999 B<"},
        {1000, "1,000 bytes", ">1.0 kB<"},
        {9999, "9,999 bytes", ">9.9 kB<"},
        {10000, "10,000 bytes", ">10 kB<"},
        {999999, "999,999 bytes", ">999 kB<"},
        {12345678, "12,345,678 bytes", ">12 MB<"},
        {UINT64_MAX, "18,446,744,073,709,551,615 bytes", ">18 EB<"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        render_one(*state, (struct listing_entry){.name = STR("x"), .size = cases[i].size});
        expect_count(*state, 1, cases[i].title);
        expect_count(*state, 1, cases[i].text);
    }
}

static void
times_are_utc_and_unknown_ones_empty(void **state)
{
    struct buf *out = *state;
    render_one(out, (struct listing_entry){.name = STR("x"), .mtime = 1714550000});
    expect_count(out, 1,
                 "<time datetime=\"2024-05-01T07:53:20Z\">2024-05-01 <span>07:53 "
                 "UTC</span></time>");
    render_one(out, (struct listing_entry){.name = STR("x")});
    expect_count(out, 0, "<time");
    render_one(out, (struct listing_entry){.name = STR("x"), .mtime = INT64_MAX});
    expect_count(out, 1, "9999-12-31T23:59:59Z");
    render_one(out, (struct listing_entry){.name = STR("x"), .mtime = INT64_MIN});
    expect_count(out, 1, "1970-01-01T00:00:00Z");
}

static void
directories_and_kinds_of_files_are_told_apart(void **state)
{
    struct buf *out = *state;
    const struct listing_entry entries[] = {
        {.name = STR_INIT("docs"), .is_dir = true}, {.name = STR_INIT("a.PNG"), .size = 1500},
        {.name = STR_INIT("b.tar.zst"), .size = 1}, {.name = STR_INIT("c."), .size = 1},
        {.name = STR_INIT("d.unknownlong")},        {.name = STR_INIT("e.md")},
    };
    listing_render_html(out, STR("/"), entries, 6);
    expect_count(out, 1, "<a class=\"d\" href=\"docs/\">");
    expect_count(out, 1, "<bdi>docs/</bdi>");
    expect_count(out, 1, "#d\"");
    expect_count(out, 1, "#i\"");
    expect_count(out, 1, "#z\"");
    expect_count(out, 1, "#t\"");
    expect_count(out, 2, "#f\"");
    expect_count(out, 1, "<p>1 folder, 5 files, 1.5 kB</p>");
}

static void
page_stands_alone_and_is_small(void **state)
{
    struct buf *out = *state;
    listing_render_html(out, STR("/x/"), NULL, 0);
    assert_true(out->len < 8192);
    expect_count(out, 1, "<script>");
    expect_count(out, 0, "http://");
    expect_count(out, 0, "https://");
    expect_count(out, 0, " style=");
    expect_count(out, 0, " onclick=");
    expect_count(out, 1, "<meta charset=\"utf-8\">");
}

static void
json_is_an_array_of_entries(void **state)
{
    struct buf *out = *state;
    const struct listing_entry entries[] = {
        {.name = STR_INIT("docs"), .is_dir = true, .mtime = 1714550000},
        {.name = STR_INIT("q\"\\\x01\xc3\xa9"), .size = 7},
        {.name = STR_INIT("bad\xff"), .size = UINT64_MAX},
    };
    listing_render_json(out, entries, 3);
    buf_append_char(out, '\0');
    assert_string_equal(
        out->ptr, "[\n{\"name\":\"docs\",\"type\":\"directory\",\"size\":0,\"mtime\":"
                  "\"2024-05-01T07:53:20Z\"},\n{\"name\":\"q\\\"\\\\\\u0001\xc3\xa9\",\"type\":"
                  "\"file\",\"size\":7,\"mtime\":null},\n{\"name\":\"bad\\ufffd\",\"type\":"
                  "\"file\",\"size\":18446744073709551615,\"mtime\":null}\n]\n");
    buf_clear(out);
    listing_render_json(out, NULL, 0);
    assert_true(str_eq(buf_str(out), STR("[]\n")));
}

static void
full_buffer_is_marked(void **state)
{
    struct buf small;
    buf_init(&small, 500);
    listing_render_html(&small, STR("/"), NULL, 0);
    assert_true(buf_overflowed(&small));
    buf_deinit(&small);
}

/* SHA-256 (FIPS 180-4), plain: the site layer has no hash of this kind, and the page needs two. */

static uint32_t
rotate(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

/* The first 32 bits of the fractional part of the square or cube root of the n-th prime. */
static uint32_t
root_bits(unsigned n, bool cube)
{
    unsigned prime = 1;
    for (unsigned found = 0; found <= n; found++) {
        bool composite = true;
        while (composite) {
            prime++;
            composite = false;
            for (unsigned d = 2; d * d <= prime; d++)
                composite |= prime % d == 0;
        }
    }
    /* The largest r with r^k <= prime << 32k, bit by bit. */
    __extension__ typedef unsigned __int128 wide;
    wide root = 0;
    for (int bit = 36; bit >= 0; bit--) {
        wide next = root | (wide)1 << bit;
        bool fits =
            cube ? next * next * next <= (wide)prime << 96 : next * next <= (wide)prime << 64;
        if (fits)
            root = next;
    }
    return (uint32_t)root;
}

static void
hash_block(uint32_t h[8], const unsigned char *block)
{
    uint32_t w[64], v[8];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + root_bits(i, true) + w[i];
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += v[i];
}

static void
sha256(struct str text, unsigned char out[static 32])
{
    uint32_t h[8];
    unsigned char tail[128] = {0};
    size_t whole = text.len / 64 * 64, left = text.len - whole;
    size_t tail_len = left < 56 ? 64 : 128;
    for (unsigned i = 0; i < 8; i++)
        h[i] = root_bits(i, false);
    for (size_t at = 0; at < whole; at += 64)
        hash_block(h, (const unsigned char *)text.ptr + at);
    memcpy(tail, text.ptr + whole, left);
    tail[left] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        tail[tail_len - 1 - i] = (unsigned char)((uint64_t)text.len * 8 >> 8 * i);
    for (size_t at = 0; at < tail_len; at += 64)
        hash_block(h, tail + at);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void
expect_hash(struct str text, const char *directive)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char hash[33] = {0};
    char want[128];
    int len = snprintf(want, sizeof want, "%s 'sha256-", directive);
    sha256(text, hash);
    for (unsigned i = 0; i < 33; i += 3) {
        uint32_t bits =
            (uint32_t)hash[i] << 16 | (uint32_t)hash[i + 1] << 8 | (i + 2 < 32 ? hash[i + 2] : 0u);
        for (int shift = 18; shift >= 0; shift -= 6)
            want[len++] = digits[bits >> shift & 63];
    }
    memcpy(want + len - 1, "='", 3); /* 32 bytes end in one sign of padding */
    if (str_find(listing_page_policy, str_from_cstr(want)) == listing_page_policy.len)
        fail_msg("the policy should say %s", want);
}

static void
policy_allows_the_style_and_script_by_their_hashes(void **state)
{
    unsigned char hash[32];
    sha256(STR("abc"), hash);
    assert_int_equal(hash[0] << 8 | hash[31], 0xbaad);
    expect_hash(listing_page_style, "style-src");
    expect_hash(listing_page_script, "script-src");
}

#define LISTING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        LISTING_TEST(names_are_escaped_in_text_and_links),
        LISTING_TEST(breadcrumb_leads_to_each_directory_above),
        LISTING_TEST(sizes_are_short_with_the_exact_one_in_the_title),
        LISTING_TEST(times_are_utc_and_unknown_ones_empty),
        LISTING_TEST(directories_and_kinds_of_files_are_told_apart),
        LISTING_TEST(page_stands_alone_and_is_small),
        LISTING_TEST(json_is_an_array_of_entries),
        LISTING_TEST(full_buffer_is_marked),
        LISTING_TEST(policy_allows_the_style_and_script_by_their_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
