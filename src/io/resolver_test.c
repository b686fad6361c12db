/* The resolver against a name server of the test's own: answers in every shape, how long they are
 * kept, what is shared, time limits, cancelling, and loops that go away. */
#include "io/dns_test_server.h"
#include "io/loop_test_run.h"

#include <netdb.h>

#define MANY(n) "192.0.2." #n " 2001:db8::" #n " "
#define MANY_10(n) \
    MANY(n##0) MANY(n##1) MANY(n##2) MANY(n##3) MANY(n##4) MANY(n##5) MANY(n##6) MANY(n##7)

#define HOST(text, addresses_text, seconds, ...)                                   \
    {                                                                              \
        .name = text, .addresses = addresses_text, .ttl_s = seconds, ##__VA_ARGS__ \
    }

static const struct dns_host hosts[] = {
    HOST("one.example", "192.0.2.1", 300),
    HOST("six.example", "2001:db8::6", 300),
    HOST("both.example", "127.0.0.1 127.0.0.2 127.0.0.3 ::1", 300),
    HOST("many.example", MANY_10(1) MANY_10(2) MANY_10(3), 300, .manner = DNS_TRUNCATED),
    HOST("cut-short.example", "192.0.2.2", 300, .manner = DNS_TRUNCATED),
    HOST("lost.example", "192.0.2.2", 300, .manner = DNS_TCP_LOST),
    HOST("brief.example", "192.0.2.3", 1),
    HOST("zero.example", "192.0.2.3", 0),
    HOST("sign.example", "192.0.2.3", UINT32_C(0x80000001)),
    HOST("day.example", "192.0.2.3", 86400),
    HOST("chain.example", NULL, 400, .alias = "link.example"),
    HOST("link.example", NULL, 40, .alias = "chained.example"),
    HOST("chained.example", "192.0.2.4", 300),
    HOST("dangling.example", NULL, 300, .alias = "nowhere.example"),
    HOST("empty.example", NULL, 300),
    HOST("short.test", "192.0.2.5", 300),
    HOST("silent.example", NULL, 0, .manner = DNS_SILENT),
    HOST("half.example", "192.0.2.7 2001:db8::7", 300, .manner = DNS_SILENT_AAAA),
    HOST("failing.example", NULL, 0, .manner = DNS_SERVFAIL),
    HOST("refused.example", NULL, 0, .manner = DNS_REFUSED),
    HOST("garbage.example", NULL, 0, .manner = DNS_GARBAGE),
    HOST("cut.example", "192.0.2.8 2001:db8::8", 300, .manner = DNS_CUT),
    HOST("forged.example", "192.0.2.9", 300, .manner = DNS_FORGED),
    HOST("*.held.example", "192.0.2.10", 300, .manner = DNS_HELD),
    HOST("*.many.example", "192.0.2.11", 300),
};

/* --- the fixture --- */

struct fixture {
    struct world *world;
    struct dns_server server;
    struct resolver_config config;
    struct resolver *resolver;
};

enum { TRY_MS = 100 };

struct asked {
    unsigned count;
    unsigned address_count;
    uint32_t ttl_s;
    uint16_t port;
    char failure[300];
    char addresses[RESOLVER_ADDRESSES_MAX * INET6_ADDRSTRLEN]; /* a space between */
};

static void
add_text(struct asked *asked, const struct resolver_address *address)
{
    const struct sockaddr_in *inet = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)&address->storage;
    bool is_inet = inet->sin_family == AF_INET;
    char text[INET6_ADDRSTRLEN];
    inet_ntop(inet->sin_family, is_inet ? (const void *)&inet->sin_addr : &inet6->sin6_addr, text,
              sizeof text);
    size_t len = strlen(asked->addresses);
    snprintf(asked->addresses + len, sizeof asked->addresses - len, "%s%s", len ? " " : "", text);
    assert_int_equal(address->len, is_inet ? sizeof *inet : sizeof *inet6);
    uint16_t port = ntohs(is_inet ? inet->sin_port : inet6->sin6_port);
    assert_true(asked->port == 0 || asked->port == port);
    asked->port = port;
}

