/* From a name to a connection: names, addresses in turn, the guard, timeouts, proxies. */
#include "proxy/env.h"
#include "proxy/proxy_test_run.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static const struct dns_host hosts[] = {
    {"one.example", "127.0.0.1", 60, DNS_ANSWERS, NULL},
    {"two.example", "127.0.0.2 127.0.0.1", 60, DNS_ANSWERS, NULL},
    {"dead.example", "127.0.0.3 127.0.0.2", 60, DNS_ANSWERS, NULL},
    {"silent.example", NULL, 60, DNS_SILENT, NULL},
    {"proxy.example", "127.0.0.1", 60, DNS_ANSWERS, NULL},
};

static int
setup(void **state)
{
    if (scene_setup(state) != 0)
        return -1;
    struct scene *scene = *state;
    scene_use_names(scene, hosts, sizeof hosts / sizeof *hosts);
    return 0;
}

static unsigned
port_of(const struct fake *fake)
{
    return ntohs(fake->addr.sin_port);
}

static void
get_from(struct scene *scene, struct owner *owner, const char *format)
{
    owner_init(owner, scene, "GET", "/");
    owner_set_url(owner, format, port_of(&scene->fake));
    owner_start(owner);
    owner_wait(owner);
}

/* --- names and addresses --- */

static void
test_name(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    char wanted[64];
    script(&scene->fake, {.text = OK_5});
    get_from(scene, &owner, "http://One.Example:%u/x");
    assert_answer(&owner, 200, "hello");
    snprintf(wanted, sizeof wanted, "Host: one.example:%u\r\n", port_of(&scene->fake));
    assert_seen(&scene->fake, wanted);
    owner_deinit(&owner);
}

static void
test_unknown_name(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    get_from(scene, &owner, "http://Missing.Example:%u/");
    assert_result(&owner, NAME, "missing.example:");
    /* Once: the resolver names it too. */
    assert_null(strstr(owner.reason + 1, "missing.example"));
    owner_deinit(&owner);
}

static void
test_host_that_is_no_name(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    get_from(scene, &owner, "http://a!b:%u/");
    assert_result(&owner, NAME, "a!b:");
    owner_deinit(&owner);
}

static void
test_next_address_is_tried(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5});
    get_from(scene, &owner, "http://two.example:%u/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
}

static void
test_all_addresses_refuse(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    get_from(scene, &owner, "http://dead.example:%u/");
    assert_result(&owner, CONNECT, "connection refused (127.0.0.");
    assert_int_equal(strncmp(owner.reason, "dead.example:", 13), 0);
    owner_deinit(&owner);
}

static void
test_refused_ipv6(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    get_from(scene, &owner, "http://[::1]:%u/");
    assert_result(&owner, CONNECT, "([::1]:");
    assert_true(owner.reason[0] == '[');
    owner_deinit(&owner);
}

/* --- the guard --- */

struct guard {
    const char *allowed; /* NULL: none */
    unsigned count;
    char asked[256];
};

static bool
guard_allows(void *arg, const struct sockaddr *address)
{
    struct guard *guard = arg;
    char text[INET6_ADDRSTRLEN];
    const void *bytes = address->sa_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    inet_ntop(address->sa_family, bytes, text, sizeof text);
    guard->count++;
    strcat(guard->asked, text);
    strcat(guard->asked, " ");
    return guard->allowed && strcmp(text, guard->allowed) == 0;
}

static void
set_guard(struct scene *scene, struct guard *guard)
{
    scene->config.allows = guard_allows;
    scene->config.allows_arg = guard;
}

static void
test_forbidden_addresses_are_not_connected_to(void **state)
{
    static const struct {
        const char *url, *reason;
        unsigned count;
    } cases[] = {
        {"http://one.example:%u/", "one.example:", 1},
        {"http://one.example:%u/", "address 127.0.0.1:", 1},
        {"http://two.example:%u/", "is not allowed", 2},
        {"http://127.0.0.1:%u/", "address 127.0.0.1:", 1},
        {"http://127.1:%u/", "address 127.0.0.1:", 1},
        {"http://2130706433:%u/", "address 127.0.0.1:", 1},
        {"http://0x7f000001:%u/", "address 127.0.0.1:", 1},
        {"http://[::1]:%u/", "address [::1]:", 1},
        {"http://[::ffff:127.0.0.1]:%u/", "address [::ffff:127.0.0.1]:", 1},
    };
    struct scene *scene = *state;
    struct guard guard = {0};
    set_guard(scene, &guard);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owner owner;
        guard.count = 0;
        guard.asked[0] = '\0';
        get_from(scene, &owner, cases[i].url);
        assert_result(&owner, FORBIDDEN, cases[i].reason);
        assert_int_equal(guard.count, cases[i].count);
        owner_deinit(&owner);
    }
    scene_run_for(scene, 10);
    assert_int_equal(scene->fake.conn_count, 0);
}

