#include "base/limits.h"
#include "tls/ech_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/base64.h>
#include <openssl/curve25519.h>
#include <openssl/hpke.h>
#include <openssl/ssl.h>

/* --- configs and files made by hand --- */

struct config {
    uint16_t version, kem;
    uint8_t id;
    struct str public_key; /* empty: the one that belongs to the private key */
    struct str suites, public_name, extensions;
    int length_off; /* added to the length of the body */
    struct str behind;
};

#define GOOD                                                                \
    (struct config)                                                         \
    {                                                                       \
        .version = 0xfe0d, .kem = 0x20, .id = 7, .suites = STR("\0\1\0\1"), \
        .public_name = STR("cover.example.com")                             \
    }

static const uint8_t private_key[32] = "a private key of thirty-two byte";

static void
put_u16(struct buf *out, size_t value)
{
    buf_append_char(out, (char)(value >> 8));
    buf_append_char(out, (char)value);
}

static void
put_config(struct buf *out, struct config config)
{
    struct buf body;
    uint8_t public_key[32];
    X25519_public_from_private(public_key, private_key);
    if (!config.public_key.len)
        config.public_key = str_make((const char *)public_key, 32);
    buf_init(&body, 1 << 20);
    buf_append_char(&body, (char)config.id);
    put_u16(&body, config.kem);
    put_u16(&body, config.public_key.len);
    buf_append(&body, config.public_key);
    put_u16(&body, config.suites.len);
    buf_append(&body, config.suites);
    buf_append_char(&body, 0);
    buf_append_char(&body, (char)config.public_name.len);
    buf_append(&body, config.public_name);
    put_u16(&body, config.extensions.len);
    buf_append(&body, config.extensions);
    put_u16(out, config.version);
    put_u16(out, body.len + (size_t)config.length_off);
    buf_append(out, buf_str(&body));
    buf_append(out, config.behind);
    buf_deinit(&body);
}

static void
put_block(struct buf *out, const char *label, struct str bytes)
{
    uint8_t *text = malloc(bytes.len * 2 + 8);
    size_t len = EVP_EncodeBlock(text, (const uint8_t *)bytes.ptr, bytes.len);
    buf_printf(out, "-----BEGIN %s-----\n%.*s\n-----END %s-----\n", label, (int)len, text, label);
    free(text);
}

#define KEY "ECH PRIVATE KEY"
#define CONFIG "ECH CONFIG"

static struct str
key_bytes(void)
{
    return str_make((const char *)private_key, sizeof private_key);
}

static void
put_pair(struct buf *out, struct config config)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    put_config(&bytes, config);
    put_block(out, KEY, key_bytes());
    put_block(out, CONFIG, buf_str(&bytes));
    buf_deinit(&bytes);
}

/* Reads text as the file "f". NULL: *error says why not. */
static struct ech_keys *
read_text(struct str text, struct error *error)
{
    struct ech_keys *keys = ech_keys_new();
    char *copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.ptr, text.len);
    int result = ech_keys_add_text(keys, str_make(copy, text.len), "f", error);
    if (result == 0)
        result = ech_keys_finish(keys, error);
    free(copy);
    if (result == 0)
        return keys;
    ech_keys_free(keys);
    return NULL;
}

static void
assert_text_refused(struct str text, const char *expected)
{
    struct error error;
    assert_null(read_text(text, &error));
    assert_string_equal(error.text, expected);
}

static void
assert_pair_refused(struct config config, const char *expected)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    put_pair(&text, config);
    assert_text_refused(buf_str(&text), expected);
    buf_deinit(&text);
}

static void
assert_pair_taken(struct config config)
{
    struct error error;
    struct buf text;
    buf_init(&text, 1 << 20);
    put_pair(&text, config);
    struct ech_keys *keys = read_text(buf_str(&text), &error);
    assert_non_null(keys);
    ech_keys_free(keys);
    buf_deinit(&text);
}

/* --- text --- */

