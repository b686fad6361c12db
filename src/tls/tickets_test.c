#include "tls/tickets.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLAIN_LEN = 100, ROOM = PLAIN_LEN + TLS_TICKET_OVERHEAD };

struct fixture {
    struct tls_tickets *tickets;
    int64_t now_s;
};

static int64_t
clock_of(void *arg)
{
    return ((struct fixture *)arg)->now_s;
}

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct error error;
    fixture->now_s = 1000;
    if (tls_tickets_new(&fixture->tickets, &error) < 0)
        return -1;
    tls_tickets_set_clock(fixture->tickets, clock_of, fixture);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    tls_tickets_free(fixture->tickets);
    free(fixture);
    return 0;
}

static struct str
plain(void)
{
    static char text[PLAIN_LEN];
    memset(text, 'p', sizeof text);
    return str_make(text, sizeof text);
}

static struct str
seal(struct fixture *fixture, const char *name, uint8_t *out)
{
    size_t len;
    assert_true(tls_tickets_seal(fixture->tickets, str_from_cstr(name), plain(), out, &len));
    assert_int_equal(len, ROOM);
    return str_make((char *)out, len);
}

static bool
opens(struct fixture *fixture, const char *name, struct str sealed)
{
    uint8_t out[ROOM];
    size_t len = 0;
    if (!tls_tickets_open(fixture->tickets, str_from_cstr(name), sealed, out, &len))
        return false;
    assert_true(str_eq(str_make((char *)out, len), plain()));
    return true;
}

static void
a_ticket_opens_for_its_name_only(void **state)
{
    uint8_t room[ROOM];
    struct str sealed = seal(*state, "a.test", room);
    assert_true(opens(*state, "a.test", sealed));
    assert_false(opens(*state, "b.test", sealed));
    assert_false(opens(*state, "", sealed));
}

static void
every_changed_byte_and_every_cut_is_seen(void **state)
{
    uint8_t room[ROOM];
    struct str sealed = seal(*state, "a.test", room);
    for (size_t i = 0; i < sealed.len; i++) {
        room[i] ^= 1;
        assert_false(opens(*state, "a.test", sealed));
        room[i] ^= 1;
        assert_false(opens(*state, "a.test", str_first(sealed, i)));
    }
    assert_true(opens(*state, "a.test", sealed));
}

static void
sealing_and_opening_work_in_place(void **state)
{
    struct fixture *fixture = *state;
    uint8_t room[ROOM];
    size_t len;
    memcpy(room, plain().ptr, PLAIN_LEN);
    assert_true(tls_tickets_seal(fixture->tickets, STR("x"), str_make((char *)room, PLAIN_LEN),
                                 room, &len));
    assert_true(
        tls_tickets_open(fixture->tickets, STR("x"), str_make((char *)room, len), room, &len));
    assert_true(str_eq(str_make((char *)room, len), plain()));
}

/* The last 28 bytes: key name, nonce. */
static bool
same_key(struct str a, struct str b)
{
    return memcmp(a.ptr + a.len - 28, b.ptr + b.len - 28, 16) == 0;
}

static void
keys_seal_for_their_time_and_open_as_long_as_tickets_live(void **state)
{
    struct fixture *fixture = *state;
    uint8_t first_room[ROOM], last_room[ROOM], next_room[ROOM];
    int64_t start = fixture->now_s;
    struct str first = seal(fixture, "n", first_room);
    fixture->now_s = start + TLS_TICKET_KEY_S - 1;
    struct str last = seal(fixture, "n", last_room);
    assert_true(same_key(first, last));
    fixture->now_s = start + TLS_TICKET_KEY_S;
    struct str next = seal(fixture, "n", next_room);
    assert_false(same_key(first, next));
    fixture->now_s = start + TLS_TICKET_KEY_S + TLS_TICKET_LIFE_S - 1;
    assert_true(opens(fixture, "n", last));
    assert_true(opens(fixture, "n", next));
    fixture->now_s++;
    assert_false(opens(fixture, "n", last));
    assert_true(opens(fixture, "n", next));
}

static void
keys_do_not_pile_up(void **state)
{
    struct fixture *fixture = *state;
    uint8_t room[ROOM], old_room[ROOM];
    struct str old = seal(fixture, "n", old_room);
    for (unsigned i = 0; i < 1000; i++) {
        fixture->now_s += TLS_TICKET_KEY_S / 3 + i % 7 * TLS_TICKET_KEY_S;
        assert_true(opens(fixture, "n", seal(fixture, "n", room)));
    }
    assert_false(opens(fixture, "n", old));
}

static void *
work(void *arg)
{
    uint8_t room[ROOM];
    for (unsigned i = 0; i < 2000; i++)
        if (!opens(arg, "n", seal(arg, "n", room)))
            return arg;
    return NULL;
}

static void
threads_share_the_table(void **state)
{
    pthread_t threads[4];
    void *failed;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, *state), 0);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ticket_opens_for_its_name_only),
        TEST(every_changed_byte_and_every_cut_is_seen),
        TEST(sealing_and_opening_work_in_place),
        TEST(keys_seal_for_their_time_and_open_as_long_as_tickets_live),
        TEST(keys_do_not_pile_up),
        TEST(threads_share_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