static void
test_allowed_addresses_among_others(void **state)
{
    struct scene *scene = *state;
    struct guard guard = {.allowed = "127.0.0.1"};
    struct owner owner;
    set_guard(scene, &guard);
    script(&scene->fake, {.text = OK_5});
    get_from(scene, &owner, "http://two.example:%u/");
    assert_answer(&owner, 200, "hello");
    assert_int_equal(guard.count, 2);
    owner_deinit(&owner);
}

/* --- timeouts --- */

/* A listener with a full backlog lets connections wait. */
static void
fill_backlog(struct scene *scene, int *fillers)
{
    scene->fake.accept_max = 0;
    assert_int_equal(listen(scene->fake.listening, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&scene->fake.addr, sizeof scene->fake.addr);
    }
}

static void
test_connect_timeout(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    int fillers[3];
    scene->config.connect_timeout_ns = 100 * MS;
    fill_backlog(scene, fillers);
    get_from(scene, &owner, "http://127.0.0.1:%u/");
    assert_result(&owner, TIMEOUT, "no connection within 0.1 s (127.0.0.1:");
    for (unsigned i = 0; i < 3; i++)
        close(fillers[i]);
    owner_deinit(&owner);
}

/* An address that does not answer leaves time for the next one: a listener for all addresses, and
 * one with a full backlog for the first. */
static void
test_silent_address_has_its_share(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    int fillers[3];
    const struct dns_host pairs[] = {
        {"half.example", "127.0.0.1 127.0.0.2", 60, DNS_ANSWERS, NULL},
        {"flah.example", "127.0.0.2 127.0.0.1", 60, DNS_ANSWERS, NULL}};
    struct sockaddr_in other = scene->fake.addr;
    dns_server_stop(&scene->names);
    scene_use_names(scene, pairs, 2);
    scene->config.connect_timeout_ns = 1000 * MS;
    fill_backlog(scene, fillers);
    fake_listen(&scene->proxy);
    close(scene->proxy.listening);
    other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    scene->proxy.listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->proxy.listening, (struct sockaddr *)&other, sizeof other), 0);
    assert_int_equal(listen(scene->proxy.listening, 8), 0);
    scene->proxy.repeats = true;
    script(&scene->proxy, {.text = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                   "Content-Length: 5\r\n\r\nhello"});
    get_from(scene, &owner, "http://half.example:%u/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
    get_from(scene, &owner, "http://flah.example:%u/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
    for (unsigned i = 0; i < 3; i++)
        close(fillers[i]);
}

static void
test_connect_timeout_counts_the_name(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.connect_timeout_ns = 50 * MS;
    get_from(scene, &owner, "http://silent.example:%u/");
    assert_result(&owner, TIMEOUT, "no address within 0.05 s");
    owner_deinit(&owner);
}

/* --- proxies --- */

static void
use_proxy(struct scene *scene, const char *format, const char *no_proxy)
{
    char text[128];
    struct proxy_env *env;
    struct error error;
    fake_listen(&scene->proxy);
    snprintf(text, sizeof text, format, port_of(&scene->proxy));
    setenv("all_proxy", text, 1);
    setenv("no_proxy", no_proxy, 1);
    assert_int_equal(proxy_env_new(&env, &error), 0);
    unsetenv("all_proxy");
    unsetenv("no_proxy");
    scene->config.proxies = env;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    struct proxy_env *env = (struct proxy_env *)scene->config.proxies;
    int result = scene_teardown(state);
    proxy_env_free(env);
    return result;
}

static void
test_http_through_a_proxy(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    char wanted[256];
    use_proxy(scene, "http://user:pass@proxy.example:%u", "");
    scene->proxy.repeats = true;
    script(&scene->proxy, {.text = OK_5});
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&scene->proxy.seen);
        get_from(scene, &owner, "http://Missing.Example:%u/a?b#c");
        assert_answer(&owner, 200, "hello");
        snprintf(wanted, sizeof wanted,
                 "GET http://missing.example:%u/a?b HTTP/1.1\r\nHost: missing.example:%u\r\n"
                 "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n",
                 port_of(&scene->fake), port_of(&scene->fake));
        assert_text(buf_str(&scene->proxy.seen), wanted);
        owner_deinit(&owner);
    }
    assert_int_equal(scene->proxy.conn_count, 1);
    assert_int_equal(scene->fake.conn_count, 0);
}

