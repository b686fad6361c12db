#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/mime.h"
#include "http/mime_table.h"

static void
test_table_is_sorted_and_long(void **state)
{
    assert_in_range(mime_entry_count, 180, 1000);
    for (size_t i = 1; i < mime_entry_count; i++)
        if (strcmp(mime_entries[i - 1].extension, mime_entries[i].extension) >= 0)
            fail_msg("%s does not belong behind %s", mime_entries[i].extension,
                     mime_entries[i - 1].extension);
}

static bool
is_type_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("+-.", c);
}

static void
test_every_row_is_well_formed(void **state)
{
    for (size_t i = 0; i < mime_entry_count; i++) {
        const struct mime_entry *entry = &mime_entries[i];
        struct str rest = entry->type;
        struct str type = str_cut(&rest, ';');
        size_t slash = str_find_char(type, '/');
        assert_in_range(slash, 1, type.len - 2);
        for (size_t j = 0; j < type.len; j++)
            assert_true(j == slash || (type.ptr[j] && is_type_char(type.ptr[j])));
        if (rest.len)
            assert_true(str_eq(rest, STR(" charset=utf-8")));
        for (const char *p = entry->extension; *p; p++)
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9'));
    }
}

/* text, JSON and XML carry the charset, and nothing else does. */
static void
test_charset_rule(void **state)
{
    for (size_t i = 0; i < mime_entry_count; i++) {
        struct str rest = mime_entries[i].type;
        struct str type = str_cut(&rest, ';');
        bool is_application = str_starts_with(type, STR("application/"));
        bool is_json = str_find(type, STR("/json")) < type.len || str_ends_with(type, STR("+json"));
        bool is_xml = str_ends_with(type, STR("/xml")) || str_ends_with(type, STR("+xml"));
        bool wanted =
            str_starts_with(type, STR("text/")) || (is_application && (is_json || is_xml));
        if (wanted != (rest.len > 0))
            fail_msg("%s: %.*s", mime_entries[i].extension, STR_ARG(mime_entries[i].type));
    }
}

static void
test_every_row_is_found_in_any_case(void **state)
{
    for (size_t i = 0; i < mime_entry_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "dir.d/a.%s", mime_entries[i].extension);
        assert_true(str_eq(mime_type(str_from_cstr(name)), mime_entries[i].type));
        for (char *p = name; *p; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        assert_true(str_eq(mime_type(str_from_cstr(name)), mime_entries[i].type));
    }
}

static void
test_types(void **state)
{
    static const char *const cases[][2] = {
        {"index.html", "text/html; charset=utf-8"},
        {"app.js", "text/javascript; charset=utf-8"},
        {"app.mjs", "text/javascript; charset=utf-8"},
        {"app.js.map", "application/json; charset=utf-8"},
        {"style.css", "text/css; charset=utf-8"},
        {"a.json", "application/json; charset=utf-8"},
        {"a.xml", "application/xml; charset=utf-8"},
        {"a.xhtml", "application/xhtml+xml; charset=utf-8"},
        {"feed.rss", "application/rss+xml; charset=utf-8"},
        {"feed.atom", "application/atom+xml; charset=utf-8"},
        {"site.webmanifest", "application/manifest+json; charset=utf-8"},
        {"a.geojson", "application/geo+json; charset=utf-8"},
        {"a.jsonld", "application/ld+json; charset=utf-8"},
        {"logo.svg", "image/svg+xml"},
        {"a.wasm", "application/wasm"},
        {"a.avif", "image/avif"},
        {"a.jxl", "image/jxl"},
        {"favicon.ico", "image/x-icon"},
        {"a.woff2", "font/woff2"},
        {"a.opus", "audio/ogg"},
        {"a.m3u8", "application/vnd.apple.mpegurl"},
        {"a.mpd", "application/dash+xml; charset=utf-8"},
        {"a.ts", "video/mp2t"},
        {"a.md", "text/markdown; charset=utf-8"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.tar.gz", "application/gzip"},
        {"a.tar.zst", "application/zstd"},
        {"a.glb", "model/gltf-binary"},
        {"README", "text/plain; charset=utf-8"},
        {"docs/license", "text/plain; charset=utf-8"},
        {".well-known/apple-app-site-association", "application/json; charset=utf-8"},
        {"v1.html/data", "application/octet-stream"},
        {"a.", "application/octet-stream"},
        {"a.unknown", "application/octet-stream"},
        {"a.a-very-long-extension-indeed", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"/", "application/octet-stream"},
        {".", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str type = mime_type(str_from_cstr(cases[i][0]));
        if (!str_eq(type, str_from_cstr(cases[i][1])))
            fail_msg("%s: %.*s", cases[i][0], STR_ARG(type));
    }
}

static void
test_compressible(void **state)
{
    static const char *const yes[] = {
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/CSS",
        "application/json",
        "application/json ; x=y",
        "application/ld+json",
        "application/xml",
        "application/rss+xml",
        "image/svg+xml",
        "text/javascript",
        "application/javascript",
        "application/wasm",
        "font/ttf",
        "font/otf",
        "image/x-icon",
        "application/yaml",
        "model/gltf+JSON",
        "application/vnd.ms-fontobject",
    };
    static const char *const no[] = {
        "",
        "text",
        "image/png",
        "image/webp",
        "font/woff",
        "font/woff2",
        "video/mp4",
        "application/zip",
        "application/gzip",
        "application/pdf",
        "application/octet-stream",
        "application/epub+zip",
        "json",
        "application/octet-stream; name=a+json",
    };
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!mime_is_compressible(str_from_cstr(yes[i])))
            fail_msg("not compressible: %s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (mime_is_compressible(str_from_cstr(no[i])))
            fail_msg("compressible: %s", no[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sorted_and_long),
        cmocka_unit_test(test_every_row_is_well_formed),
        cmocka_unit_test(test_charset_rule),
        cmocka_unit_test(test_every_row_is_found_in_any_case),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_compressible),
    };
    return cmocka_run_group_tests_name("mime", tests, NULL, NULL);
}