static void
test_pair_is_read(void **state)
{
    struct error error;
    struct buf text, config;
    buf_init(&text, 1 << 20);
    buf_init(&config, 1 << 20);
    put_config(&config, GOOD);
    put_pair(&text, GOOD);
    struct ech_keys *keys = read_text(buf_str(&text), &error);
    assert_non_null(keys);
    assert_int_equal(ech_keys_count(keys), 1);
    const struct ech_pair *pair = ech_keys_at(keys, 0);
    assert_memory_equal(pair->private_key, private_key, 32);
    assert_true(str_eq(pair->config, buf_str(&config)));
    assert_int_equal(pair->config_id, 7);
    assert_true(str_eq(pair->public_name, STR("cover.example.com")));
    ech_keys_free(keys);
    buf_deinit(&config);
    buf_deinit(&text);
}

static void
test_text_around_and_line_forms(void **state)
{
    struct error error;
    struct buf text, crlf;
    struct config second = GOOD;
    second.id = 8;
    buf_init(&text, 1 << 20);
    buf_init(&crlf, 1 << 20);
    buf_append(&text, STR("written in November\n"));
    put_pair(&text, GOOD);
    buf_append(&text, STR("\nthe next one\n\n"));
    put_pair(&text, second);
    for (size_t i = 0; i < text.len - 1; i++) { /* also without the last line feed */
        if (text.ptr[i] == '\n')
            buf_append(&crlf, STR(" \r"));
        buf_append_char(&crlf, text.ptr[i]);
    }
    struct ech_keys *keys = read_text(buf_str(&crlf), &error);
    assert_non_null(keys);
    assert_int_equal(ech_keys_count(keys), 2);
    assert_int_equal(ech_keys_at(keys, 1)->config_id, 8);
    ech_keys_free(keys);
    buf_deinit(&crlf);
    buf_deinit(&text);
}

static void
test_list_holds_all_configs(void **state)
{
    struct error error;
    struct buf text, expected;
    struct config second = GOOD;
    second.id = 0;
    buf_init(&text, 1 << 20);
    buf_init(&expected, 1 << 20);
    put_config(&expected, GOOD);
    put_config(&expected, second);
    put_pair(&text, GOOD);
    put_pair(&text, second);
    struct ech_keys *keys = read_text(buf_str(&text), &error);
    struct str list = ech_keys_list_base64(keys);
    uint8_t bytes[1024];
    size_t len;
    assert_true(EVP_DecodeBase64(bytes, &len, sizeof bytes, (const uint8_t *)list.ptr, list.len));
    assert_int_equal(len, 2 + expected.len);
    assert_int_equal(bytes[0] << 8 | bytes[1], expected.len);
    assert_memory_equal(bytes + 2, expected.ptr, expected.len);
    ech_keys_free(keys);
    buf_deinit(&expected);
    buf_deinit(&text);
}

static void
test_order_of_blocks(void **state)
{
    struct buf pair, config_bytes, text;
    buf_init(&pair, 1 << 20);
    buf_init(&text, 1 << 20);
    buf_init(&config_bytes, 1 << 20);
    put_pair(&pair, GOOD);
    put_config(&config_bytes, GOOD);
    put_block(&text, CONFIG, buf_str(&config_bytes));
    assert_text_refused(buf_str(&text),
                        "f: line 1: ECH CONFIG without its ECH PRIVATE KEY before it");
    buf_clear(&text);
    put_block(&text, KEY, key_bytes());
    assert_text_refused(buf_str(&text),
                        "f: line 1: ECH PRIVATE KEY without an ECH CONFIG behind it");
    put_block(&text, KEY, key_bytes());
    assert_text_refused(buf_str(&text), "f: line 4: ECH PRIVATE KEY where the ECH CONFIG for the "
                                        "key of line 1 was expected");
    buf_clear(&text);
    buf_append(&text, buf_str(&pair));
    put_block(&text, CONFIG, buf_str(&config_bytes));
    assert_text_refused(buf_str(&text),
                        "f: line 7: ECH CONFIG without its ECH PRIVATE KEY before it");
    buf_deinit(&config_bytes);
    buf_deinit(&text);
    buf_deinit(&pair);
}

