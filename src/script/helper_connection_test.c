/* Helpers for who asks, and over what connection; of TLS, see helper_connection_tls_test.c. */
#include "script/request_test_run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- protocol --- */

static uint64_t
number(struct scene *scene, bpf_helper_fn *fn)
{
    uint64_t result = call(scene, fn, 0, 0, 0, 0);
    assert_false(scene->trapped);
    return result;
}

static void
the_protocol_is_told(void **state)
{
    struct scene *scene = *state;
    scene_set_head(scene, HEAD);
    check_output(scene, zs_req_scheme, "http");
    assert_int_equal(number(scene, zs_req_proto_major), 1);
    assert_int_equal(number(scene, zs_req_proto_minor), 1);
    assert_int_equal(number(scene, zs_req_is_tls), 0);
    assert_int_equal(number(scene, zs_req_tls_handshake_complete), 0);
    scene_set_head(scene, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(number(scene, zs_req_proto_major), 1);
    assert_int_equal(number(scene, zs_req_proto_minor), 0);
    scene->req.is_h2 = scene->req.is_tls = true;
    check_output(scene, zs_req_scheme, "https");
    assert_int_equal(number(scene, zs_req_proto_major), 2);
    assert_int_equal(number(scene, zs_req_proto_minor), 0);
    assert_int_equal(number(scene, zs_req_is_tls), 1);
    assert_int_equal(number(scene, zs_req_tls_handshake_complete), 1);
}

/* --- the client's address --- */

struct sockets {
    int listening, client, accepted;
};

static void
connect_sockets(struct sockets *sockets, struct sockaddr *address, socklen_t len,
                const struct sockaddr *to)
{
    socklen_t real = len;
    sockets->listening = socket(address->sa_family, SOCK_STREAM, 0);
    sockets->client = socket(to ? to->sa_family : address->sa_family, SOCK_STREAM, 0);
    assert_int_equal(bind(sockets->listening, address, len), 0);
    assert_int_equal(listen(sockets->listening, 1), 0);
    assert_int_equal(getsockname(sockets->listening, address, &real), 0);
    if (to)
        ((struct sockaddr_in *)to)->sin_port = ((struct sockaddr_in6 *)address)->sin6_port;
    assert_int_equal(
        connect(sockets->client, to ? to : address, to ? sizeof(struct sockaddr_in) : real), 0);
    sockets->accepted = accept(sockets->listening, NULL, NULL);
    assert_true(sockets->accepted >= 0);
}

static void
close_sockets(struct sockets *sockets)
{
    close(sockets->listening);
    close(sockets->client);
    close(sockets->accepted);
}

static unsigned
client_port(const struct sockets *sockets)
{
    struct sockaddr_in6 own;
    socklen_t len = sizeof own;
    assert_int_equal(getsockname(sockets->client, (struct sockaddr *)&own, &len), 0);
    return ntohs(own.sin6_port);
}

static void
an_ipv4_peer(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockets sockets;
    char expected[32];
    connect_sockets(&sockets, (struct sockaddr *)&any, sizeof any, NULL);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", client_port(&sockets));
    scene->req.fd = sockets.accepted;
    check_output(scene, zs_req_peer, expected);
    /* It was asked for once. */
    scene->req.fd = -1;
    assert_string_equal(text_of(scene, zs_req_peer), expected);
    script_request_clear(&scene->task.request);
    assert_string_equal(text_of(scene, zs_req_peer), "");
    close_sockets(&sockets);
}

static void
an_ipv6_peer(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockets sockets;
    char expected[32];
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool missing = fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0;
    close(fd);
    if (missing)
        skip(); /* a machine without IPv6 */
    connect_sockets(&sockets, (struct sockaddr *)&any, sizeof any, NULL);
    snprintf(expected, sizeof expected, "[::1]:%u", client_port(&sockets));
    scene->req.fd = sockets.accepted;
    check_output(scene, zs_req_peer, expected);
    close_sockets(&sockets);
}

static void
an_ipv4_peer_of_an_ipv6_socket(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockets sockets;
    char expected[32];
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool missing = fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0;
    close(fd);
    if (missing)
        skip();
    connect_sockets(&sockets, (struct sockaddr *)&any, sizeof any, (struct sockaddr *)&to);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", client_port(&sockets));
    scene->req.fd = sockets.accepted;
    assert_string_equal(text_of(scene, zs_req_peer), expected);
    assert_int_equal(give(scene, zs_req_remote_ip_matches, STR("[\"127.0.0.0/8\"]")), 1);
    close_sockets(&sockets);
}

static void
a_peer_without_an_address(void **state)
{
    struct scene *scene = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    scene->req.fd = pair[0];
    assert_string_equal(text_of(scene, zs_req_peer), "unix");
    assert_int_equal(give(scene, zs_req_remote_ip_matches, STR("[\"0.0.0.0/0\",\"::/0\"]")), 0);
    assert_false(scene->trapped);
    close(pair[0]);
    close(pair[1]);
}

static void
set_peer(struct scene *scene, const char *address)
{
    struct script_peer *peer = &scene->task.request.peer;
    *peer = (struct script_peer){.is_known = true};
    if (inet_pton(AF_INET, address, &peer->address.ipv4.sin_addr) == 1) {
        peer->address.any.sa_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &peer->address.ipv6.sin6_addr), 1);
        peer->address.any.sa_family = AF_INET6;
    }
}

