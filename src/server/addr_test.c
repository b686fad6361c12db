#include "server/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

static struct addr
parsed(const char *text)
{
    struct addr addr;
    struct error error;
    if (addr_parse(&addr, text, &error) < 0)
        fail_msg("'%s' refused: %s", text, error.text);
    return addr;
}

static void
check_refused(const char *text, const char *part)
{
    struct addr addr;
    struct error error;
    if (addr_parse(&addr, text, &error) == 0)
        fail_msg("'%s' accepted as %s", text, addr.text);
    if (!strstr(error.text, part))
        fail_msg("'%s': the error '%s' does not say '%s'", text, error.text, part);
}

static void
check_url(const char *text, const char *url)
{
    char out[ADDR_TEXT_MAX + 16];
    struct addr addr = parsed(text);
    addr_print_url(&addr, "http", out, sizeof out);
    assert_string_equal(out, url);
}

static void
test_addresses_are_read_and_printed(void **state)
{
    check_url("127.0.0.1:8080", "http://127.0.0.1:8080");
    check_url("0.0.0.0:0", "http://0.0.0.0:0");
    check_url("[::1]:8080", "http://[::1]:8080");
    check_url("[0:0:0:0:0:0:0:1]:65535", "http://[::1]:65535");
    check_url("localhost:80", "http://127.0.0.1:80");
    check_url("LocalHost:80", "http://127.0.0.1:80");
    check_url("[fe80::1%lo]:80", "http://[fe80::1%lo]:80");
    check_url("unix:/run/tarn.sock", "unix:/run/tarn.sock");
    check_url("unix:@tarn", "unix:@tarn");
    check_url("fd:3", "fd:3");
}

static void
test_an_address_without_host_is_every_address(void **state)
{
    const char *texts[] = {"8080", ":8080", "*:8080"};
    for (size_t i = 0; i < 3; i++) {
        struct addr addr = parsed(texts[i]);
        assert_true(addr.wildcard);
        assert_int_equal(addr.storage.ss_family, AF_INET6);
        assert_string_equal(addr.text, "[::]:8080");
        addr_to_ipv4_any(&addr);
        assert_string_equal(addr.text, "0.0.0.0:8080");
        assert_int_equal(addr.len, sizeof(struct sockaddr_in));
    }
    assert_false(parsed("[::]:8080").wildcard);
    assert_false(parsed("0.0.0.0:8080").wildcard);
}

static void
test_socket_addresses_are_ready_for_bind(void **state)
{
    struct addr v4 = parsed("192.0.2.7:81");
    const struct sockaddr_in *in = (const struct sockaddr_in *)&v4.storage;
    assert_int_equal(in->sin_family, AF_INET);
    assert_int_equal(ntohs(in->sin_port), 81);
    assert_int_equal(ntohl(in->sin_addr.s_addr), 0xc0000207);
    assert_int_equal(v4.len, sizeof *in);

    struct addr path = parsed("unix:/a");
    const struct sockaddr_un *un = (const struct sockaddr_un *)&path.storage;
    assert_string_equal(un->sun_path, "/a");
    assert_int_equal(path.len, offsetof(struct sockaddr_un, sun_path) + 3);

    struct addr abstract = parsed("unix:@a");
    un = (const struct sockaddr_un *)&abstract.storage;
    assert_memory_equal(un->sun_path, "\0a", 2);
    assert_int_equal(abstract.len, offsetof(struct sockaddr_un, sun_path) + 2);

    assert_int_equal(parsed("fd:3").fd, 3);
    assert_int_equal(parsed("fd:3").len, 0);
}

static void
test_bad_addresses_say_what_is_right(void **state)
{
    check_refused("", "empty");
    check_refused("127.0.0.1", "127.0.0.1:8080");
    check_refused("localhost", "no port");
    check_refused("::1", "[::1]:8080");
    check_refused("::1:8080", "[::1:8080]:8080");
    check_refused("1::2::3:80", "brackets");
    check_refused("[::1]", "no port");
    check_refused("[::1]:", "no port");
    check_refused("[::1", "no port");
    check_refused("[::1]8080", "no port");
    check_refused("[127.0.0.1]:80", "no valid host");
    check_refused("[fe80::1%nosuchif]:80", "no valid host");
    check_refused("[::1%]:80", "no valid host");
    check_refused("example.com:80", "numeric address or localhost");
    check_refused("127.1:80", "no valid host");
    check_refused("127.0.0.1:", "0 to 65535");
    check_refused("127.0.0.1:65536", "0 to 65535");
    check_refused("127.0.0.1:-1", "0 to 65535");
    check_refused("127.0.0.1:008080", "0 to 65535");
    check_refused("127.0.0.1:80x", "0 to 65535");
    check_refused("65536", "no port");
    check_refused("unix:", "unix:/path");
    check_refused("unix:name", "unix:/path");
    check_refused("unix:@", "unix:/path");
    check_refused("fd:", "fd:3");
    check_refused("fd:-1", "fd:3");
    check_refused("fd:99999999999", "fd:3");
}

static void
test_unix_paths_fit_or_are_refused(void **state)
{
    char text[256] = "unix:/";
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    memset(text + 6, 'x', room - 2);
    text[5 + room - 1] = 0;
    assert_string_equal(parsed(text).text, text);
    strcat(text, "x");
    check_refused(text, "longer than 107");
}

static void
test_addresses_from_the_kernel_are_printed(void **state)
{
    struct addr addr = parsed("unix:@name"), back;
    addr_from_socket(&back, (const struct sockaddr *)&addr.storage, addr.len);
    assert_string_equal(back.text, "unix:@name");
    addr = parsed("unix:/x/y");
    addr_from_socket(&back, (const struct sockaddr *)&addr.storage, addr.len);
    assert_string_equal(back.text, "unix:/x/y");
    addr_from_socket(&back, (const struct sockaddr *)&addr.storage, sizeof(sa_family_t));
    assert_string_equal(back.text, "unix:");
    addr = parsed("[2001:db8::9]:443");
    addr_from_socket(&back, (const struct sockaddr *)&addr.storage, addr.len);
    assert_string_equal(back.text, "[2001:db8::9]:443");
    assert_int_equal(addr_port(&back), 443);
    addr_set_port(&back, 8443);
    assert_string_equal(back.text, "[2001:db8::9]:8443");
    struct sockaddr odd = {.sa_family = AF_APPLETALK};
    addr_from_socket(&back, &odd, sizeof odd);
    assert_string_equal(back.text, "unknown");
}

static void
test_host_and_port_join(void **state)
{
    char text[ADDR_TEXT_MAX];
    const char *hosts[] = {"127.0.0.1", "::1", "[::1]", "localhost", "*", NULL};
    const char *joined[] = {"127.0.0.1:80", "[::1]:80", "[::1]:80", "localhost:80", "*:80", ":80"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_true(!hosts[i] || addr_is_host(hosts[i]));
        addr_join(text, hosts[i], 80);
        assert_string_equal(text, joined[i]);
        parsed(text);
    }
    const char *bad[] = {"", "example.com", "127.0.0.1:80", "[::1]:80", "[]", "1.2.3", "unix:/x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(addr_is_host(bad[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_and_printed),
        cmocka_unit_test(test_an_address_without_host_is_every_address),
        cmocka_unit_test(test_socket_addresses_are_ready_for_bind),
        cmocka_unit_test(test_bad_addresses_say_what_is_right),
        cmocka_unit_test(test_unix_paths_fit_or_are_refused),
        cmocka_unit_test(test_addresses_from_the_kernel_are_printed),
        cmocka_unit_test(test_host_and_port_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