static void
take_answer(void *arg, const struct resolver_answer *answer)
{
    struct asked *asked = arg;
    asked->count++;
    asked->address_count = answer->count;
    asked->ttl_s = answer->ttl_s;
    snprintf(asked->failure, sizeof asked->failure, "%s", answer->failure ? answer->failure : "");
    for (unsigned i = 0; i < answer->count; i++)
        add_text(asked, &answer->addresses[i]);
}

static bool
was_answered(void *arg)
{
    const struct asked *asked = arg;
    return asked->count > 0;
}

static void
renew_resolver(struct fixture *fixture)
{
    struct error error;
    if (fixture->resolver)
        resolver_detach(fixture->resolver, fixture->world->loop);
    resolver_free(fixture->resolver);
    assert_int_equal(resolver_new(&fixture->resolver, &fixture->config, &error), 0);
}

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture || world_setup((void **)&fixture->world) != 0)
        return -1;
    dns_server_start(&fixture->server, hosts, sizeof hosts / sizeof *hosts);
    fixture->config.dns = fixture->server.config;
    fixture->config.dns.try_ms = TRY_MS;
    renew_resolver(fixture);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    resolver_detach(fixture->resolver, fixture->world->loop);
    resolver_free(fixture->resolver);
    dns_server_stop(&fixture->server);
    world_teardown((void **)&fixture->world);
    free(fixture);
    return 0;
}

static struct resolver_lookup *
start(struct fixture *fixture, struct asked *asked, const char *name, uint16_t port)
{
    *asked = (struct asked){0};
    return resolver_lookup(fixture->resolver, str_from_cstr(name), port, fixture->world->loop,
                           take_answer, asked);
}

static struct asked
ask(struct fixture *fixture, const char *name)
{
    struct asked asked;
    assert_non_null(start(fixture, &asked, name, 443));
    assert_int_equal(asked.count, 0); /* not before the call returns */
    run_until(fixture->world, was_answered, &asked);
    assert_int_equal(asked.count, 1);
    assert_true(asked.port == (asked.address_count ? 443 : 0));
    return asked;
}

static void
assert_addresses(struct fixture *fixture, const char *name, const char *addresses)
{
    struct asked asked = ask(fixture, name);
    assert_string_equal(asked.failure, "");
    assert_string_equal(asked.addresses, addresses);
}

static void
assert_failure(struct fixture *fixture, const char *name, const char *failure)
{
    struct asked asked = ask(fixture, name);
    assert_string_equal(asked.failure, failure);
    assert_int_equal(asked.address_count, 0);
}

static void
assert_asked(struct fixture *fixture, const char *name, unsigned count)
{
    assert_int_equal(dns_server_asked(&fixture->server, name), count);
}

/* --- addresses --- */

static void
test_names_have_addresses_of_either_family(void **state)
{
    struct fixture *fixture = *state;
    assert_addresses(fixture, "one.example", "192.0.2.1");
    assert_addresses(fixture, "six.example", "2001:db8::6");
    assert_asked(fixture, "one.example", 2);
    assert_asked(fixture, "six.example", 2);
}

static unsigned
thread_count(void)
{
    char line[128];
    unsigned count = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        sscanf(line, "Threads: %u", &count);
    fclose(file);
    return count;
}

static void
test_numeric_addresses_need_no_thread(void **state)
{
    struct fixture *fixture = *state;
    unsigned fds = open_fd_count(), threads = thread_count();
    assert_addresses(fixture, "127.0.0.1", "127.0.0.1");
    assert_addresses(fixture, "::1", "::1");
    assert_addresses(fixture, "FE80::1", "fe80::1");
    assert_int_equal(ask(fixture, "::1").ttl_s, RESOLVER_CACHE_S);
    assert_int_equal(thread_count(), threads);
    assert_int_equal(open_fd_count(), fds);
    ask(fixture, "one.example");
    assert_int_equal(thread_count(), threads + 1);
}

