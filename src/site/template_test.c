/* Places for metadata in pages: what is one, where they are found at load, escaping. */
#include "site/site_test_run.h"
#include "site/template.h"

#include "base/arena.h"
#include "base/limits.h"

enum { ARENA_MAX = 64 << 20 };

struct page {
    struct arena arena;
    const struct site_template *template;
    struct str text;
    struct error error;
};

static int
look(struct page *page, struct str text)
{
    arena_init(&page->arena, ARENA_MAX, 4096);
    page->text = text;
    return site_template_find(text, &page->arena, &page->template, &page->error);
}

/* What the page becomes when each key is its own value, in brackets. */
static void
assert_becomes(const char *text, const char *wanted)
{
    char got[1024];
    size_t len = 0, from = 0;
    struct page page;
    assert_int_equal(look(&page, str_from_cstr(text)), 0);
    uint32_t count = page.template ? page.template->hole_count : 0;
    for (uint32_t i = 0; i <= count; i++) {
        size_t to = i < count ? page.template->holes[i].off : page.text.len;
        len += (size_t)snprintf(got + len, sizeof got - len, "%.*s", (int)(to - from),
                                page.text.ptr + from);
        if (i == count)
            break;
        const struct site_slot *slot = &page.template->slots[page.template->holes[i].slot];
        len += (size_t)snprintf(got + len, sizeof got - len, "[%s%.*s]", slot->raw ? "!" : "",
                                STR_ARG(slot->key));
        from = to + page.template->holes[i].len;
    }
    assert_string_equal(got, wanted);
    arena_deinit(&page.arena);
}

static void
tags_are_found(void **state)
{
    assert_becomes("", "");
    assert_becomes("no tag", "no tag");
    assert_becomes("<zs-meta>a</zs-meta>", "[a]");
    assert_becomes("x<zs-meta>a</zs-meta>y<zs-meta>b</zs-meta>z", "x[a]y[b]z");
    assert_becomes("<zs-meta>a</zs-meta><zs-meta>a</zs-meta>", "[a][a]");
    assert_becomes("<zs-meta> a b\t\n</zs-meta>", "[a b]");
    assert_becomes("<zs-meta></zs-meta>", "[]");
    assert_becomes("<zs-meta raw>a</zs-meta>", "[!a]");
    assert_becomes("<zs-meta  raw >a</zs-meta>", "[!a]");
    assert_becomes("<zs-meta raw>a</zs-meta><zs-meta>a</zs-meta>", "[!a][a]");
    assert_becomes("<zs-meta>a<zs-meta>b</zs-meta>c", "[a<zs-meta>b]c");
    assert_becomes("<zs-meta>a</zs-meta></zs-meta>", "[a]</zs-meta>");
}

static void
what_is_no_tag_stays(void **state)
{
    static const char *const texts[] = {
        "<zs-meta>",
        "<zs-meta>a",
        "<zs-meta>a</zs-meta",
        "<zs-meta",
        "<zs-metal>a</zs-meta>",
        "<zs-meta x>a</zs-meta>",
        "<zs-metaraw>a</zs-meta>",
        "<zs-meta >a</zs-meta>",
        "<zs-meta rawx>a</zs-meta>",
        "<ZS-META>a</ZS-META>",
        "</zs-meta>",
    };
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_becomes(texts[i], texts[i]);
    /* One that is closed behind one that is none. */
    assert_becomes("<zs-meta x><zs-meta>a</zs-meta>", "<zs-meta x>[a]");
    assert_becomes("<zs-meta>a</zs-meta><zs-meta>b", "[a]<zs-meta>b");
}

static void
places_with_one_key_share_a_slot(void **state)
{
    struct page page;
    assert_int_equal(look(&page, STR("<zs-meta>a</zs-meta><zs-meta>b</zs-meta>"
                                     "<zs-meta> a </zs-meta><zs-meta raw>a</zs-meta>")),
                     0);
    assert_int_equal(page.template->hole_count, 4);
    assert_int_equal(page.template->slot_count, 3);
    assert_int_equal(page.template->holes[0].slot, page.template->holes[2].slot);
    arena_deinit(&page.arena);
}

