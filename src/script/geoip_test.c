/* Look-ups of addresses: records as JSON, odd addresses, and databases that are damaged. */
#include "script/geoip.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "script/geoip_test_run.h"

static char json[GEOIP_RECORD_MAX];
static size_t json_len;

static bool
find(const struct geoip *geoip, const char *address)
{
    /* In a block of exactly its size, so that a sanitizer sees a step too far. */
    size_t len = strlen(address);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, address, len);
    bool found = geoip_find(geoip, str_make(copy, len), json, &json_len);
    free(copy);
    return found;
}

static void
expect(const struct geoip *geoip, const char *address, const char *expected)
{
    if (!find(geoip, address))
        fail_msg("%s: nothing", address);
    if (!str_eq(str_make(json, json_len), str_from_cstr(expected)))
        fail_msg("%s: %.*s", address, (int)json_len, json);
}

static const char city[] =
    "{\"city\":{\"names\":{\"de\":\"K\xc3\xb6ln\",\"en\":\"Cologne\"}},"
    "\"country\":{\"iso_code\":\"DE\",\"names\":{\"de\":\"Deutschland\",\"en\":\"Germany\"}},"
    "\"location\":{\"accuracy_radius\":100,\"latitude\":50.9333,\"longitude\":6.95},"
    "\"registered_country\":{\"iso_code\":\"DE\",\"names\":{\"de\":\"Deutschland\",\"en\":"
    "\"Germany\"}},\"traits\":{\"is_anonymous\":false}}";

static const char network[] =
    "{\"autonomous_system_number\":64500,\"autonomous_system_organization\":\"Example\"}";

static void
records_become_json(void **state)
{
    struct geoip *geoip = geoip_test_sample();
    expect(geoip, "192.0.2.1", city);
    expect(geoip, "192.0.2.255", city);
    expect(geoip, "2001:db8::1", network);
    expect(geoip, "2001:0DB8:ffff:ffff:ffff:ffff:ffff:ffff", network);
    assert_false(find(geoip, "192.0.3.0"));
    assert_false(find(geoip, "192.0.1.255"));
    assert_false(find(geoip, "2001:db9::"));
    assert_false(find(geoip, "::1"));
    geoip_close(geoip);
}

static void
every_type_becomes_json(void **state)
{
    struct geoip *geoip = geoip_test_sample();
    expect(geoip, "198.51.100.7",
           "{\"array\":[\"a\",\"b\",[],{}],\"bytes\":\"00ff\",\"double\":-1.5,\"false\":false,"
           "\"float\":0.25,\"int32\":-2147483648,\"text\":\"quote\\u0022 slash\\u005c tab\\u0009 "
           "nul\\u0000 \xc3\xa9\",\"true\":true,\"uint16\":65535,\"uint32\":4294967295,"
           "\"uint64\":18446744073709551615,\"uint128\":\"0xffffffffffffffffffffffffffffffff\","
           "\"zero\":0}");
    geoip_close(geoip);
}

static void
addresses_may_have_ports(void **state)
{
    struct geoip *geoip = geoip_test_sample();
    expect(geoip, "192.0.2.1:443", city);
    expect(geoip, "[2001:db8::1]:443", network);
    expect(geoip, "[2001:db8::1]", network);
    expect(geoip, "::ffff:192.0.2.1", city);
    expect(geoip, "[::ffff:192.0.2.1]:80", city);
    geoip_close(geoip);
}

static void
addresses_that_are_none(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        "::",
        "a",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "192.0.2.01",
        " 192.0.2.1",
        "192.0.2.1/24",
        "[192.0.2.1",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]443",
        "[",
        "[]",
        "[]:1",
        ":443",
        "2001:db8::1%eth0",
        "localhost",
        "2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    struct geoip *geoip = geoip_test_sample();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (find(geoip, cases[i]))
            fail_msg("%s", cases[i]);
    assert_false(geoip_find(geoip, STR("192.0.2.1\0"), json, &json_len));
    geoip_close(geoip);
}

static void
databases_of_ipv4_alone(void **state)
{
    const char *const databases[] = {ipv4_28_hex, ipv4_32_hex};
    for (unsigned i = 0; i < 2; i++) {
        char bytes[GEOIP_TEST_MAX];
        struct error error;
        size_t len = geoip_test_bytes(databases[i], bytes);
        struct geoip *geoip = geoip_test_open(bytes, len, &error);
        assert_non_null(geoip);
        expect(geoip, "127.255.255.255", "{\"half\":1}");
        expect(geoip, "192.0.2.128", "{\"a\":\"b\"}");
        expect(geoip, "255.255.255.255", "\"text\"");
        assert_false(find(geoip, "192.0.2.127"));
        assert_false(find(geoip, "2001:db8::1"));
        geoip_close(geoip);
    }
}

/* --- opening --- */