static bool
loopback_has_inet6(void)
{
    const struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool works = fd >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0;
    if (fd >= 0)
        close(fd);
    return works;
}

/* IPv6 comes first where it works (RFC 6724). */
static void
test_families_take_turns(void **state)
{
    assert_addresses(*state, "both.example",
                     loopback_has_inet6() ? "::1 127.0.0.1 127.0.0.2 127.0.0.3"
                                          : "127.0.0.1 ::1 127.0.0.2 127.0.0.3");
}

/* Both families keep a share of the places. */
static void
test_many_addresses_are_cut(void **state)
{
    struct asked asked = ask(*state, "many.example");
    unsigned inet6 = 0;
    bool was_inet6 = false;
    struct str addresses = str_from_cstr(asked.addresses);
    assert_int_equal(asked.address_count, RESOLVER_ADDRESSES_MAX);
    for (unsigned i = 0; addresses.len; i++) {
        struct str address = str_cut(&addresses, ' ');
        bool is_inet6 = str_find_char(address, ':') < address.len;
        assert_true(i == 0 || is_inet6 != was_inet6);
        was_inet6 = is_inet6;
        inet6 += is_inet6;
    }
    assert_int_equal(inet6, RESOLVER_ADDRESSES_MAX / 2);
}

static void
test_aliases_are_followed(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked = ask(fixture, "chain.example");
    assert_string_equal(asked.addresses, "192.0.2.4");
    assert_int_equal(asked.ttl_s, 40); /* of the alias in the middle */
    assert_asked(fixture, "link.example", 0);
    assert_failure(fixture, "dangling.example", "dangling.example: no address");
}

static void
test_search_list(void **state)
{
    assert_addresses(*state, "short", "192.0.2.5");
    assert_failure(*state, "short.", "short.: no such host");
}

static void
test_case_does_not_matter(void **state)
{
    struct fixture *fixture = *state;
    assert_addresses(fixture, "ONE.Example", "192.0.2.1");
    assert_addresses(fixture, "one.example", "192.0.2.1");
    assert_asked(fixture, "one.example", 2);
}

static void
test_localhost_is_not_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked = ask(fixture, "LOCALHOST");
    assert_string_equal(asked.failure, "");
    assert_true(strstr(asked.addresses, "127.0.0.1") || strstr(asked.addresses, "::1"));
    assert_asked(fixture, NULL, 0);
}

/* Whatever this system's file has besides localhost. */
static void
test_hosts_file(void **state)
{
    struct fixture *fixture = *state;
    char line[512], address[64], name[256] = "", text[256];
    FILE *file = fopen("/etc/hosts", "r");
    while (file && !name[0] && fgets(line, sizeof line, file))
        if (sscanf(line, "%63[0-9.] %255[a-z0-9.-]", address, text) == 2 &&
            strcmp(text, "localhost") != 0)
            strcpy(name, text);
    if (file)
        fclose(file);
    if (!name[0])
        skip();
    struct asked asked = ask(fixture, name);
    assert_non_null(strstr(asked.addresses, address));
    assert_true(asked.ttl_s == 1);
    assert_asked(fixture, NULL, 0);
}

/* --- answers of all kinds --- */

static void
test_truncated_answers_are_asked_for_over_tcp(void **state)
{
    struct fixture *fixture = *state;
    assert_addresses(fixture, "cut-short.example", "192.0.2.2");
    assert_int_equal(dns_server_asked_tcp(&fixture->server), 2);
}

static void
test_tcp_that_breaks(void **state)
{
    assert_failure(*state, "lost.example",
                   "lost.example: the name server failed or cannot be reached");
}

static void
test_missing_names(void **state)
{
    assert_failure(*state, "missing.example", "missing.example: no such host");
    assert_failure(*state, "empty.example", "empty.example: no address");
    assert_failure(*state, "two..dots", "two..dots: not a host name");
}