static void
keys_and_rawness_are_told_apart(void **state)
{
    char text[16 << 10];
    size_t len = 0;
    struct page page;
    for (unsigned i = 0; i < 200; i++)
        len += (size_t)sprintf(text + len, "<zs-meta%s>k%u</zs-meta>", i % 2 ? " raw" : "", i / 2);
    assert_int_equal(look(&page, str_make(text, len)), 0);
    assert_int_equal(page.template->slot_count, 200);
    arena_deinit(&page.arena);
}

static void
places_and_pages_have_a_limit(void **state)
{
    static const char tag[] = "<zs-meta>key</zs-meta>";
    size_t len = (SITE_TEMPLATE_HOLES_MAX + 1) * (sizeof tag - 1);
    char *text = malloc(len);
    struct page page;
    for (size_t i = 0; i <= SITE_TEMPLATE_HOLES_MAX; i++)
        memcpy(text + i * (sizeof tag - 1), tag, sizeof tag - 1);
    assert_int_equal(look(&page, str_make(text, len - sizeof tag + 1)), 0);
    assert_int_equal(page.template->hole_count, SITE_TEMPLATE_HOLES_MAX);
    assert_int_equal(page.template->slot_count, 1);
    arena_deinit(&page.arena);
    assert_int_equal(look(&page, str_make(text, len)), -1);
    assert_non_null(strstr(page.error.text, "4096"));
    arena_deinit(&page.arena);
    free(text);
    text = calloc(1, SITE_TEMPLATE_LEN_MAX + 1);
    memcpy(text, tag, sizeof tag - 1);
    assert_int_equal(look(&page, str_make(text, SITE_TEMPLATE_LEN_MAX)), 0);
    assert_non_null(page.template);
    arena_deinit(&page.arena);
    assert_int_equal(look(&page, str_make(text, SITE_TEMPLATE_LEN_MAX + 1)), 0);
    assert_null(page.template);
    arena_deinit(&page.arena);
    free(text);
}

/* A scan that began anew at each of them would not end in a lifetime of a test. */
static void
many_tags_that_are_not_closed_cost_little(void **state)
{
    size_t len = 8 << 20;
    char *text = malloc(len);
    struct page page;
    for (size_t i = 0; i < len; i++)
        text[i] = "<zs-meta>"[i % 9];
    assert_int_equal(look(&page, str_make(text, len)), 0);
    assert_null(page.template);
    arena_deinit(&page.arena);
    for (size_t i = 0; i < len; i++)
        text[i] = "<zs-meta "[i % 9];
    assert_int_equal(look(&page, str_make(text, len)), 0);
    assert_null(page.template);
    arena_deinit(&page.arena);
    free(text);
}