static void
expect_error(const char *path, const char *why)
{
    struct geoip *geoip;
    struct error error;
    assert_int_equal(geoip_open(&geoip, path, &error), -1);
    if (!str_icontains(str_from_cstr(error.text), str_from_cstr(path)) ||
        !str_icontains(str_from_cstr(error.text), str_from_cstr(why)))
        fail_msg("%s: %s", path, error.text);
}

static void
what_cannot_be_opened_is_named(void **state)
{
    char dir[] = "/tmp/tarn-geoip-XXXXXX", fifo[64];
    expect_error("/nowhere/at/all.mmdb", "cannot be opened: No such file");
    expect_error("/tmp", "not a file");
    expect_error("/dev/zero", "not a file");
    assert_non_null(mkdtemp(dir));
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_error(fifo, "not a file"); /* and does not wait for a writer */
    unlink(fifo);
    rmdir(dir);
    expect_error("Makefile", "not a MaxMind database");
    struct error error;
    assert_null(geoip_test_open("", 0, &error));
    assert_null(geoip_test_open("x", 1, &error));
}

static void
the_file_may_be_cut_afterwards(void **state)
{
    char path[] = "/tmp/tarn-geoip-XXXXXX", bytes[GEOIP_TEST_MAX];
    struct geoip *geoip;
    struct error error;
    int fd = mkstemp(path);
    size_t len = geoip_test_bytes(sample_hex, bytes);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(geoip_open(&geoip, path, &error), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    unlink(path);
    expect(geoip, "192.0.2.1", city);
    geoip_close(geoip);
    geoip_close(NULL);
}

/* --- damage --- */

static void
look_up_all(const struct geoip *geoip)
{
    static const char *const addresses[] = {"192.0.2.1", "198.51.100.7",    "2001:db8::1",
                                            "10.1.2.3",  "255.255.255.255", "::"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (find(geoip, addresses[i]))
            assert_true(json_len > 0 && json_len <= GEOIP_RECORD_MAX);
}

/* Every byte of the small ones, and a part of those of the sample: changed in several ways. */
static void
damaged_databases_harm_nobody(void **state)
{
    static const unsigned char masks[] = {0x01, 0x08, 0x20, 0x80, 0xff};
    const char *const databases[] = {ipv4_28_hex, sample_hex};
    unsigned opened = 0;
    for (unsigned i = 0; i < 2; i++) {
        char bytes[GEOIP_TEST_MAX];
        size_t len = geoip_test_bytes(databases[i], bytes);
        for (size_t at = 0; at < len; at += 1 + 6 * i)
            for (size_t j = 0; j < sizeof masks; j++) {
                struct error error;
                bytes[at] = (char)(bytes[at] ^ masks[j]);
                struct geoip *geoip = geoip_test_open(bytes, len, &error);
                bytes[at] = (char)(bytes[at] ^ masks[j]);
                if (!geoip)
                    continue;
                look_up_all(geoip);
                geoip_close(geoip);
                opened++;
            }
        for (size_t cut = 0; cut < len; cut += 1 + 6 * i) {
            struct error error;
            struct geoip *geoip = geoip_test_open(bytes, cut, &error);
            if (geoip)
                look_up_all(geoip);
            geoip_close(geoip);
        }
    }
    assert_true(opened > 500);
}

/* A record in the place of "{"half": 1}", which every address below 128.0.0.0 has. */
static bool
with_record(struct str record)
{
    char bytes[GEOIP_TEST_MAX];
    struct error error;
    size_t len = geoip_test_bytes(ipv4_28_hex, bytes);
    size_t at = str_find(str_make(bytes, len), STR("\xe1\x44half"));
    assert_true(at < len && at + record.len < len);
    memcpy(bytes + at, record.ptr, record.len);
    struct geoip *geoip = geoip_test_open(bytes, len, &error);
    assert_non_null(geoip);
    bool found = find(geoip, "10.0.0.1");
    geoip_close(geoip);
    return found;
}

static void
records_that_name_themselves_end(void **state)
{
    /* Pointers to offset 0, where the record is. */
    assert_false(with_record(STR("\x20\x00")));                                 /* itself */
    assert_false(with_record(STR("\xe1\x41k\x20\x00")));                        /* {"k": itself} */
    assert_false(with_record(STR("\xe2\x41k\x20\x00\x41l\x20\x00")));           /* twice: 2^depth */
    assert_false(with_record(STR("\x04\x04\x20\x00\x20\x00\x20\x00\x20\x00"))); /* [itself x 4] */
    assert_false(with_record(STR("\xe1\x20\x00\x41k")));                        /* as a name */
    assert_false(with_record(STR("\x3f\xff\xff\xff\xff")));                     /* far outside */
    assert_false(with_record(STR("\xff\xff\xff\xff")));       /* a map of 16 million members */
    assert_false(with_record(STR("\x1f\x04\xff\xff\xff")));   /* an array of them */
    assert_false(with_record(STR("\x5f\xff\xff\xff")));       /* a string of 16 MiB */
    assert_false(with_record(STR("\x42\xc3(")));              /* no UTF-8 */
    assert_false(with_record(STR("\xe1\x01k")));              /* a name that is a number */
    assert_false(with_record(STR("\x00\x05")));               /* a container */
    assert_false(with_record(STR("\x00\x06")));               /* an end marker */
    assert_false(with_record(STR("\x00\xff")));               /* a type that is none */
    assert_false(with_record(STR("\x62\x00\x00")));           /* a double of two bytes */
    assert_false(with_record(STR("\xc9\0\0\0\0\0\0\0\0\1"))); /* a number of nine bytes */
    assert_true(with_record(STR("\xe1\x44hall\xc1\x01")));
}

/* What "city" is in the sample's first record: that many arrays inside of each other. */
static bool
with_depth(unsigned depth)
{
    char bytes[GEOIP_TEST_MAX];
    struct error error;
    size_t len = geoip_test_bytes(sample_hex, bytes);
    size_t at = str_find(str_make(bytes, len), STR("\xe5\x44"
                                                   "city"));
    assert_true(at + 2 * depth + 2 < len);
    bytes[at] = '\xe1';
    for (unsigned i = 1; i < depth; i++)
        memcpy(bytes + at + 4 + 2 * i, "\x01\x04", 2);
    memcpy(bytes + at + 4 + 2 * depth, "\xc1\x07", 2);
    struct geoip *geoip = geoip_test_open(bytes, len, &error);
    assert_non_null(geoip);
    bool found = find(geoip, "192.0.2.1");
    geoip_close(geoip);
    return found;
}

static void
deep_records_are_refused(void **state)
{
    assert_true(with_depth(1));
    assert_memory_equal(json, "{\"city\":7}", 10);
    assert_true(with_depth(2));
    assert_memory_equal(json, "{\"city\":[7]}", 12);
    assert_true(with_depth(GEOIP_DEPTH_MAX));
    assert_false(with_depth(GEOIP_DEPTH_MAX + 1));
}

/* Each of the four lengths of a pointer, in a database that is large enough. */
static void
pointers_of_all_lengths(void **state)
{
    enum { DATA_LEN = 700000 };
    static const struct {
        struct str pointer;
        size_t to;
    } cases[] = {
        {STR_INIT("\x20\x40"), 64},
        {STR_INIT("\x27\xff"), 2047},
        {STR_INIT("\x28\x00\x00"), 2048},
        {STR_INIT("\x29\x02\x03"), 2048 + 0x10203},
        {STR_INIT("\x30\x00\x00\x00"), 526336},
        {STR_INIT("\x30\x01\x02\x03"), 526336 + 0x10203},
        {STR_INIT("\x38\x00\x0a\x00\x00"), 0xa0000},
    };
    static char bytes[GEOIP_TEST_MAX + DATA_LEN];
    char small[GEOIP_TEST_MAX];
    size_t len = geoip_test_bytes(ipv4_28_hex, small);
    size_t start = str_find(str_make(small, len), STR("\xe1\x44half"));
    struct str metadata = str_skip(str_make(small, len),
                                   str_find(str_make(small, len), STR("\xab\xcd\xefMaxMind.com")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error;
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, small, start);
        memcpy(bytes + start, cases[i].pointer.ptr, cases[i].pointer.len);
        memcpy(bytes + start + cases[i].to,
               "\x43"
               "far",
               4);
        memcpy(bytes + start + DATA_LEN, metadata.ptr, metadata.len);
        struct geoip *geoip = geoip_test_open(bytes, start + DATA_LEN + metadata.len, &error);
        assert_non_null(geoip);
        expect(geoip, "10.0.0.1", "\"far\"");
        geoip_close(geoip);
    }
}

static void
numbers_that_json_has_not_are_null(void **state)
{
    assert_true(with_record(STR("\x68\x7f\xf0\0\0\0\0\0\0")));
    assert_memory_equal(json, "null", 4);
    assert_true(with_record(STR("\x04\x08\x7f\xc0\0\0")));
    assert_memory_equal(json, "null", 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_become_json),
        cmocka_unit_test(every_type_becomes_json),
        cmocka_unit_test(addresses_may_have_ports),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(databases_of_ipv4_alone),
        cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(the_file_may_be_cut_afterwards),
        cmocka_unit_test(damaged_databases_harm_nobody),
        cmocka_unit_test(records_that_name_themselves_end),
        cmocka_unit_test(deep_records_are_refused),
        cmocka_unit_test(pointers_of_all_lengths),
        cmocka_unit_test(numbers_that_json_has_not_are_null),
    };
    return cmocka_run_group_tests_name("geoip", tests, NULL, NULL);
}