static void
test_broken_blocks(void **state)
{
    const char *none = "f: no ECH keys in it: expected the blocks ECH PRIVATE KEY and ECH CONFIG";
    assert_text_refused(STR(""), none);
    assert_text_refused(STR("hello\n"), none);
    assert_text_refused(STR("\n-----BEGIN CERTIFICATE-----\n"),
                        "f: line 2: block CERTIFICATE, expected ECH PRIVATE KEY and ECH CONFIG");
    assert_text_refused(STR("-----END ECH CONFIG-----\n"), "f: line 1: END without a BEGIN");
    assert_text_refused(STR("-----BEGIN ECH CONFIG-----\nAAAA\n"),
                        "f: line 1: ECH CONFIG: no END line");
    assert_text_refused(STR("-----BEGIN ECH CONFIG-----\nAAAA\n-----END ECH PRIVATE KEY-----\n"),
                        "f: line 3: END of another block than the ECH CONFIG of line 1");
    assert_text_refused(STR("-----BEGIN ECH CONFIG-----\nAAA\n-----END ECH CONFIG-----\n"),
                        "f: line 1: ECH CONFIG: not base64");
    assert_text_refused(STR("-----BEGIN ECH CONFIG-----\nAA!A\n-----END ECH CONFIG-----\n"),
                        "f: line 1: ECH CONFIG: not base64");
}

static void
test_lengths_of_blocks(void **state)
{
    struct buf text, zeros;
    buf_init(&text, 1 << 20);
    buf_init(&zeros, 1 << 20);
    put_block(&text, KEY, str_first(key_bytes(), 31));
    assert_text_refused(buf_str(&text), "f: line 1: ECH PRIVATE KEY: 31 bytes, expected 32");
    buf_clear(&text);
    put_block(&text, KEY, STR("a private key of thirty-two byte!"));
    assert_text_refused(buf_str(&text), "f: line 1: ECH PRIVATE KEY: 33 bytes, expected 32");
    buf_clear(&text);
    while (zeros.len < 1000)
        buf_append_char(&zeros, 0);
    put_block(&text, CONFIG, buf_str(&zeros));
    assert_text_refused(buf_str(&text), "f: line 1: ECH CONFIG: too long");
    buf_deinit(&zeros);
    buf_deinit(&text);
}

/* --- configs --- */

static void
test_lengths_in_config(void **state)
{
    struct config config = GOOD;
    config.length_off = 1;
    assert_pair_refused(config, "f: line 4: ECH CONFIG: 68 bytes are not one ECHConfig");
    config.length_off = -1;
    assert_pair_refused(config, "f: line 4: ECH CONFIG: 68 bytes are not one ECHConfig");
    config.length_off = 0;
    config.behind = STR("x");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: 69 bytes are not one ECHConfig");
    config.length_off = 1;
    assert_pair_refused(config, "f: line 4: ECH CONFIG: the lengths in it do not fit together");
}

static void
test_version_kem_extensions(void **state)
{
    struct config config = GOOD;
    config.version = 0xfe0a;
    assert_pair_refused(config, "f: line 4: ECH CONFIG: version 0xfe0a, expected 0xfe0d");
    config = GOOD;
    config.kem = 0x10;
    assert_pair_refused(config, "f: line 4: ECH CONFIG: key encapsulation 0x0010, expected 0x0020 "
                                "(X25519)");
    config = GOOD;
    config.extensions = STR("\0\1\0\0");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: extensions are not supported");
}

static void
test_public_key_belongs_to_private(void **state)
{
    struct config config = GOOD;
    config.public_key = STR("01234567890123456789012345678901");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: its public key does not belong to the ECH "
                                "PRIVATE KEY of line 1");
    config.public_key = STR("0123456789012345678901234567890");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: public key of 31 bytes, expected 32");
}

static void
test_cipher_suites(void **state)
{
    struct config config = GOOD;
    config.suites = STR("\0\1\0\1\0\1\0\2\0\1\0\3");
    assert_pair_taken(config);
    config.suites = STR("");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: expected 1 to 8 cipher suites");
    config.suites = STR("\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0\1");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: expected 1 to 8 cipher suites");
    config.suites = STR("\0\1\0\1\0\1");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: half a cipher suite");
    config.suites = STR("\0\1\0\4");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: cipher suite 0x0001 0x0004, expected "
                                "0x0001 with 0x0001, 0x0002 or 0x0003");
    config.suites = STR("\0\2\0\1");
    assert_pair_refused(config, "f: line 4: ECH CONFIG: cipher suite 0x0002 0x0001, expected "
                                "0x0001 with 0x0001, 0x0002 or 0x0003");
}