static void
html_and_xml_have_places(void **state)
{
    static const char *const yes[] = {"text/html",
                                      "text/html; charset=utf-8",
                                      "TEXT/HTML ;charset=x",
                                      "application/xhtml+xml",
                                      "text/xml",
                                      "application/xml",
                                      "image/svg+xml",
                                      "application/atom+xml; charset=utf-8"};
    static const char *const no[] = {"",     "text/plain", "text/htmlx", "application/json",
                                     "+xml", "text/css",   "xml",        "text/javascript"};
    for (unsigned i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(site_template_type(str_from_cstr(yes[i])));
    for (unsigned i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(site_template_type(str_from_cstr(no[i])));
}

static void
lines_that_depend_on_content_are_left_out(void **state)
{
    struct arena arena;
    arena_init(&arena, 4096, 4096);
    struct str lines = site_template_lines(STR("Content-Length: 3\r\nContent-Type: text/html\r\n"
                                               "Accept-Ranges: bytes\r\netag: \"x\"\r\n"
                                               "Last-Modified: y\r\nX-A: 1\r\n"
                                               "Cache-Control: public\r\nVary: Cookie\r\n"),
                                           &arena);
    assert_str(lines, "X-A: 1\r\nVary: Cookie\r\n");
    lines = site_template_lines(STR("ETag: \"x\"\r\n"), &arena);
    assert_true(lines.ptr && lines.len == 0);
    arena_deinit(&arena);
}

static void
values_are_escaped(void **state)
{
    static const char value[] = "a<b>\"c\"&'d'\xc3\xa4",
                      wanted[] = "a&lt;b&gt;&quot;c&quot;&amp;&#39;d&#39;\xc3\xa4";
    char out[128];
    struct str text = str_make(value, sizeof value - 1);
    assert_int_equal(site_template_escaped_len(text), sizeof wanted - 1);
    assert_ptr_equal(site_template_escape(text, out), out + sizeof wanted - 1);
    assert_memory_equal(out, wanted, sizeof wanted - 1);
    assert_int_equal(site_template_escaped_len(STR("")), 0);
}

/* --- at load --- */

static void
pages_are_looked_at_when_a_site_wants_it(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf '<zs-meta>a</zs-meta>' >a.html && cp a.html a.txt && "
                 "cp a.html a.svg && printf plain >b.html && mkdir d && cp a.html d/index.html");
    load(fixture);
    assert_null(find_rep(fixture, "/a.html", 0)->template);
    fixture->config.templates = true;
    load(fixture);
    assert_non_null(find_rep(fixture, "/a.html", 0)->template);
    assert_non_null(find_rep(fixture, "/a.svg", 0)->template);
    assert_non_null(find_rep(fixture, "/d/", 0)->template);
    assert_null(find_rep(fixture, "/a.txt", 0)->template);
    assert_null(find_rep(fixture, "/b.html", 0)->template);
    assert_str(find_rep(fixture, "/a.html", 0)->template_lines,
               "X-Content-Type-Options: nosniff\r\n");
    fixture->config.preload_max = 10;
    load(fixture);
    assert_null(find_rep(fixture, "/a.html", 0)->template);
}

static void
rules_of_a_page_are_in_its_lines(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf '<zs-meta>a</zs-meta>' >a.html && gzip -k a.html && "
                 "printf '/a.html\\n  X-A: 1\\n  Cache-Control: public, max-age=9\\n"
                 "/b.txt\\n  Content-Type: text/html\\n' >_headers && cp a.html b.txt");
    fixture->config.templates = true;
    load(fixture);
    struct str lines = find_rep(fixture, "/a.html", 0)->template_lines;
    assert_true(str_find(lines, STR("X-A: 1\r\n")) < lines.len);
    assert_true(str_find(lines, STR("Vary: Accept-Encoding\r\n")) < lines.len);
    assert_int_equal(str_find(lines, STR("Cache-Control")), lines.len);
    assert_non_null(find_rep(fixture, "/b.txt", 0)->template);
}

static void
too_many_places_fail_the_load(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && for i in $(seq 4097); do printf '<zs-meta>k</zs-meta>'; done >a.html");
    fixture->config.templates = true;
    load_must_fail(fixture, "'/a.html': more than 4096 places for metadata");
}

static void
files_are_found_in_order(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir -p d/e && : >d/a && : >d/e/f && : >d-1 && : >d/index.html");
    load(fixture);
    assert_int_equal(site_file_count(fixture->site), 4);
    static const char *const paths[] = {"/d-1", "/d/a", "/d/e/f", "/d/index.html"};
    for (unsigned i = 0; i < 4; i++) {
        assert_str(site_file(fixture->site, i)->path, paths[i]);
        assert_int_equal(site_file_from(fixture->site, str_from_cstr(paths[i])), i);
        assert_ptr_equal(site_find_file(fixture->site, str_from_cstr(paths[i])),
                         site_file(fixture->site, i));
    }
    assert_int_equal(site_file_from(fixture->site, STR("/d/")), 1);
    assert_int_equal(site_file_from(fixture->site, STR("/d0")), 4);
    assert_int_equal(site_file_from(fixture->site, STR("")), 0);
    assert_null(site_find_file(fixture->site, STR("/d/")));
    assert_null(site_find_file(fixture->site, STR("/d")));
    assert_null(site_find_file(fixture->site, STR("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_found),
        cmocka_unit_test(what_is_no_tag_stays),
        cmocka_unit_test(places_with_one_key_share_a_slot),
        cmocka_unit_test(keys_and_rawness_are_told_apart),
        cmocka_unit_test(places_and_pages_have_a_limit),
        cmocka_unit_test(many_tags_that_are_not_closed_cost_little),
        cmocka_unit_test(html_and_xml_have_places),
        cmocka_unit_test(lines_that_depend_on_content_are_left_out),
        cmocka_unit_test(values_are_escaped),
        cmocka_unit_test_setup_teardown(pages_are_looked_at_when_a_site_wants_it, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_of_a_page_are_in_its_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_places_fail_the_load, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_found_in_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
