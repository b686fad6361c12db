#include "site/cache_rule.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
hashes_in_names_are_seen(void **state)
{
    static const char *const names[] = {
        "app.3f9a1c2b.js",       "app-3F9A1C2B.min.js",  "3f9a1c2b.js",
        "main_3f9a1c2b4d.css",   "index-BkX9d3Qz.js",    "index-BkX9d3Qz.js.map",
        "logo.D4x_9-aB.svg",     "index-BkX9d3Qz.js.gz", "chunk.3f9a1c2b.js.map",
        "a.0123456789abcdef.js",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!cache_rule_name_has_hash(str_from_cstr(names[i])))
            fail_msg("%s has a hash", names[i]);
}

static void
ordinary_names_are_not_taken_for_hashed(void **state)
{
    static const char *const names[] = {
        "index.html",
        "style.css",
        "report-20240115.pdf",
        "report.20240115.pdf",
        "book-Chapter1.pdf",
        "trip-IMG_0042.jpg",
        "trip-DSC01234.jpg",
        "facade.deadbeef.js",
        "app.3f9a1c2b",
        "app.3f9a1c2.js",
        "app.3F9a1C2b.txt.js",
        "phone-iPhone15.png",
        "app-Version2.js",
        "index-abcdefgh.js",
        "indexBkX9d3Qz.js",
        "index-BkX9d3Qz1.js",
        "",
        ".",
        "-",
        "a.b",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (cache_rule_name_has_hash(str_from_cstr(names[i])))
            fail_msg("%s has no hash", names[i]);
}

static void
html_is_always_asked_for_again(void **state)
{
    assert_true(str_eq(cache_rule_value(STR("page.3f9a1c2b.html"), STR("text/html; charset=utf-8")),
                       STR("no-cache")));
    assert_true(str_eq(cache_rule_value(STR("app.3f9a1c2b.js"), STR("text/javascript")),
                       STR("public, max-age=31536000, immutable")));
    assert_true(str_eq(cache_rule_value(STR("logo.svg"), STR("image/svg+xml")),
                       STR("public, max-age=3600")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_in_names_are_seen),
        cmocka_unit_test(ordinary_names_are_not_taken_for_hashed),
        cmocka_unit_test(html_is_always_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
