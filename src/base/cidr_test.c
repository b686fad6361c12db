#include "base/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

static struct sockaddr_storage
address(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(8080);
        return out;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(8080);
    in6->sin6_scope_id = 2;
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
        fail_msg("bad test address %s", text);
    return out;
}

static bool
list_has(const struct cidr_list *list, const char *text)
{
    struct sockaddr_storage storage = address(text);
    return cidr_list_has(list, (const struct sockaddr *)&storage);
}

static bool
is_guarded(const char *text)
{
    struct sockaddr_storage storage = address(text);
    return address_is_guarded((const struct sockaddr *)&storage);
}

static void
assert_in(const char *networks, const char *text, bool expected)
{
    struct cidr_list list = {0};
    struct error error;
    if (cidr_list_add(&list, str_from_cstr(networks), &error) < 0)
        fail_msg("%s: %s", networks, error.text);
    if (list_has(&list, text) != expected)
        fail_msg("%s %s %s", text, expected ? "is not in" : "is in", networks);
}

static void
edges_of_networks(void **state)
{
    static const struct {
        const char *network, *in, *out;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", "9.255.255.255"},
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
        {"192.168.4.0/22", "192.168.7.255", "192.168.8.0"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.6/31", "192.0.2.7", "192.0.2.8"},
        {"128.0.0.0/1", "255.255.255.255", "127.255.255.255"},
        {"fd00::/8", "fdff:ffff::1", "fe00::"},
        {"fe80::/10", "febf::1", "fec0::1"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
        {"2001:db8::2/127", "2001:db8::3", "2001:db8::1"},
        {"2001:DB8::/32", "2001:db8::", "2001:db9::"},
        {"0.0.0.0/0", "203.0.113.9", "2001:db8::1"},
        {"::/0", "2001:db8::1", "203.0.113.9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_in(cases[i].network, cases[i].in, true);
        assert_in(cases[i].network, cases[i].out, false);
    }
}

static void
mapped_addresses_are_ipv4(void **state)
{
    assert_in("10.0.0.0/8", "::ffff:10.1.2.3", true);
    assert_in("10.0.0.0/8", "::ffff:11.1.2.3", false);
    assert_in("::ffff:10.0.0.0/104", "10.1.2.3", true);
    assert_in("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true);
    assert_in("::ffff:10.0.0.0/104", "11.1.2.3", false);
    assert_in("::ffff:192.0.2.1", "192.0.2.1", true);
    assert_in("::ffff:0:0/96", "192.0.2.1", true);
    assert_in("::/0", "::ffff:10.1.2.3", false);
    assert_in("::/80", "::ffff:10.1.2.3", false);
    assert_in("::/80", "::1", true);
    /* Only looks like one. */
    assert_in("10.0.0.0/8", "::fffe:10.1.2.3", false);
    assert_in("10.0.0.0/8", "::10.1.2.3", false);
    assert_in("10.0.0.0/8", "a00::1", false);
}

static void
lists_add_up(void **state)
{
    struct cidr_list list = {0};
    struct error error;
    assert_false(list_has(&list, "10.0.0.1"));
    assert_int_equal(cidr_list_add(&list, STR("10.0.0.0/8, fd00::/8\t,192.0.2.7"), &error), 0);
    assert_int_equal(cidr_list_add(&list, STR(" 198.51.100.0/24 "), &error), 0);
    assert_int_equal(list.count, 4);
    assert_true(list_has(&list, "10.9.9.9"));
    assert_true(list_has(&list, "fd12::1"));
    assert_true(list_has(&list, "192.0.2.7"));
    assert_true(list_has(&list, "198.51.100.255"));
    assert_false(list_has(&list, "198.51.101.0"));
}

static void
errors_say_what_is_wrong(void **state)
{
    static const char *const cases[][2] = {
        {"10.1.2.3/8", "'10.1.2.3/8' has bits set behind its prefix; the network is 10.0.0.0/8"},
        {"192.168.1.130/25",
         "'192.168.1.130/25' has bits set behind its prefix; the network is 192.168.1.128/25"},
        {"10.0.0.1/0", "'10.0.0.1/0' has bits set behind its prefix; the network is 0.0.0.0/0"},
        {"fd00::1/8", "'fd00::1/8' has bits set behind its prefix; the network is fd00::/8"},
        {"fe81::/9", "'fe81::/9' has bits set behind its prefix; the network is fe80::/9"},
        {"::ffff:10.1.2.3/104",
         "'::ffff:10.1.2.3/104' has bits set behind its prefix; the network is 10.0.0.0/8"},
        {"10.0.0.0/33", "'10.0.0.0/33': the prefix of an IPv4 network is a number from 0 to 32"},
        {"10.0.0.0/", "'10.0.0.0/': the prefix of an IPv4 network is a number from 0 to 32"},
        {"10.0.0.0/-1", "'10.0.0.0/-1': the prefix of an IPv4 network is a number from 0 to 32"},
        {"10.0.0.0/0008",
         "'10.0.0.0/0008': the prefix of an IPv4 network is a number from 0 to 32"},
        {"10.0.0.0/255.0.0.0",
         "'10.0.0.0/255.0.0.0': the prefix of an IPv4 network is a number from 0 to 32"},
        {"fd00::/129", "'fd00::/129': the prefix of an IPv6 network is a number from 0 to 128"},
        {"", "an empty network; write 10.0.0.0/8 or fd00::/8"},
        {"10.0.0.0/8,", "an empty network; write 10.0.0.0/8 or fd00::/8"},
        {",10.0.0.0/8", "an empty network; write 10.0.0.0/8 or fd00::/8"},
        {"10/8", "'10/8' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"/8", "'/8' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"localhost", "'localhost' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"[::1]", "'[::1]' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"fe80::1%lo", "'fe80::1%lo' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"1.2.3.4 5.6.7.8",
         "'1.2.3.4 5.6.7.8' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
        {"10.0.0.0/8,x", "'x' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cidr_list list = {0};
        struct error error;
        assert_int_equal(cidr_list_add(&list, str_from_cstr(cases[i][0]), &error), -1);
        assert_string_equal(error.text, cases[i][1]);
        assert_int_equal(list.count, 0);
    }
    struct cidr_list list = {0};
    struct error error;
    assert_int_equal(cidr_list_add(&list, STR("10.0.0.0\0/8"), &error), -1);
    assert_int_equal(
        cidr_list_add(&list, STR("1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"), &error), -1);
}

static void
list_is_bounded(void **state)
{
    struct cidr_list list = {0};
    struct error error;
    for (int i = 0; i < CIDR_LIST_MAX; i++)
        assert_int_equal(cidr_list_add(&list, STR("192.0.2.7"), &error), 0);
    assert_int_equal(cidr_list_add(&list, STR("10.0.0.0/8"), &error), -1);
    assert_string_equal(error.text, "more than 256 networks");
    assert_int_equal(list.count, CIDR_LIST_MAX);
    assert_false(list_has(&list, "10.0.0.1"));
}

static void
other_families_are_in_no_list(void **state)
{
    struct cidr_list list = {0};
    struct error error;
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
    struct sockaddr unknown = {.sa_family = AF_UNSPEC};
    assert_int_equal(cidr_list_add(&list, STR("0.0.0.0/0,::/0"), &error), 0);
    assert_false(cidr_list_has(&list, (const struct sockaddr *)&unix_address));
    assert_false(cidr_list_has(&list, &unknown));
    assert_true(address_is_guarded((const struct sockaddr *)&unix_address));
    assert_true(address_is_guarded(&unknown));
}

static void
guarded_addresses(void **state)
{
    static const char *const cases[] = {
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::8.8.8.8", /* IPv4-compatible: no longer in use at all */
        "fe80::1",
        "febf:ffff::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::ffff:224.1.1.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::",
        "2002:7f00:1::",
        "2002:7f00:1::1234",
        "2002:a9fe:a9fe::1",
        "2002::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:ec2:ffff::1",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!is_guarded(cases[i]))
            fail_msg("%s is not guarded", cases[i]);
}

static void
ordinary_addresses(void **state)
{
    static const char *const cases[] = {
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.199",
        "1.0.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "223.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "192.0.0.191",
        "fd00::1",
        "fd00:ec1::254",
        "fd20:ce::253",
        "fc00::1",
        "fec0::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b::1:127.0.0.1", /* outside the /96 */
        "2002:a00:1::1",        /* 10.0.0.1 */
        "2002:808:808::7f00:1", /* the address is in front */
        "2003:7f00:1::",
        "0:0:0:0:0:1::",
        "1::1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is_guarded(cases[i]))
            fail_msg("%s is guarded", cases[i]);
}

static void
one_network_may_have_bits_behind_its_prefix(void **state)
{
    static const struct {
        const char *network, *in, *out;
    } cases[] = {
        {"10.1.2.3/8", "10.255.0.1", "11.1.2.3"},
        {" 192.0.2.7 ", "192.0.2.7", "192.0.2.8"},
        {"192.0.2.7/31", "192.0.2.6", "192.0.2.8"},
        {"2001:db8::1/64", "2001:db8::ffff", "2001:db8:0:1::"},
        {"::ffff:10.1.2.3/104", "10.9.9.9", "11.1.2.3"},
        {"10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"},
        {"1.2.3.4/0", "203.0.113.9", "2001:db8::1"},
    };
    static const char *const bad[] = {
        "",       "10.0.0.0/33",           "10.0.0.0/",   "fe80::1%eth0",
        "a.test", "10.0.0.0/8,11.0.0.0/8", "10.0.0.0/-1", "::/129"};
    struct cidr network;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage in = address(cases[i].in), out = address(cases[i].out);
        assert_true(cidr_parse(str_from_cstr(cases[i].network), &network));
        assert_true(cidr_has(&network, (const struct sockaddr *)&in));
        assert_false(cidr_has(&network, (const struct sockaddr *)&out));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(cidr_parse(str_from_cstr(bad[i]), &network));
    const struct sockaddr other = {.sa_family = AF_UNIX};
    assert_true(cidr_parse(STR("0.0.0.0/0"), &network));
    assert_false(cidr_has(&network, &other));
}

/* Every prefix length, against arithmetic on whole numbers. */
static void
prefixes_agree_with_numbers(void **state)
{
    srandom(1);
    for (unsigned bits = 0; bits <= 32; bits++) {
        for (int round = 0; round < 200; round++) {
            uint32_t mask = bits ? UINT32_MAX << (32 - bits) : 0;
            uint32_t network = ((uint32_t)random() << 1 ^ (uint32_t)random()) & mask;
            uint32_t host = network ^ (round % 2 ? 1U << (unsigned)random() % 32 : 0);
            char text[INET_ADDRSTRLEN], option[32];
            struct in_addr in = {htonl(network)};
            snprintf(option, sizeof option, "%s/%u", inet_ntop(AF_INET, &in, text, sizeof text),
                     bits);
            in.s_addr = htonl(host);
            inet_ntop(AF_INET, &in, text, sizeof text);
            assert_in(option, text, (host & mask) == network);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_of_networks),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(lists_add_up),
        cmocka_unit_test(errors_say_what_is_wrong),
        cmocka_unit_test(list_is_bounded),
        cmocka_unit_test(other_families_are_in_no_list),
        cmocka_unit_test(guarded_addresses),
        cmocka_unit_test(ordinary_addresses),
        cmocka_unit_test(prefixes_agree_with_numbers),
        cmocka_unit_test(one_network_may_have_bits_behind_its_prefix),
    };
    return cmocka_run_group_tests_name("cidr", tests, NULL, NULL);
}