static void
test_public_name_in_config(void **state)
{
    const char *expected = "f: line 4: ECH CONFIG: its public name is not a host name such as "
                           "cover.example.com";
    struct config config = GOOD;
    config.public_name = STR("localhost");
    assert_pair_refused(config, expected);
    config.public_name = STR("");
    assert_pair_refused(config, expected);
    config.public_name = STR("a.b\n");
    assert_pair_refused(config, expected);
}

static void
test_public_names(void **state)
{
    char name[256];
    assert_true(ech_is_public_name(STR("a.b")));
    assert_true(ech_is_public_name(STR("Cover-1.Example.COM")));
    assert_true(ech_is_public_name(STR("1.2.3.x4")));
    assert_true(ech_is_public_name(STR("a.0xg")));
    const struct str refused[] = {STR(""),      STR("."),       STR("com"),     STR("a."),
                                  STR(".a"),    STR("a..b"),    STR("a_b.c"),   STR("a b.c"),
                                  STR("-a.b"),  STR("a-.b"),    STR("1.2.3.4"), STR("a.0x1f"),
                                  STR("a.0x"),  STR("a.b:443"), STR("*.a.b"),   STR("\xc3\xa4.de"),
                                  STR("a.\0b"), STR("[::1]")};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (ech_is_public_name(refused[i]))
            fail_msg("taken: %.*s", STR_ARG(refused[i]));
    memset(name, 'a', sizeof name);
    name[63] = name[127] = name[191] = '.';
    assert_true(ech_is_public_name(str_make(name, 253)));
    assert_false(ech_is_public_name(str_make(name, 254)));
    name[63] = 'a';
    name[64] = '.';
    assert_false(ech_is_public_name(str_make(name, 253)));
}

static void
test_repeated_id(void **state)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    put_pair(&text, GOOD);
    put_pair(&text, GOOD);
    assert_text_refused(buf_str(&text),
                        "f: line 10: ECH CONFIG: config id 0x07 was used by a pair before it");
    buf_deinit(&text);
}

/* 256 configs with names of full length are more than a list holds. */
static void
test_list_has_a_bound(void **state)
{
    char name[ECH_PUBLIC_NAME_MAX];
    struct error error;
    struct buf text;
    struct config config = GOOD;
    buf_init(&text, 1 << 20);
    memset(name, 'a', sizeof name);
    name[63] = name[127] = name[191] = '.';
    for (unsigned id = 0; id < 256; id++) {
        config.id = (uint8_t)id;
        config.public_name = str_make(name, id < 100 ? 17 + 64 : sizeof name);
        put_pair(&text, config);
    }
    struct ech_keys *keys = ech_keys_new();
    assert_int_equal(ech_keys_add_text(keys, buf_str(&text), "f", &error), 0);
    assert_int_equal(ech_keys_count(keys), 256);
    int result = ech_keys_finish(keys, &error);
    assert_int_equal(result, 0);
    ech_keys_free(keys);

    buf_clear(&text);
    for (unsigned id = 0; id < 256; id++) {
        config.id = (uint8_t)id;
        config.public_name = str_make(name, sizeof name);
        put_pair(&text, config);
    }
    assert_text_refused(buf_str(&text), "256 ECH configs do not fit into one list of 65535 bytes");
    buf_deinit(&text);
}

/* --- files --- */

struct folder {
    char path[64];
};

static int
setup_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    strcpy(folder->path, "/tmp/ech_keys_test_XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static int
teardown_folder(void **state)
{
    struct folder *folder = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder->path);
    int result = system(command);
    free(folder);
    return result;
}

static const char *
path_of(const struct folder *folder, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return path;
}