static void
peers_match_ranges(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *peer, *ranges;
        bool matches;
    } cases[] = {
        {"10.1.2.3", "[\"10.0.0.0/8\"]", true},
        {"10.1.2.3", "[\"10.9.9.9/8\"]", true},
        {"10.1.2.3", "[\"11.0.0.0/8\"]", false},
        {"10.1.2.3", "[\"11.0.0.0/8\", \"::/0\", \"10.1.2.3\"]", true},
        {"10.1.2.3", "[\"10.1.2.4\"]", false},
        {"10.1.2.3", "[]", false},
        {"10.1.2.3", "[\"10.0.0.0/8\", \"11.0.0.0/8\"]", true},
        {"10.1.2.3", "[\"\\u0031\\u0030.1.2.3/32\"]", true},
        {"::ffff:10.1.2.3", "[\"10.0.0.0/8\"]", true},
        {"2001:db8::1", "[\"2001:db8::/32\"]", true},
        {"2001:db8::1", "[\"0.0.0.0/0\"]", false},
        {"2001:db8::1", "[\"2001:DB8:0::1\"]", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_peer(scene, cases[i].peer);
        uint64_t result = give(scene, zs_req_remote_ip_matches, str_from_cstr(cases[i].ranges));
        assert_false(scene->trapped);
        if (result != cases[i].matches)
            fail_msg("%s in %s", cases[i].peer, cases[i].ranges);
    }
    check_input(scene, zs_req_remote_ip_matches);
}

static void
what_are_no_ranges_traps(void **state)
{
    struct scene *scene = *state;
    static const char not_json[] = "zs_req_remote_ip_matches: its argument is no JSON array of "
                                   "strings";
    struct str bad[] = {STR(""),
                        STR("{}"),
                        STR("[1]"),
                        STR("[\"10.0.0.0/8\""),
                        STR("\"10.0.0.0/8\""),
                        STR("[\"10.0.0.0/8\"]x"),
                        STR("[[\"10.0.0.0/8\"]]")};
    set_peer(scene, "10.1.2.3");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        give(scene, zs_req_remote_ip_matches, bad[i]);
        expect_trap(scene, not_json);
    }
    give(scene, zs_req_remote_ip_matches, STR("[\"10.0.0.0/8\",\"a.test\"]"));
    expect_trap(scene, "zs_req_remote_ip_matches: 'a.test' is no address and no range of them");
    give(scene, zs_req_remote_ip_matches, STR("[\"10.0.0.0/33\"]"));
    assert_true(scene->trapped);
    memset(scene->memory, ' ', SCRIPT_CHANGES_MAX + 1);
    put(scene, SCRIPT_CHANGES_MAX - 2, STR("[]"));
    assert_int_equal(call(scene, zs_req_remote_ip_matches, scene_at(0), SCRIPT_CHANGES_MAX, 0, 0),
                     0);
    assert_false(scene->trapped);
    call(scene, zs_req_remote_ip_matches, scene_at(0), SCRIPT_CHANGES_MAX + 1, 0, 0);
    expect_trap(scene, "zs_req_remote_ip_matches: the JSON is longer than 65536 bytes");
}

/* --- the whole --- */

static void
a_plain_connection_is_described(void **state)
{
    struct scene *scene = *state;
    struct buf text;
    buf_init(&text, 4096);
    uint64_t handle = number(scene, zs_connection_info);
    assert_int_equal(handle, 1);
    script_json_write(&scene->frame, handle, &text);
    buf_append_char(&text, '\0');
    assert_string_equal(text.ptr,
                        "{\"alpn\":null,\"ech\":null,\"fingerprint\":{\"ja4\":null},"
                        "\"sni\":{\"inner\":null,\"outer\":null},\"tls\":false,"
                        "\"tls_client\":{\"certificate\":null,\"chain_fingerprints_sha256\":[]},"
                        "\"tls_handshake_complete\":false}");
    buf_deinit(&text);
}

static void
a_description_needs_room(void **state)
{
    struct scene *scene = *state;
    scene->shared.config.footprint_max = 10;
    call(scene, zs_connection_info, 0, 0, 0, 0);
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "--max-request-external-memory-footprint-kb"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_protocol_is_told),
        TEST(an_ipv4_peer),
        TEST(an_ipv6_peer),
        TEST(an_ipv4_peer_of_an_ipv6_socket),
        TEST(a_peer_without_an_address),
        TEST(peers_match_ranges),
        TEST(what_are_no_ranges_traps),
        TEST(a_plain_connection_is_described),
        TEST(a_description_needs_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