static void
test_failing_servers(void **state)
{
    assert_failure(*state, "failing.example",
                   "failing.example: the name server failed or cannot be reached");
    assert_failure(*state, "refused.example",
                   "refused.example: the name server failed or cannot be reached");
}

static void
test_malformed_answers(void **state)
{
    assert_failure(*state, "garbage.example",
                   "garbage.example: the name server's answer is malformed");
    assert_failure(*state, "cut.example", "cut.example: the name server's answer is malformed");
}

static void
test_forged_answers_are_ignored(void **state)
{
    assert_addresses(*state, "forged.example", "192.0.2.9");
}

static void
test_no_name_server(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.dns.port = 1;
    renew_resolver(fixture);
    assert_failure(fixture, "one.example",
                   "one.example: the name server failed or cannot be reached");
}

/* --- time --- */

static void
test_silent_server_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    uint64_t start_ns = loop_clock_ns();
    assert_failure(fixture, "silent.example", "silent.example: the name server did not answer");
    uint64_t took_ms = (loop_clock_ns() - start_ns) / MS;
    assert_in_range(took_ms, 3 * TRY_MS - 20, 3 * TRY_MS + 1000);
    assert_asked(fixture, "silent.example", 4);
}

/* One family is enough. */
static void
test_half_an_answer(void **state)
{
    assert_addresses(*state, "half.example", "192.0.2.7");
}

static void
test_slow_name_holds_up_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct asked slow;
    assert_non_null(start(fixture, &slow, "silent.example", 1));
    uint64_t start_ns = loop_clock_ns();
    assert_addresses(fixture, "one.example", "192.0.2.1");
    assert_true((loop_clock_ns() - start_ns) / MS < 2 * TRY_MS);
    assert_int_equal(slow.count, 0);
    run_until(fixture->world, was_answered, &slow);
}

static void
test_the_whole_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.lookup_ms = 100;
    fixture->config.dns.try_ms = 200;
    renew_resolver(fixture);
    uint64_t start_ns = loop_clock_ns();
    assert_failure(fixture, "silent.example", "silent.example: timed out");
    assert_in_range((loop_clock_ns() - start_ns) / MS, 95, 190);
    assert_failure(fixture, "silent.example", "silent.example: timed out"); /* kept */
    run_for(fixture->world, 700); /* c-ares has given up, too */
    assert_asked(fixture, "silent.example", 4);
}

/* What comes too late for one is there for the next. */
static void
test_late_answers_are_kept(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.lookup_ms = 50;
    fixture->config.dns.try_ms = 5000;
    renew_resolver(fixture);
    dns_server_set_gate(&fixture->server, true);
    assert_failure(fixture, "a.held.example", "a.held.example: timed out");
    dns_server_set_gate(&fixture->server, false);
    run_for(fixture->world, 50);
    assert_addresses(fixture, "a.held.example", "192.0.2.10");
    assert_asked(fixture, "a.held.example", 2);
}

static void
test_answers_live_as_long_as_their_records(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"one.example", "day.example", "brief.example",
                                        "zero.example", "sign.example"};
    static const uint32_t seconds[] = {300, RESOLVER_CACHE_S, 1, 1, 1};
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 5; i++) {
            struct asked asked = ask(fixture, names[i]);
            assert_in_range(asked.ttl_s, seconds[i] - (i < 2 && turn == 2 ? 2 : 0), seconds[i]);
            assert_asked(fixture, names[i], turn == 2 && i >= 2 ? 4 : 2);
        }
        if (turn == 1)
            run_for(fixture->world, 1100);
    }
}

static void
test_failures_are_kept(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(fixture, "missing.example").ttl_s, RESOLVER_FAILURE_S);
        assert_failure(fixture, "empty.example", "empty.example: no address");
    }
    assert_asked(fixture, NULL, 6); /* missing.example, and both with the search list */
    assert_asked(fixture, "empty.example", 2);
}