static void
write_file(const struct folder *folder, const char *name, struct str text)
{
    FILE *file = fopen(path_of(folder, name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static void
write_pair(const struct folder *folder, const char *name, uint8_t id)
{
    struct buf text;
    struct config config = GOOD;
    config.id = id;
    buf_init(&text, 1 << 20);
    put_pair(&text, config);
    write_file(folder, name, buf_str(&text));
    buf_deinit(&text);
}

static void
assert_load_refused(const struct folder *folder, const char *name, const char *expected)
{
    struct error error;
    struct ech_keys *keys;
    char path[128];
    snprintf(path, sizeof path, "%s%s%s", folder->path, *name ? "/" : "", name);
    assert_int_equal(ech_keys_load(&keys, path, &error), -1);
    assert_true(strncmp(error.text, folder->path, strlen(folder->path)) == 0);
    assert_string_equal(error.text + strlen(folder->path), expected);
}

static void
test_file_is_loaded(void **state)
{
    struct folder *folder = *state;
    struct error error;
    struct ech_keys *keys;
    write_pair(folder, "keys.pem", 200);
    assert_int_equal(ech_keys_load(&keys, path_of(folder, "keys.pem"), &error), 0);
    assert_int_equal(ech_keys_count(keys), 1);
    assert_int_equal(ech_keys_at(keys, 0)->config_id, 200);
    assert_true(ech_keys_list_base64(keys).len > 90);
    ech_keys_free(keys);
}

static void
test_directory_is_read_in_name_order(void **state)
{
    struct folder *folder = *state;
    struct error error;
    struct ech_keys *keys;
    char target[128];
    write_pair(folder, "b.pem", 1);
    write_pair(folder, "B.pem", 2);
    write_pair(folder, ".hidden", 3);
    write_pair(folder, "10.pem", 4);
    write_pair(folder, "9.pem", 5);
    assert_int_equal(mkdir(path_of(folder, "folder"), 0700), 0);
    write_pair(folder, "folder/inside.pem", 6);
    snprintf(target, sizeof target, "folder/inside.pem");
    assert_int_equal(symlink(target, path_of(folder, "link")), 0);
    assert_int_equal(ech_keys_load(&keys, folder->path, &error), 0);
    const uint8_t expected[] = {4, 5, 2, 1, 6};
    assert_int_equal(ech_keys_count(keys), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ech_keys_at(keys, i)->config_id, expected[i]);
    ech_keys_free(keys);
}

static void
test_id_repeated_in_another_file(void **state)
{
    struct folder *folder = *state;
    write_pair(folder, "a", 1);
    write_pair(folder, "b", 1);
    assert_load_refused(folder, "",
                        "/b: line 4: ECH CONFIG: config id 0x01 was used by a pair before it");
}

static void
test_files_that_cannot_be(void **state)
{
    struct folder *folder = *state;
    struct str large = str_make(calloc(1, ECH_FILE_MAX + 1), ECH_FILE_MAX + 1);
    assert_load_refused(folder, "none", "/none: cannot open: No such file or directory");
    assert_load_refused(folder, "", ": no file of ECH keys in this directory");
    write_pair(folder, "a", 1);
    write_file(folder, "notes", STR("hello\n"));
    assert_load_refused(folder, "",
                        "/notes: no ECH keys in it: expected the blocks ECH PRIVATE "
                        "KEY and ECH CONFIG");
    write_file(folder, "notes", large);
    assert_load_refused(folder, "",
                        "/notes: 1048577 bytes, a file of ECH keys has at most 1048576");
    unlink(path_of(folder, "notes"));
    assert_int_equal(symlink("nowhere", path_of(folder, "z")), 0);
    assert_load_refused(folder, "", "/z: cannot open: No such file or directory");
    assert_int_equal(mkfifo(path_of(folder, "fifo"), 0600), 0);
    assert_load_refused(folder, "fifo", "/fifo: expected a file or a directory of files");
    free((char *)large.ptr);
}

/* --- generated --- */

static void
test_generated_pair_is_read_again(void **state)
{
    struct error error;
    struct ech_keys *made, *again;
    struct buf text;
    buf_init(&text, 4096);
    assert_non_null(buf_reserve(&text, ECH_PEM_MAX));
    assert_int_equal(ech_keys_generate(&made, STR("cover.example.com"), &error), 0);
    const struct ech_pair *pair = ech_keys_at(made, 0);
    const char *before = text.ptr;
    ech_pair_print(pair, &text);
    assert_ptr_equal(text.ptr, before);
    for (struct str rest = buf_str(&text); rest.len;)
        assert_true(str_cut(&rest, '\n').len <= 64);
    again = read_text(buf_str(&text), &error);
    assert_non_null(again);
    const struct ech_pair *pair_again = ech_keys_at(again, 0);
    assert_memory_equal(pair->private_key, pair_again->private_key, 32);
    assert_true(str_eq(pair->config, pair_again->config));
    assert_true(str_eq(pair->public_name, STR("cover.example.com")));
    assert_int_equal(pair->config_id, pair_again->config_id);
    assert_true(str_eq(ech_keys_list_base64(made), ech_keys_list_base64(again)));
    ech_keys_free(made);
    ech_keys_free(again);
    buf_deinit(&text);
}

/* The longest name, and that the TLS library takes what we make. */
static void
test_library_takes_generated_pairs(void **state)
{
    char name[ECH_PUBLIC_NAME_MAX];
    memset(name, 'a', sizeof name);
    name[63] = name[127] = name[191] = '.';
    const struct str names[] = {STR("a.b"), str_make(name, sizeof name)};
    for (unsigned i = 0; i < 2; i++) {
        struct error error;
        struct ech_keys *keys;
        struct buf text;
        EVP_HPKE_KEY key;
        SSL_ECH_KEYS *library_keys = SSL_ECH_KEYS_new();
        assert_int_equal(ech_keys_generate(&keys, names[i], &error), 0);
        const struct ech_pair *pair = ech_keys_at(keys, 0);
        EVP_HPKE_KEY_zero(&key);
        assert_true(EVP_HPKE_KEY_init(&key, EVP_hpke_x25519_hkdf_sha256(), pair->private_key, 32));
        assert_true(SSL_ECH_KEYS_add(library_keys, 1, (const uint8_t *)pair->config.ptr,
                                     pair->config.len, &key));
        buf_init(&text, ECH_PEM_MAX);
        ech_pair_print(pair, &text);
        assert_false(buf_overflowed(&text));
        buf_deinit(&text);
        EVP_HPKE_KEY_cleanup(&key);
        SSL_ECH_KEYS_free(library_keys);
        ech_keys_free(keys);
    }
}

static void
test_generating_for_a_bad_name(void **state)
{
    struct error error;
    struct ech_keys *keys;
    assert_int_equal(ech_keys_generate(&keys, STR("localhost"), &error), -1);
    assert_string_equal(error.text,
                        "\"localhost\" is not a public name for ECH: expected a host name such as "
                        "cover.example.com, of at most 253 letters, digits, \"-\" and \".\"");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_is_read),
        cmocka_unit_test(test_text_around_and_line_forms),
        cmocka_unit_test(test_list_holds_all_configs),
        cmocka_unit_test(test_order_of_blocks),
        cmocka_unit_test(test_broken_blocks),
        cmocka_unit_test(test_lengths_of_blocks),
        cmocka_unit_test(test_lengths_in_config),
        cmocka_unit_test(test_version_kem_extensions),
        cmocka_unit_test(test_public_key_belongs_to_private),
        cmocka_unit_test(test_cipher_suites),
        cmocka_unit_test(test_public_name_in_config),
        cmocka_unit_test(test_public_names),
        cmocka_unit_test(test_repeated_id),
        cmocka_unit_test(test_list_has_a_bound),
        with_folder(test_file_is_loaded),
        with_folder(test_directory_is_read_in_name_order),
        with_folder(test_id_repeated_in_another_file),
        with_folder(test_files_that_cannot_be),
        cmocka_unit_test(test_generated_pair_is_read_again),
        cmocka_unit_test(test_library_takes_generated_pairs),
        cmocka_unit_test(test_generating_for_a_bad_name),
    };
    return cmocka_run_group_tests_name("ech_keys", tests, NULL, NULL);
}
