/* Who asks: the peer of the connection, or whom trusted proxies speak for; and who may purge. */
#include "cache/cache_internal.h"
#include "http/h1_head.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEAD_MAX = 16384, FIELDS_MAX = 32 };

/* One connection from 127.0.0.1 (or as named), and a request on it. */
struct setting {
    struct cache cache;
    struct cidr_list allow, trusted;
    struct req req;
    struct req_env env;
    struct http_field fields[FIELDS_MAX];
    struct h1_head_decoder decoder;
    char head[HEAD_MAX];
    int client, listening;
};

static void
disconnect(struct setting *setting)
{
    int *const fds[] = {&setting->client, &setting->listening, &setting->req.fd};
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* False: this machine has no such address. */
static bool
connect_over(struct setting *setting, const struct sockaddr *listen_at,
             const struct sockaddr *connect_to, socklen_t listen_len, socklen_t connect_len)
{
    struct sockaddr_storage bound;
    struct sockaddr_storage to;
    socklen_t len = sizeof bound;
    int off = 0;
    disconnect(setting);
    setting->listening = socket(listen_at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setting->listening < 0)
        return false;
    if (listen_at->sa_family == AF_INET6)
        setsockopt(setting->listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(setting->listening, listen_at, listen_len) != 0)
        return false;
    assert_int_equal(listen(setting->listening, 1), 0);
    assert_int_equal(getsockname(setting->listening, (struct sockaddr *)&bound, &len), 0);
    memcpy(&to, connect_to, connect_len);
    ((struct sockaddr_in *)&to)->sin_port = ((struct sockaddr_in *)&bound)->sin_port;
    setting->client = socket(connect_to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(setting->client >= 0);
    assert_int_equal(connect(setting->client, (struct sockaddr *)&to, connect_len), 0);
    setting->req.fd = accept4(setting->listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(setting->req.fd >= 0);
    return true;
}

static const struct sockaddr_in v4_loopback = {.sin_family = AF_INET,
                                               .sin_addr.s_addr = 0x0100007f};
static const struct sockaddr_in6 v6_loopback = {.sin6_family = AF_INET6,
                                                .sin6_addr = IN6ADDR_LOOPBACK_INIT};
static const struct sockaddr_in6 v6_any = {.sin6_family = AF_INET6};

static int
access_setup(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    if (!setting)
        return -1;
    setting->cache.config.allow_networks = &setting->allow;
    setting->cache.config.trusted_proxies = &setting->trusted;
    req_init(&setting->req, &setting->env, setting->fields, FIELDS_MAX);
    setting->client = setting->listening = setting->req.fd = -1;
    *state = setting;
    return connect_over(setting, (const struct sockaddr *)&v4_loopback,
                        (const struct sockaddr *)&v4_loopback, sizeof v4_loopback,
                        sizeof v4_loopback)
               ? 0
               : -1;
}

static int
access_teardown(void **state)
{
    struct setting *setting = *state;
    disconnect(setting);
    req_deinit(&setting->req);
    free(setting);
    return 0;
}

static void
add(struct cidr_list *list, const char *networks)
{
    struct error error;
    if (cidr_list_add(list, str_from_cstr(networks), &error) != 0)
        fail_msg("%s", error.text);
}

/* The request, with these lines. */
static void __attribute__((format(printf, 2, 3)))
say(struct setting *setting, const char *format, ...)
{
    char *at = setting->head, *end = at + sizeof setting->head;
    va_list args;
    at += snprintf(at, sizeof setting->head, "GET / HTTP/1.1\r\nHost: a\r\n");
    va_start(args, format);
    at += vsnprintf(at, (size_t)(end - at), format, args);
    va_end(args);
    assert_true(at < end - 2);
    at += snprintf(at, (size_t)(end - at), "\r\n");
    http_head_init(&setting->req.head, setting->fields, FIELDS_MAX);
    h1_head_decoder_init(&setting->decoder, &setting->req.head, HEAD_MAX);
    size_t len = (size_t)(at - setting->head);
    assert_int_equal(h1_head_decode(&setting->decoder, setting->head, len), H1_DONE);
}

/* `wanted` as inet_ntop writes it; NULL: nobody knows. */
static void
assert_client(struct setting *setting, const char *wanted)
{
    struct sockaddr_storage address;
    char text[INET6_ADDRSTRLEN] = "nobody";
    bool known = access_client(&setting->cache, &setting->req, &address);
    if (known)
        assert_non_null(inet_ntop(address.ss_family,
                                  address.ss_family == AF_INET
                                      ? (void *)&((struct sockaddr_in *)&address)->sin_addr
                                      : (void *)&((struct sockaddr_in6 *)&address)->sin6_addr,
                                  text, sizeof text));
    if (strcmp(text, wanted ? wanted : "nobody") != 0)
        fail_msg("not %s but %s", wanted ? wanted : "nobody", text);
}

#define assert_forwarded(setting, value, wanted)            \
    do {                                                    \
        say((setting), "X-Forwarded-For: %s\r\n", (value)); \
        assert_client((setting), (wanted));                 \
    } while (0)

/* --- the peer --- */

static void
without_trusted_proxies_it_is_the_peer(void **state)
{
    struct setting *setting = *state;
    say(setting, "X-Forwarded-For: 192.0.2.1\r\n");
    assert_client(setting, "127.0.0.1");
}

static void
a_peer_that_is_not_trusted_is_not_believed(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "10.0.0.0/8, ::1");
    say(setting, "X-Forwarded-For: 10.0.0.1\r\n");
    assert_client(setting, "127.0.0.1");
}

static void
a_trusted_peer_that_says_nothing_is_itself(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1");
    say(setting, "X-Real-IP: 192.0.2.1\r\n");
    assert_client(setting, "127.0.0.1");
}

static void
a_unix_socket_has_no_address(void **state)
{
    struct setting *setting = *state;
    int fds[2];
    disconnect(setting);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    setting->req.fd = fds[0];
    setting->client = fds[1];
    add(&setting->trusted, "0.0.0.0/0, ::/0");
    say(setting, "X-Forwarded-For: 192.0.2.1\r\n");
    assert_client(setting, NULL);
    assert_true(access_is_allowed(&setting->cache, &setting->req)); /* to everybody */
    add(&setting->allow, "0.0.0.0/0, ::/0");
    assert_false(access_is_allowed(&setting->cache, &setting->req));
}

static void
a_connection_that_is_gone_has_none_either(void **state)
{
    struct setting *setting = *state;
    disconnect(setting);
    say(setting, "X: y\r\n");
    add(&setting->allow, "0.0.0.0/0, ::/0");
    assert_client(setting, NULL);
    assert_false(access_is_allowed(&setting->cache, &setting->req));
}

static void
ipv6_peers_and_mapped_ones(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1, ::1");
    if (!connect_over(setting, (const struct sockaddr *)&v6_loopback,
                      (const struct sockaddr *)&v6_loopback, sizeof v6_loopback,
                      sizeof v6_loopback)) {
        print_message("not run: no IPv6 here\n");
        skip();
    }
    say(setting, "X: y\r\n");
    assert_client(setting, "::1");
    assert_forwarded(setting, "2001:db8::1", "2001:db8::1");
    /* as a socket for both names an IPv4 peer */
    assert_true(connect_over(setting, (const struct sockaddr *)&v6_any,
                             (const struct sockaddr *)&v4_loopback, sizeof v6_any,
                             sizeof v4_loopback));
    assert_forwarded(setting, "192.0.2.1", "192.0.2.1");
    say(setting, "X: y\r\n");
    add(&setting->allow, "127.0.0.0/8");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
}

/* --- X-Forwarded-For --- */

static void
the_last_one_that_is_not_trusted_counts(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1, 10.0.0.0/8, 2001:db8:a::/48");
    assert_forwarded(setting, "192.0.2.1", "192.0.2.1");
    assert_forwarded(setting, "198.51.100.1, 192.0.2.1", "192.0.2.1");
    assert_forwarded(setting, "198.51.100.1, 192.0.2.1, 10.1.2.3", "192.0.2.1");
    assert_forwarded(setting, "192.0.2.1,10.1.2.3,10.3.2.1", "192.0.2.1");
    assert_forwarded(setting, "192.0.2.1 \t,\t 10.1.2.3", "192.0.2.1");
    assert_forwarded(setting, "192.0.2.1, 2001:db8:a::1", "192.0.2.1");
    assert_forwarded(setting, "192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1");
    /* all of them trusted: the first */
    assert_forwarded(setting, "10.0.0.2, 10.0.0.1", "10.0.0.2");
    assert_forwarded(setting, "127.0.0.1", "127.0.0.1");
}

/* What a client put in front of what a proxy adds. */
static void
what_a_client_invents_does_not_count(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1");
    add(&setting->allow, "10.0.0.0/8, 127.0.0.1");
    say(setting, "X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\n");
    assert_client(setting, "192.0.2.1");
    assert_false(access_is_allowed(&setting->cache, &setting->req));
    say(setting, "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_client(setting, "192.0.2.1");
    assert_false(access_is_allowed(&setting->cache, &setting->req));
    say(setting, "X-Forwarded-For: 10.0.0.1, nonsense\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_client(setting, "192.0.2.1");
    say(setting, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n");
    assert_client(setting, "10.0.0.1");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
}

/* Nor is whoever fills the list up taken for the proxy. */
static void
a_list_of_any_length_is_read_from_its_end(void **state)
{
    static char junk[4000];
    struct setting *setting = *state;
    memset(junk, 'x', sizeof junk - 1);
    add(&setting->trusted, "127.0.0.1");
    add(&setting->allow, "127.0.0.1, 10.0.0.0/8");
    const char *const lines[] = {
        "X-Forwarded-For: %s, 192.0.2.1\r\n",
        "X-Forwarded-For: %s\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-For: %s\r\nX-Forwarded-For: %s\r\n",
        "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: %s\r\n",
        "X-Forwarded-For: %s\r\nX-Forwarded-For:\r\n",
    };
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[2 * sizeof junk + 100];
        snprintf(text, sizeof text, lines[i], junk, junk);
        say(setting, "%s", text);
        if (access_is_allowed(&setting->cache, &setting->req))
            fail_msg("case %u is taken for the proxy", i);
    }
}

static void
what_is_no_address_is_nobody(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1, 10.0.0.0/8");
    const char *const bad[] = {
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1/32",
        "192.0.2.1 10.0.0.1",
        "192.0.2.1;10.0.0.1",
        "\"192.0.2.1\"",
        "for=192.0.2.1",
        "0x7f000001",
        "2130706433",
        "2001:db8::1%eth0",
        "2001:db8:::1",
        "[]",
        "[]:80",
        "[",
        "]",
        ":",
        ":80",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999",
        "1111:2222:3333:4444:5555:6666:255.255.255.255.255.255.255",
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        say(setting, "X-Forwarded-For: %s\r\n", bad[i]);
        struct sockaddr_storage address;
        if (access_client(&setting->cache, &setting->req, &address))
            fail_msg("'%s' is taken for an address", bad[i]);
        /* behind a trusted hop too, and whatever a client put in front of it */
        snprintf(text, sizeof text, "10.0.0.1, %s, 10.0.0.2", bad[i]);
        assert_forwarded(setting, text, NULL);
        snprintf(text, sizeof text, "%s, 192.0.2.7, 10.0.0.2", bad[i]);
        assert_forwarded(setting, text, "192.0.2.7");
    }
}

static void
empty_elements_are_nobody(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1, 10.0.0.0/8");
    assert_forwarded(setting, "192.0.2.1,", NULL);
    assert_forwarded(setting, "192.0.2.1, , 10.0.0.1", NULL);
    assert_forwarded(setting, ",", NULL);
    assert_forwarded(setting, ",192.0.2.1", "192.0.2.1");
    assert_forwarded(setting, "", "127.0.0.1"); /* nothing is said */
}

static void
ports_and_brackets(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1");
    assert_forwarded(setting, "192.0.2.1:4711", "192.0.2.1");
    assert_forwarded(setting, "[2001:db8::1]", "2001:db8::1");
    assert_forwarded(setting, "[2001:db8::1]:4711", "2001:db8::1");
    assert_forwarded(setting, "2001:db8::1", "2001:db8::1");
    assert_forwarded(setting, "2001:DB8:0:0:0:0:0:1", "2001:db8::1");
    assert_forwarded(setting, "::1", "::1");
    assert_forwarded(setting, "::", "::");
    assert_forwarded(setting, "1111:2222:3333:4444:5555:6666:123.123.123.123",
                     "1111:2222:3333:4444:5555:6666:7b7b:7b7b");
}

/* An IPv4 address in its IPv6 form is that IPv4 address. */
static void
mapped_addresses_are_ipv4(void **state)
{
    struct setting *setting = *state;
    add(&setting->trusted, "127.0.0.1");
    add(&setting->allow, "192.0.2.0/24");
    say(setting, "X-Forwarded-For: ::ffff:192.0.2.1\r\n");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
    say(setting, "X-Forwarded-For: [::ffff:c000:201]:80\r\n");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
    say(setting, "X-Forwarded-For: ::ffff:198.51.100.1\r\n");
    assert_false(access_is_allowed(&setting->cache, &setting->req));
}

static void
a_list_from_nobody_of_interest_may_be_long(void **state)
{
    static char junk[4000];
    struct setting *setting = *state;
    memset(junk, 'x', sizeof junk - 1);
    add(&setting->trusted, "10.0.0.0/8");
    say(setting, "X-Forwarded-For: %s\r\nX-Forwarded-For: 192.0.2.1\r\n", junk);
    assert_client(setting, "127.0.0.1");
}

/* --- allowed networks --- */

static void
an_empty_list_allows_everybody(void **state)
{
    struct setting *setting = *state;
    say(setting, "X: y\r\n");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
    add(&setting->allow, "10.0.0.0/8");
    assert_false(access_is_allowed(&setting->cache, &setting->req));
    add(&setting->allow, "127.0.0.0/8");
    assert_true(access_is_allowed(&setting->cache, &setting->req));
}

/* --- purge --- */

static bool
may_purge(struct setting *setting, const char *authorization)
{
    say(setting, "Authorization: %s\r\n", authorization);
    return access_may_purge(&setting->cache, &setting->req);
}

static void
the_token_is_needed(void **state)
{
    struct setting *setting = *state;
    setting->cache.config.purge_token = "s3cret";
    assert_true(may_purge(setting, "Bearer s3cret"));
    assert_true(may_purge(setting, "bearer s3cret"));
    assert_true(may_purge(setting, "BEARER   s3cret  "));
    const char *const wrong[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cre",
        "Bearer s3crett",
        "s3cret",
        "Bearers3cret",
        "Basic s3cret",
        "Bearer S3CRET",
        "Bearer s3cret s3cret",
        "Bearer x",
        "Bearer \"s3cret\"",
        "Digest s3cret",
        "Bearer\ts3cret",
        "Bearer s3crets3cret",
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (may_purge(setting, wrong[i]))
            fail_msg("'%s' may purge", wrong[i]);
    say(setting, "X: y\r\n");
    assert_false(access_may_purge(&setting->cache, &setting->req));
    say(setting, "Proxy-Authorization: Bearer s3cret\r\n");
    assert_false(access_may_purge(&setting->cache, &setting->req));
}

static void
without_a_token_nobody_may(void **state)
{
    struct setting *setting = *state;
    const char *const none[] = {NULL, ""};
    for (unsigned i = 0; i < 2; i++) {
        setting->cache.config.purge_token = none[i];
        assert_false(may_purge(setting, "Bearer "));
        assert_false(may_purge(setting, "Bearer x"));
        assert_false(may_purge(setting, ""));
        say(setting, "X: y\r\n");
        assert_false(access_may_purge(&setting->cache, &setting->req));
    }
}

#define access_test(test) cmocka_unit_test_setup_teardown(test, access_setup, access_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        access_test(without_trusted_proxies_it_is_the_peer),
        access_test(a_peer_that_is_not_trusted_is_not_believed),
        access_test(a_trusted_peer_that_says_nothing_is_itself),
        access_test(a_unix_socket_has_no_address),
        access_test(a_connection_that_is_gone_has_none_either),
        access_test(ipv6_peers_and_mapped_ones),
        access_test(the_last_one_that_is_not_trusted_counts),
        access_test(what_a_client_invents_does_not_count),
        access_test(a_list_of_any_length_is_read_from_its_end),
        access_test(what_is_no_address_is_nobody),
        access_test(empty_elements_are_nobody),
        access_test(ports_and_brackets),
        access_test(mapped_addresses_are_ipv4),
        access_test(a_list_from_nobody_of_interest_may_be_long),
        access_test(an_empty_list_allows_everybody),
        access_test(the_token_is_needed),
        access_test(without_a_token_nobody_may),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