static void
test_kept_answers_serve_any_port(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked;
    ask(fixture, "one.example");
    assert_non_null(start(fixture, &asked, "one.example", 8443));
    run_until(fixture->world, was_answered, &asked);
    assert_int_equal(asked.port, 8443);
    assert_asked(fixture, "one.example", 2);
}

static void
ask_for_many(struct fixture *fixture, unsigned from, unsigned to)
{
    char name[32];
    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "n%u.many.example", i);
        ask(fixture, name);
    }
}

static void
test_oldest_answers_go_first(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, "one.example");
    ask_for_many(fixture, 0, RESOLVER_CACHE_MAX - 1);
    ask(fixture, "one.example");
    assert_asked(fixture, "one.example", 2);
    ask_for_many(fixture, RESOLVER_CACHE_MAX, RESOLVER_CACHE_MAX + 1);
    assert_asked(fixture, "x.many.example", 2 * RESOLVER_CACHE_MAX);
    ask_for_many(fixture, 0, RESOLVER_CACHE_MAX - 1);
    assert_asked(fixture, "x.many.example", 2 * RESOLVER_CACHE_MAX);
    ask(fixture, "one.example");
    assert_asked(fixture, "one.example", 4);
}

/* --- sharing and bounds --- */

static void
test_one_question_for_all_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked[5];
    dns_server_set_gate(&fixture->server, true);
    for (uint16_t i = 0; i < 5; i++) {
        assert_non_null(start(fixture, &asked[i], "a.held.example", i + 1));
        if (i == 0)
            dns_server_wait_held(&fixture->server, 2);
    }
    dns_server_set_gate(&fixture->server, false);
    run_until(fixture->world, was_answered, &asked[4]);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(asked[i].count, 1);
        assert_int_equal(asked[i].port, i + 1);
        assert_string_equal(asked[i].addresses, "192.0.2.10");
    }
    assert_asked(fixture, "a.held.example", 2);
}

static void
test_unusable_names_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char name[300];
    struct asked asked;
    static const char *const names[] = {"",    "a b",  "a\\b", "a/b", "\xc3\xa4.example",
                                        "a\n", "[::1]"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_null(start(fixture, &asked, names[i], 1));
    memset(name, 'a', sizeof name);
    name[256] = 0;
    assert_null(start(fixture, &asked, name, 1));
    assert_null(resolver_lookup(fixture->resolver, STR("a\0b"), 1, fixture->world->loop,
                                take_answer, &asked));
    name[255] = 0;
    assert_failure(fixture, name, strcat(strcpy(asked.failure, name), ": not a host name"));
}

static void
test_names_under_way_have_a_bound(void **state)
{
    struct fixture *fixture = *state;
    static struct asked asked[RESOLVER_QUERIES_MAX + 2];
    char name[32];
    fixture->config.dns.try_ms = 2000;
    renew_resolver(fixture);
    dns_server_set_gate(&fixture->server, true);
    for (unsigned i = 0; i < RESOLVER_QUERIES_MAX; i++) {
        snprintf(name, sizeof name, "n%u.held.example", i);
        assert_non_null(start(fixture, &asked[i], name, 1));
    }
    assert_null(start(fixture, &asked[RESOLVER_QUERIES_MAX + 1], "more.held.example", 1));
    assert_non_null(start(fixture, &asked[RESOLVER_QUERIES_MAX], "n0.held.example", 1));
    assert_addresses(fixture, "127.0.0.1", "127.0.0.1");
    dns_server_wait_held(&fixture->server, 2 * RESOLVER_QUERIES_MAX);
    dns_server_set_gate(&fixture->server, false);
    for (unsigned i = 0; i <= RESOLVER_QUERIES_MAX; i++)
        run_until(fixture->world, was_answered, &asked[i]);
    assert_addresses(fixture, "one.example", "192.0.2.1");
}

