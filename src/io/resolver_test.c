/* The resolver: answers, what is kept, cancelling, and loops that go away, with a system of the
 * test's own. */
#include "io/loop_test_run.h"
#include "io/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>

/* --- the system: answers what the name says, after the gate is open --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    unsigned asked, inside;
    char last_name[256];
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int
test_system(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **out)
{
    pthread_mutex_lock(&gate.lock);
    gate.asked++;
    gate.inside++;
    snprintf(gate.last_name, sizeof gate.last_name, "%s", name);
    while (gate.shut)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.inside--;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    if (strncmp(name, "missing", 7) == 0)
        return EAI_NONAME;
    struct addrinfo numeric = *hints;
    numeric.ai_flags = AI_NUMERICHOST;
    return getaddrinfo("192.0.2.1", service, &numeric, out);
}

static void
gate_set(bool shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static unsigned
gate_asked(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned asked = gate.asked;
    pthread_mutex_unlock(&gate.lock);
    return asked;
}

/* Until the thread is inside the system (or no more). */
static void
gate_wait_inside(bool inside)
{
    pthread_mutex_lock(&gate.lock);
    while ((gate.inside > 0) != inside) {
        pthread_mutex_unlock(&gate.lock);
        usleep(1000);
        pthread_mutex_lock(&gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

/* --- the fixture --- */

struct fixture {
    struct world *world;
    struct resolver *resolver;
};

struct asked {
    unsigned count;
    unsigned address_count;
    char failure[128];
    char address[INET6_ADDRSTRLEN];
    uint16_t port;
};

static void
take_answer(void *arg, const struct resolver_answer *answer)
{
    struct asked *asked = arg;
    asked->count++;
    asked->address_count = answer->count;
    snprintf(asked->failure, sizeof asked->failure, "%s", answer->failure ? answer->failure : "");
    if (!answer->count)
        return;
    const struct sockaddr *first = (const struct sockaddr *)&answer->addresses[0].storage;
    const struct sockaddr_in *inet = (const struct sockaddr_in *)first;
    const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)first;
    bool is_inet = first->sa_family == AF_INET;
    inet_ntop(first->sa_family, is_inet ? (const void *)&inet->sin_addr : &inet6->sin6_addr,
              asked->address, sizeof asked->address);
    asked->port = ntohs(is_inet ? inet->sin_port : inet6->sin6_port);
    assert_int_equal(answer->addresses[0].len, is_inet ? sizeof *inet : sizeof *inet6);
}

static bool
was_answered(void *arg)
{
    const struct asked *asked = arg;
    return asked->count > 0;
}

static int
setup(void **state)
{
    struct error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    gate.asked = 0;
    gate.shut = false;
    if (world_setup((void **)&fixture->world) != 0)
        return -1;
    *state = fixture;
    return resolver_new(&fixture->resolver, test_system, &error);
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    gate_set(false);
    resolver_detach(fixture->resolver, fixture->world->loop);
    resolver_free(fixture->resolver);
    gate_wait_inside(false);
    world_teardown((void **)&fixture->world);
    free(fixture);
    return 0;
}

static struct resolver_lookup *
ask_for(struct fixture *fixture, struct asked *asked, struct str name, uint16_t port)
{
    *asked = (struct asked){0};
    return resolver_lookup(fixture->resolver, name, port, fixture->world->loop, take_answer, asked);
}

static void
assert_answer(struct fixture *fixture, struct str name, const char *address)
{
    struct asked asked;
    assert_non_null(ask_for(fixture, &asked, name, 443));
    assert_int_equal(asked.count, 0); /* not before the call returns */
    run_until(fixture->world, was_answered, &asked);
    assert_int_equal(asked.count, 1);
    assert_string_equal(asked.failure, "");
    assert_string_equal(asked.address, address);
    assert_int_equal(asked.port, 443);
}

static void
test_name_is_resolved(void **state)
{
    assert_answer(*state, STR("example.com"), "192.0.2.1");
    assert_string_equal(gate.last_name, "example.com");
}

static void
test_numeric_addresses_need_no_system(void **state)
{
    assert_answer(*state, STR("127.0.0.1"), "127.0.0.1");
    assert_answer(*state, STR("::1"), "::1");
    assert_int_equal(gate_asked(), 0);
}

static void
test_answers_are_kept_for_any_port(void **state)
{
    struct asked asked;
    for (unsigned i = 0; i < 3; i++)
        assert_answer(*state, STR("example.com"), "192.0.2.1");
    assert_int_equal(gate_asked(), 1);
    struct fixture *fixture = *state;
    assert_non_null(ask_for(fixture, &asked, STR("example.com"), 8443));
    run_until(fixture->world, was_answered, &asked);
    assert_int_equal(asked.port, 8443);
    assert_int_equal(gate_asked(), 1);
}

static void
test_failures_are_answers_and_kept(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct asked asked;
        assert_non_null(ask_for(fixture, &asked, STR("missing.example"), 443));
        run_until(fixture->world, was_answered, &asked);
        assert_int_equal(asked.address_count, 0);
        assert_string_equal(asked.failure, gai_strerror(EAI_NONAME));
    }
    assert_int_equal(gate_asked(), 1);
}

static void
test_two_who_wait_for_one_name_ask_once(void **state)
{
    struct fixture *fixture = *state;
    struct asked first, second;
    gate_set(true);
    assert_non_null(ask_for(fixture, &first, STR("example.com"), 1));
    gate_wait_inside(true);
    assert_non_null(ask_for(fixture, &second, STR("example.com"), 2));
    gate_set(false);
    run_until(fixture->world, was_answered, &second);
    assert_int_equal(first.count, 1);
    assert_int_equal(gate_asked(), 1);
}

static void
test_unusable_names_are_refused(void **state)
{
    char name[300];
    struct asked asked;
    memset(name, 'a', sizeof name);
    assert_null(ask_for(*state, &asked, STR(""), 1));
    assert_null(ask_for(*state, &asked, str_make(name, 256), 1));
    assert_null(ask_for(*state, &asked, STR("a\0b"), 1));
}

static void
test_the_queue_has_a_bound(void **state)
{
    struct fixture *fixture = *state;
    static struct asked asked[RESOLVER_QUEUE_MAX + 2];
    char name[32];
    gate_set(true);
    assert_non_null(ask_for(fixture, &asked[0], STR("zero.example"), 1));
    gate_wait_inside(true);
    for (unsigned i = 1; i <= RESOLVER_QUEUE_MAX; i++) {
        int len = snprintf(name, sizeof name, "n%u.example", i);
        assert_non_null(ask_for(fixture, &asked[i], str_make(name, (size_t)len), 1));
    }
    assert_null(ask_for(fixture, &asked[RESOLVER_QUEUE_MAX + 1], STR("more.example"), 1));
    assert_answer(fixture, STR("127.0.0.1"), "127.0.0.1");
    gate_set(false);
    run_until(fixture->world, was_answered, &asked[RESOLVER_QUEUE_MAX]);
    assert_int_equal(gate_asked(), 1 + RESOLVER_QUEUE_MAX);
    assert_non_null(ask_for(fixture, &asked[0], STR("zero.example"), 1));
    run_until(fixture->world, was_answered, &asked[0]);
}

static void
test_cancelled_lookups_are_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct asked inside, queued, posted;
    gate_set(true);
    struct resolver_lookup *first = ask_for(fixture, &inside, STR("a.example"), 1);
    gate_wait_inside(true);
    struct resolver_lookup *second = ask_for(fixture, &queued, STR("b.example"), 1);
    struct resolver_lookup *third = ask_for(fixture, &posted, STR("127.0.0.1"), 1);
    resolver_cancel(second);
    resolver_cancel(first);
    resolver_cancel(third);
    gate_set(false);
    run_for(fixture->world, 50);
    assert_int_equal(inside.count + queued.count + posted.count, 0);
    assert_int_equal(gate_asked(), 1);
}

