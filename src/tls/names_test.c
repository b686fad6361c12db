#include "tls/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static void
check_host(const char *host, const char *key)
{
    struct tls_name name;
    tls_name_of_host(&name, str_from_cstr(host));
    if (!str_eq(name.key, str_from_cstr(key)))
        fail_msg("%s: '%.*s', not '%s'", host, STR_ARG(name.key), key);
}

static void
hosts_become_keys(void **state)
{
    char longest[260];
    check_host("Example.COM", "example.com");
    check_host("example.com.", "example.com");
    check_host("localhost", "localhost");
    check_host("127.0.0.1", "127.0.0.1");
    check_host("::1", "::1");
    check_host("[::1]", "::1");
    check_host("[0:0:0:0:0:0:0:1]", "::1");
    check_host("2001:DB8::0:1", "2001:db8::1");
    check_host("127.0.0.1.", "127.0.0.1");
    check_host("", "");
    check_host(".", "");
    check_host("a..", "a.");
    check_host(".a", "");
    check_host("*.a", "");
    check_host("a b", "");
    check_host("a\xc3\xa4", "");
    memset(longest, 'a', sizeof longest);
    longest[253] = '\0';
    check_host(longest, longest);
    longest[253] = 'a', longest[254] = '\0';
    check_host(longest, "");
}

static void
names_of_certificates_become_keys(void **state)
{
    static const char *const cases[][2] = {
        {"A.test", "a.test"},
        {"*.A.test", "*.a.test"},
        {"*.*.test", ""},
        {"a*.test", ""},
        {"*", ""},
        {"*.", ""},
        {"127.0.0.1", ""},
        {"*.127.0.0.1", ""},
        {"::1", ""},
        {"127.0.0.1.", ""},
        {"*.a.test.", "*.a.test"},
    };
    struct tls_name name;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tls_name_of_dns(&name, str_from_cstr(cases[i][0]));
        if (!str_eq(name.key, str_from_cstr(cases[i][1])))
            fail_msg("%s: '%.*s'", cases[i][0], STR_ARG(name.key));
    }
    tls_name_of_address(&name, "\x7f\0\0\1", 4);
    assert_true(str_eq(name.key, STR("127.0.0.1")));
    tls_name_of_address(&name, "\x7f\0\0\1", 3);
    assert_int_equal(name.key.len, 0);
}

/* Certificates with up to two names each; the list ends without a file. */
struct shelf {
    struct tls_cert list[8];
    struct str names[8][2];
    struct tls_certs certs;
    struct tls_names *index;
};

static void
put(struct shelf *shelf, const char *file, const char *a, const char *b, int64_t from, int64_t to)
{
    size_t i = shelf->certs.count++;
    shelf->names[i][0] = str_from_cstr(a);
    shelf->names[i][1] = str_from_cstr(b);
    shelf->list[i] = (struct tls_cert){.file = file,
                                       .names = shelf->names[i],
                                       .name_count = b ? 2 : 1,
                                       .not_before_s = from,
                                       .not_after_s = to};
    shelf->certs.list = shelf->list;
}

static void
check(const struct shelf *shelf, const char *host, const char *file)
{
    struct tls_name name;
    tls_name_of_host(&name, str_from_cstr(host));
    const struct tls_cert *cert = tls_names_find(shelf->index, &name, NOW);
    const char *found = cert ? cert->file : "none", *wanted = file ? file : "none";
    if (strcmp(found, wanted) != 0)
        fail_msg("%s: %s, not %s", host, found, wanted);
    for (size_t i = 0; i < shelf->certs.count; i++)
        if (tls_cert_covers(&shelf->list[i], str_from_cstr(host)))
            assert_non_null(cert);
    if (cert)
        assert_true(tls_cert_covers(cert, str_from_cstr(host)));
}

static void
the_choice_follows_the_table(void **state)
{
    struct shelf shelf = {0};
    put(&shelf, "wild", "*.a.test", NULL, 0, NOW + 1);
    put(&shelf, "exact expired", "x.a.test", "old.test", 0, NOW - 1);
    put(&shelf, "exact", "w.a.test", "two.test", 0, NOW + 1);
    put(&shelf, "two later", "two.test", "old.test", 0, NOW + 100);
    put(&shelf, "address", "127.0.0.1", "::1", 0, NOW + 1);
    put(&shelf, "future", "f.test", NULL, NOW + 1, NOW + 9);
    put(&shelf, "now", "f.test", NULL, NOW, NOW);
    shelf.index = tls_names_new(&shelf.certs);
    check(&shelf, "w.a.test", "exact");
    check(&shelf, "W.A.Test.", "exact");
    check(&shelf, "x.a.test", "exact expired");
    check(&shelf, "y.a.test", "wild");
    check(&shelf, "a.test", NULL);
    check(&shelf, "z.y.a.test", NULL);
    check(&shelf, "*.a.test", NULL);
    check(&shelf, ".a.test", NULL);
    check(&shelf, "two.test", "exact");
    check(&shelf, "old.test", "two later");
    check(&shelf, "127.0.0.1", "address");
    check(&shelf, "[::1]", "address");
    check(&shelf, "0:0::1", "address");
    check(&shelf, "127.0.0.2", NULL);
    check(&shelf, "f.test", "now");
    check(&shelf, "", NULL);
    check(&shelf, "none.test", NULL);
    tls_names_free(shelf.index);
}

static void
an_expired_one_serves_when_there_is_no_other(void **state)
{
    struct shelf shelf = {0};
    put(&shelf, "first", "a.test", NULL, 0, 1);
    put(&shelf, "second", "a.test", NULL, 0, 2);
    shelf.index = tls_names_new(&shelf.certs);
    check(&shelf, "a.test", "first");
    tls_names_free(shelf.index);
}

static void
many_names_are_found_in_no_time(void **state)
{
    enum { COUNT = 20000, ROUNDS = 10 };
    struct tls_cert *list = calloc(COUNT, sizeof *list);
    struct str *names = calloc(COUNT, sizeof *names);
    char(*texts)[32] = calloc(COUNT, sizeof *texts);
    const struct tls_certs certs = {.list = list, .count = COUNT};
    struct tls_name host;
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], i % 2 ? "*.n%u.test" : "n%u.test", i);
        names[i] = str_from_cstr(texts[i]);
        list[i] = (struct tls_cert){.names = &names[i], .name_count = 1, .not_after_s = NOW};
    }
    struct tls_names *index = tls_names_new(&certs);
    clock_t start = clock();
    for (unsigned i = 0; i < ROUNDS * COUNT; i++) {
        char text[32];
        unsigned k = i * 7919u % COUNT;
        int len = snprintf(text, sizeof text, k % 2 ? "x.n%u.test" : "n%u.test", k);
        tls_name_of_host(&host, str_make(text, (size_t)len));
        assert_ptr_equal(tls_names_find(index, &host, NOW), &list[k]);
    }
    double ns = (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / (ROUNDS * COUNT);
    print_message("  %u names: %.0f ns a lookup, with its text\n", COUNT, ns);
    assert_true(ns < 20000);
    tls_names_free(index);
    free(list);
    free(names);
    free(texts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_become_keys),
        cmocka_unit_test(names_of_certificates_become_keys),
        cmocka_unit_test(the_choice_follows_the_table),
        cmocka_unit_test(an_expired_one_serves_when_there_is_no_other),
        cmocka_unit_test(many_names_are_found_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