static void
test_no_proxy_is_direct(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    use_proxy(scene, "http://127.0.0.1:%u", "one.example");
    script(&scene->fake, {.text = OK_5});
    get_from(scene, &owner, "http://one.example:%u/a");
    assert_answer(&owner, 200, "hello");
    assert_seen(&scene->fake, "GET /a HTTP/1.1\r\n");
    assert_int_equal(scene->proxy.conn_count, 0);
    owner_deinit(&owner);
}

static void
test_failures_of_a_proxy(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    use_proxy(scene, "http://missing.example:%u", "");
    get_from(scene, &owner, "http://one.example:%u/");
    assert_result(&owner, NAME, ": proxy missing.example: ");
    assert_int_equal(strncmp(owner.reason, "one.example:", 12), 0);
    owner_deinit(&owner);
}

static void
test_proxy_that_refuses(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    use_proxy(scene, "http://127.0.0.1:%u", "");
    fake_stop_listening(&scene->proxy);
    get_from(scene, &owner, "http://one.example:%u/");
    assert_result(&owner, CONNECT, "connection refused (proxy 127.0.0.1:");
    owner_deinit(&owner);
}

/* The guard is for the origin: what the proxy resolves is its own, but an address in the URL is
 * looked at. */
static void
test_guard_behind_a_proxy(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1:%u/", "https://127.0.0.1:%u/",
                                       "http://[::1]:%u/", "http://0x7f.1:%u/"};
    struct scene *scene = *state;
    struct guard guard = {.allowed = "192.0.2.1"};
    struct owner owner;
    set_guard(scene, &guard);
    use_proxy(scene, "http://127.0.0.1:%u", "");
    scene->proxy.repeats = true;
    script(&scene->proxy, {.text = OK_5});
    scene->config.tls = (struct tls_client *)scene; /* is not reached */
    for (unsigned i = 0; i < sizeof urls / sizeof *urls; i++) {
        get_from(scene, &owner, urls[i]);
        assert_result(&owner, FORBIDDEN, "is not allowed");
        owner_deinit(&owner);
    }
    assert_int_equal(scene->proxy.conn_count, 0);
    get_from(scene, &owner, "http://192.0.2.1:%u/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
    guard.asked[0] = '\0';
    get_from(scene, &owner, "http://one.example:%u/");
    assert_answer(&owner, 200, "hello");
    assert_string_equal(guard.asked, "");
    owner_deinit(&owner);
}

/* --- https that gets nowhere; the rest is in exchange_tls_test.c --- */

static void
test_https_that_is_not_set_up(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    get_from(scene, &owner, "https://one.example:%u/");
    assert_result(&owner, TLS, "https is not set up");
    assert_int_equal(scene->fake.conn_count, 0);
    owner_deinit(&owner);
}

#define TUNNEL_LONG "HTTP/1.1 200 OK\r\nX: "

static void
test_tunnels_that_are_refused(void **state)
{
    static char endless[UPSTREAM_TUNNEL_HEAD_MAX + 100];
    static const struct {
        struct fake_answer answer;
        const char *reason;
    } cases[] = {
        {{.text = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nhello"},
         "refused a tunnel: status 407"},
        {{.text = "HTTP/1.0 502 Bad\r\n\r\n", .step = 1}, "refused a tunnel: status 502"},
        {{.text = "HTTP/1.1 101 Switching Protocols\r\n\r\n"}, "refused a tunnel: status 101"},
        {{.text = "HTTP/1.1 302 Found\r\nLocation: a\r\n\r\n"}, "refused a tunnel: status 302"},
        {{.text = "garbage\r\n\r\n"}, "gave a malformed answer: malformed status line"},
        {{.text = "HTTP/1.1 200 OK\nA: b\n\n", .step = 1}, "gave a malformed answer"},
        {{.text = "HTTP/1.1 200 OK\r\n\r\nmore"}, "sent something of its own into a tunnel"},
        {{.text = "HTTP/1.1 200 OK\r\n", .end = FAKE_CLOSES}, "gave no tunnel: connection closed"},
        {{.silent = true, .end = FAKE_RESETS}, "gave no tunnel: connection reset by peer"},
        {{.text = endless}, "gave a malformed answer: header too large"},
    };
    struct scene *scene = *state;
    memcpy(endless, TUNNEL_LONG, sizeof TUNNEL_LONG - 1);
    memset(endless + sizeof TUNNEL_LONG - 1, 'x', sizeof endless - sizeof TUNNEL_LONG);
    use_proxy(scene, "http://u:p@127.0.0.1:%u", "");
    scene->config.tls = (struct tls_client *)scene; /* is not reached */
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owner owner;
        char wanted[256];
        buf_clear(&scene->proxy.seen);
        scene->proxy.answers = &cases[i].answer;
        scene->proxy.answer_count = 1;
        scene->proxy.answered = 0;
        get_from(scene, &owner, i % 2 ? "https://one.example/" : "https://one.example:%u/");
        assert_result(&owner, TUNNEL, cases[i].reason);
        snprintf(wanted, sizeof wanted,
                 "CONNECT one.example:%u HTTP/1.1\r\nHost: one.example:%u\r\n"
                 "Proxy-Authorization: Basic dTpw\r\n\r\n",
                 i % 2 ? 443 : port_of(&scene->fake), i % 2 ? 443 : port_of(&scene->fake));
        assert_text(buf_str(&scene->proxy.seen), wanted);
        assert_int_equal(strncmp(owner.reason, "one.example", 11), 0);
        assert_non_null(strstr(owner.reason, ": proxy 127.0.0.1:"));
        owner_deinit(&owner);
    }
}