static void
test_lookups_that_wait_have_a_bound(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked = {0};
    dns_server_set_gate(&fixture->server, true);
    for (unsigned i = 0; i < RESOLVER_WAITING_MAX; i++)
        assert_non_null(resolver_lookup(fixture->resolver, STR("a.held.example"), 1,
                                        fixture->world->loop, take_answer, &asked));
    assert_null(resolver_lookup(fixture->resolver, STR("a.held.example"), 1, fixture->world->loop,
                                take_answer, &asked));
}

/* --- going away --- */

static void
test_cancelled_lookups_are_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct asked first, second, posted;
    dns_server_set_gate(&fixture->server, true);
    struct resolver_lookup *waiting = start(fixture, &first, "a.held.example", 1);
    assert_non_null(start(fixture, &second, "a.held.example", 1));
    resolver_cancel(start(fixture, &posted, "127.0.0.1", 1));
    resolver_cancel(waiting);
    resolver_cancel(start(fixture, &posted, "b.held.example", 1));
    dns_server_wait_held(&fixture->server, 4);
    dns_server_set_gate(&fixture->server, false);
    run_until(fixture->world, was_answered, &second);
    run_for(fixture->world, 50);
    assert_int_equal(first.count + posted.count, 0);
    assert_addresses(fixture, "b.held.example", "192.0.2.10"); /* asked for all the same */
    assert_asked(fixture, "a.held.example", 4);
    struct resolver_lookup *kept = start(fixture, &first, "a.held.example", 1);
    resolver_cancel(kept);
    run_for(fixture->world, 20);
    assert_int_equal(first.count, 0);
}

/* Waiting in every state when the loop goes: nothing is leaked, nothing runs. */
static void
test_a_loop_that_goes_away(void **state)
{
    struct fixture *fixture = *state;
    struct asked waiting, other, posted;
    struct error error;
    struct loop *loop;
    assert_int_equal(loop_new(&loop, world_backend, &error), 0);
    dns_server_set_gate(&fixture->server, true);
    assert_non_null(start(fixture, &other, "a.held.example", 1));
    struct loop *kept = fixture->world->loop;
    fixture->world->loop = loop;
    assert_non_null(start(fixture, &waiting, "a.held.example", 1));
    assert_non_null(start(fixture, &waiting, "b.held.example", 1));
    assert_non_null(start(fixture, &posted, "127.0.0.1", 1));
    fixture->world->loop = kept;
    resolver_detach(fixture->resolver, loop);
    loop_free(loop);
    dns_server_set_gate(&fixture->server, false);
    run_until(fixture->world, was_answered, &other);
    assert_int_equal(waiting.count + posted.count, 0);
    assert_addresses(fixture, "b.held.example", "192.0.2.10");
}

static void
test_freeing_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked[2];
    fixture->config.dns.try_ms = 5000;
    renew_resolver(fixture);
    dns_server_set_gate(&fixture->server, true);
    assert_non_null(start(fixture, &asked[0], "silent.example", 1));
    assert_non_null(start(fixture, &asked[1], "a.held.example", 1));
    dns_server_wait_held(&fixture->server, 2);
    uint64_t start_ns = loop_clock_ns();
    renew_resolver(fixture);
    assert_true((loop_clock_ns() - start_ns) / MS < 500);
    run_for(fixture->world, 20);
    assert_int_equal(asked[0].count + asked[1].count, 0);
}

/* A resolver that is not used has nothing to end. */
static void
test_unused(void **state)
{
    struct resolver *resolver;
    struct error error;
    assert_int_equal(resolver_new(&resolver, NULL, &error), 0);
    resolver_free(resolver);
    resolver_free(NULL);
}

/* --- resolv.conf --- */