/* Waiting in every state when the loop goes: nothing is leaked, nothing runs. */
static void
test_a_loop_that_goes_away(void **state)
{
    struct fixture *fixture = *state;
    struct asked inside, queued, posted;
    gate_set(true);
    assert_non_null(ask_for(fixture, &inside, STR("a.example"), 1));
    gate_wait_inside(true);
    assert_non_null(ask_for(fixture, &queued, STR("b.example"), 1));
    assert_non_null(ask_for(fixture, &posted, STR("127.0.0.1"), 1));
    resolver_detach(fixture->resolver, fixture->world->loop);
    loop_free(fixture->world->loop);
    gate_set(false);
    gate_wait_inside(false);
    struct error error;
    assert_int_equal(loop_new(&fixture->world->loop, world_backend, &error), 0);
    assert_answer(fixture, STR("a.example"), "192.0.2.1");
}

/* The thread is still inside the system's resolver: it ends by itself. */
static void
test_freeing_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct asked asked;
    gate_set(true);
    assert_non_null(ask_for(fixture, &asked, STR("slow.example"), 1));
    gate_wait_inside(true);
    resolver_detach(fixture->resolver, fixture->world->loop);
    resolver_free(fixture->resolver);
    gate_set(false);
    gate_wait_inside(false);
    usleep(20000);
    assert_int_equal(asked.count, 0);
    assert_int_equal(resolver_new(&fixture->resolver, test_system, &error), 0);
}

static void
test_system_resolver_knows_localhost(void **state)
{
    struct fixture *fixture = *state;
    struct resolver *resolver;
    struct error error;
    struct asked asked = {0};
    assert_int_equal(resolver_new(&resolver, NULL, &error), 0);
    assert_non_null(
        resolver_lookup(resolver, STR("localhost"), 80, fixture->world->loop, take_answer, &asked));
    run_until(fixture->world, was_answered, &asked);
    assert_string_equal(asked.failure, "");
    assert_true(asked.address_count >= 1);
    assert_int_equal(asked.port, 80);
    resolver_free(resolver);
}

#define with_resolver(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_resolver(test_name_is_resolved),
        with_resolver(test_numeric_addresses_need_no_system),
        with_resolver(test_answers_are_kept_for_any_port),
        with_resolver(test_failures_are_answers_and_kept),
        with_resolver(test_two_who_wait_for_one_name_ask_once),
        with_resolver(test_unusable_names_are_refused),
        with_resolver(test_the_queue_has_a_bound),
        with_resolver(test_cancelled_lookups_are_not_answered),
        with_resolver(test_a_loop_that_goes_away),
        with_resolver(test_freeing_does_not_wait),
        with_resolver(test_system_resolver_knows_localhost),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("resolver", run_group);
}