static void
test_tunnel_timeout(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    use_proxy(scene, "http://127.0.0.1:%u", "");
    scene->config.tls = (struct tls_client *)scene; /* is not reached */
    scene->config.connect_timeout_ns = 100 * MS;
    get_from(scene, &owner, "https://one.example:%u/");
    assert_result(&owner, TIMEOUT, "no tunnel within 0.1 s (proxy 127.0.0.1:");
    owner_deinit(&owner);
}

/* --- cancelled on the way --- */

static void
cancel(struct owner *owner)
{
    exchange_cancel(owner->exchange);
    owner->exchange = NULL;
    owner->scene->owners_open--;
}

static void
test_cancelled_at_once(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    cancel(&owner);
    assert_int_equal(scene->pool->exchange_count, 0);
    scene_run_for(scene, 20);
    assert_int_equal(scene->fake.conn_count, 0);
    assert_int_equal(owner.over_count, 0);
}

static bool
is_in_state(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->exchange->conn && owner->exchange->conn->state == owner->pending_at;
}

static void
cancel_in_state(struct scene *scene, const char *url, enum upstream_state state)
{
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    owner_set_url(&owner, url, port_of(&scene->fake));
    owner.pending_at = state;
    owner_start(&owner);
    run_until(scene->world, is_in_state, &owner);
    cancel(&owner);
    wait_for(scene, scene->pool->conn_count == 0);
    assert_int_equal(owner.over_count, 0);
    assert_int_equal(scene->pool->exchange_count, 0);
}

static void
test_cancelled_while_resolving(void **state)
{
    cancel_in_state(*state, "http://silent.example:%u/", UPSTREAM_RESOLVE);
}

static void
test_cancelled_while_connecting(void **state)
{
    int fillers[3];
    fill_backlog(*state, fillers);
    cancel_in_state(*state, "http://127.0.0.1:%u/", UPSTREAM_CONNECT);
    for (unsigned i = 0; i < 3; i++)
        close(fillers[i]);
}

static void
test_cancelled_in_a_tunnel(void **state)
{
    struct scene *scene = *state;
    use_proxy(scene, "http://127.0.0.1:%u", "");
    scene->config.tls = (struct tls_client *)scene; /* is not reached */
    cancel_in_state(scene, "https://one.example:%u/", UPSTREAM_TUNNEL);
}

#define with(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with(test_name),
        with(test_unknown_name),
        with(test_host_that_is_no_name),
        with(test_next_address_is_tried),
        with(test_all_addresses_refuse),
        with(test_refused_ipv6),
        with(test_forbidden_addresses_are_not_connected_to),
        with(test_allowed_addresses_among_others),
        with(test_connect_timeout),
        with(test_silent_address_has_its_share),
        with(test_connect_timeout_counts_the_name),
        with(test_http_through_a_proxy),
        with(test_no_proxy_is_direct),
        with(test_failures_of_a_proxy),
        with(test_proxy_that_refuses),
        with(test_guard_behind_a_proxy),
        with(test_https_that_is_not_set_up),
        with(test_tunnels_that_are_refused),
        with(test_tunnel_timeout),
        with(test_cancelled_at_once),
        with(test_cancelled_while_resolving),
        with(test_cancelled_while_connecting),
        with(test_cancelled_in_a_tunnel),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("upstream_connect", run_group);
}
