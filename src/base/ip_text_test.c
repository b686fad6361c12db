#include "base/ip_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

static void
expect_ipv6(const char *address, uint32_t zone, const char *expected)
{
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(65535), .sin6_scope_id = zone};
    char text[IP_TEXT_MAX];
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    assert_int_equal(ip_text_write((const struct sockaddr *)&in6, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void
addresses_are_written_with_their_port(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    char text[IP_TEXT_MAX];
    in.sin_addr.s_addr = htonl(0xc0000201);
    assert_int_equal(ip_text_write((const struct sockaddr *)&in, text), 12);
    assert_string_equal(text, "192.0.2.1:80");
    expect_ipv6("2001:DB8::1", 0, "[2001:db8::1]:65535");
    expect_ipv6("::ffff:192.0.2.1", 0, "192.0.2.1:65535");
    expect_ipv6("::192.0.2.1", 0, "[::192.0.2.1]:65535");
    expect_ipv6("fe80::1", 7, "[fe80::1%7]:65535");
    expect_ipv6("fe80:1111:2222:3333:4444:5555:6666:7777", UINT32_MAX,
                "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535");
}

static void
other_families_have_no_text(void **state)
{
    const struct sockaddr other = {.sa_family = AF_UNIX};
    char text[IP_TEXT_MAX] = "before";
    assert_int_equal(ip_text_write(&other, text), 0);
    assert_string_equal(text, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_with_their_port),
        cmocka_unit_test(other_families_have_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