/* The network comes up: what had failed is forgotten. */
static void
test_other_servers_are_noticed(void **state)
{
    struct fixture *fixture = *state;
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.77\n");
    renew_resolver(fixture);
    assert_failure(fixture, "one.example",
                   "one.example: the name server failed or cannot be reached");
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.1\n");
    run_for(fixture->world, RESOLVER_CONF_MS + 50);
    assert_addresses(fixture, "six.example", "2001:db8::6");
    assert_addresses(fixture, "one.example", "192.0.2.1");
}

/* A server that takes questions and says nothing. */
static int
use_mute_server(struct fixture *fixture)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(fixture->server.port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "127.0.0.78", &addr.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.78\n");
    fixture->config.dns.try_ms = 30000;
    return fd;
}

static void
test_names_under_way_go_to_the_other_server(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked;
    int mute = use_mute_server(fixture);
    renew_resolver(fixture);
    assert_non_null(start(fixture, &asked, "one.example", 443));
    run_for(fixture->world, 50);
    assert_int_equal(asked.count, 0);
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.1\n");
    run_until(fixture->world, was_answered, &asked);
    assert_string_equal(asked.addresses, "192.0.2.1");
    close(mute);
}

/* Nobody waits for them any more. */
static void
test_late_names_do_not_go_to_the_other_server(void **state)
{
    struct fixture *fixture = *state;
    int mute = use_mute_server(fixture);
    fixture->config.lookup_ms = 50;
    renew_resolver(fixture);
    assert_failure(fixture, "one.example", "one.example: timed out");
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.1\n");
    run_for(fixture->world, RESOLVER_CONF_MS + 100);
    assert_asked(fixture, "one.example", 0);
    assert_addresses(fixture, "one.example", "192.0.2.1");
    assert_asked(fixture, "one.example", 2);
    close(mute);
}

static void
test_next_server_is_asked(void **state)
{
    struct fixture *fixture = *state;
    dns_server_write_conf(&fixture->server, "nameserver 127.0.0.77\nnameserver 127.0.0.1\n");
    renew_resolver(fixture);
    assert_addresses(fixture, "one.example", "192.0.2.1");
}

#define with_resolver(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_resolver(test_names_have_addresses_of_either_family),
        with_resolver(test_numeric_addresses_need_no_thread),
        with_resolver(test_families_take_turns),
        with_resolver(test_many_addresses_are_cut),
        with_resolver(test_aliases_are_followed),
        with_resolver(test_search_list),
        with_resolver(test_case_does_not_matter),
        with_resolver(test_localhost_is_not_asked_for),
        with_resolver(test_hosts_file),
        with_resolver(test_truncated_answers_are_asked_for_over_tcp),
        with_resolver(test_tcp_that_breaks),
        with_resolver(test_missing_names),
        with_resolver(test_failing_servers),
        with_resolver(test_malformed_answers),
        with_resolver(test_forged_answers_are_ignored),
        with_resolver(test_no_name_server),
        with_resolver(test_silent_server_is_given_up),
        with_resolver(test_half_an_answer),
        with_resolver(test_slow_name_holds_up_no_other),
        with_resolver(test_the_whole_has_a_limit),
        with_resolver(test_late_answers_are_kept),
        with_resolver(test_answers_live_as_long_as_their_records),
        with_resolver(test_failures_are_kept),
        with_resolver(test_kept_answers_serve_any_port),
        with_resolver(test_oldest_answers_go_first),
        with_resolver(test_one_question_for_all_who_wait),
        with_resolver(test_unusable_names_are_refused),
        with_resolver(test_names_under_way_have_a_bound),
        with_resolver(test_lookups_that_wait_have_a_bound),
        with_resolver(test_cancelled_lookups_are_not_answered),
        with_resolver(test_a_loop_that_goes_away),
        with_resolver(test_freeing_does_not_wait),
        with_resolver(test_unused),
        with_resolver(test_other_servers_are_noticed),
        with_resolver(test_names_under_way_go_to_the_other_server),
        with_resolver(test_late_names_do_not_go_to_the_other_server),
        with_resolver(test_next_server_is_asked),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("resolver", run_group);
}
