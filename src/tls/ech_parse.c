#include "base/must.h"
#include "tls/ech_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include <openssl/base64.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/mem.h>

/* Reading the text of a file of keys. The bytes of a block are collected as they stand, up to what
 * the longest block may need, then decoded at once. Whatever held a private key on the way is wiped
 * at the end. */

enum { BLOCK_TEXT_MAX = (ECH_CONFIG_MAX + 2) / 3 * 4, LABEL_MAX = 64 };

struct parser {
    struct ech_keys *keys;
    const char *name;
    struct error *error;
    struct str rest;
    unsigned line; /* of the text just taken off, from 1 */
    /* the block being read */
    struct str label;
    unsigned block_line;
    char text[BLOCK_TEXT_MAX];
    size_t text_len;
    uint8_t bytes[ECH_CONFIG_MAX + 2];
    size_t bytes_len;
    /* the pair being read */
    bool has_key;
    uint8_t key[ECH_PRIVATE_KEY_LEN];
    unsigned key_line;
    unsigned pair_count;
};

__attribute__((format(printf, 3, 4))) static int
refuse(struct parser *parser, unsigned line, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(parser->error, "%s: line %u: %s", parser->name, line, text);
}

/* --- the blocks (RFC 7468) --- */

static bool
next_line(struct parser *parser, struct str *out)
{
    if (!parser->rest.len)
        return false;
    *out = str_cut(&parser->rest, '\n');
    if (str_ends_with(*out, STR("\r")))
        out->len--;
    *out = str_trim(*out);
    parser->line++;
    return true;
}

/* Whether the line is `prefix`LABEL-----. */
static bool
is_boundary(struct str line, struct str prefix, struct str *label)
{
    struct str dashes = STR("-----");
    if (!str_starts_with(line, prefix) || line.len < prefix.len + dashes.len ||
        !str_ends_with(line, dashes))
        return false;
    *label = str_first(str_skip(line, prefix.len), line.len - prefix.len - dashes.len);
    return true;
}

static int
decode_block(struct parser *parser)
{
    if (!EVP_DecodeBase64(parser->bytes, &parser->bytes_len, sizeof parser->bytes,
                          (const uint8_t *)parser->text, parser->text_len))
        return refuse(parser, parser->block_line, "%.*s: not base64", STR_ARG(parser->label));
    return 0;
}

/* The lines behind a BEGIN, up to its END. */
static int
read_block(struct parser *parser)
{
    struct str line, label;
    parser->block_line = parser->line;
    parser->text_len = 0;
    while (next_line(parser, &line)) {
        if (is_boundary(line, STR("-----END "), &label)) {
            if (!str_eq(label, parser->label))
                return refuse(parser, parser->line, "END of another block than the %.*s of line %u",
                              STR_ARG(parser->label), parser->block_line);
            return decode_block(parser);
        }
        if (line.len > sizeof parser->text - parser->text_len)
            return refuse(parser, parser->block_line, "%.*s: too long", STR_ARG(parser->label));
        memcpy(parser->text + parser->text_len, line.ptr, line.len);
        parser->text_len += line.len;
    }
    return refuse(parser, parser->block_line, "%.*s: no END line", STR_ARG(parser->label));
}

/* --- the config (RFC 9849 section 4) --- */

static int
check_suites(struct parser *parser, CBS suites)
{
    uint16_t kdf, aead;
    if (CBS_len(&suites) == 0 || CBS_len(&suites) > 4 * ECH_SUITES_MAX)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": expected 1 to %d cipher suites", ECH_SUITES_MAX);
    while (CBS_len(&suites)) {
        if (!CBS_get_u16(&suites, &kdf) || !CBS_get_u16(&suites, &aead))
            return refuse(parser, parser->block_line, ECH_LABEL_CONFIG ": half a cipher suite");
        if (kdf != ECH_KDF_SHA256 || aead < ECH_AEAD_AES_128_GCM ||
            aead > ECH_AEAD_CHACHA20_POLY1305)
            return refuse(parser, parser->block_line,
                          ECH_LABEL_CONFIG ": cipher suite 0x%04x 0x%04x, expected 0x0001 with "
                                           "0x0001, 0x0002 or 0x0003",
                          kdf, aead);
    }
    return 0;
}

static int
check_public_key(struct parser *parser, CBS public_key)
{
    uint8_t expected[X25519_PUBLIC_VALUE_LEN];
    if (CBS_len(&public_key) != sizeof expected)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": public key of %zu bytes, expected 32",
                      CBS_len(&public_key));
    X25519_public_from_private(expected, parser->key);
    if (!CBS_mem_equal(&public_key, expected, sizeof expected))
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": its public key does not belong to the " ECH_LABEL_KEY
                                       " of line %u",
                      parser->key_line);
    return 0;
}

struct config {
    CBS public_key, suites, public_name, extensions;
    uint16_t kem;
    uint8_t id, maximum_name_len;
};

static int
read_config(struct parser *parser, struct config *out)
{
    CBS whole, body;
    uint16_t version;
    CBS_init(&whole, parser->bytes, parser->bytes_len);
    if (!CBS_get_u16(&whole, &version) || !CBS_get_u16_length_prefixed(&whole, &body) ||
        CBS_len(&whole))
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": %zu bytes are not one ECHConfig", parser->bytes_len);
    if (version != ECH_VERSION)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": version 0x%04x, expected 0x%04x", version, ECH_VERSION);
    if (!CBS_get_u8(&body, &out->id) || !CBS_get_u16(&body, &out->kem) ||
        !CBS_get_u16_length_prefixed(&body, &out->public_key) ||
        !CBS_get_u16_length_prefixed(&body, &out->suites) ||
        !CBS_get_u8(&body, &out->maximum_name_len) ||
        !CBS_get_u8_length_prefixed(&body, &out->public_name) ||
        !CBS_get_u16_length_prefixed(&body, &out->extensions) || CBS_len(&body))
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": the lengths in it do not fit together");
    return 0;
}

static int
check_config(struct parser *parser, const struct config *config)
{
    struct str name =
        str_make((const char *)CBS_data(&config->public_name), CBS_len(&config->public_name));
    if (config->kem != ECH_KEM_X25519)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": key encapsulation 0x%04x, expected 0x%04x (X25519)",
                      config->kem, ECH_KEM_X25519);
    if (check_public_key(parser, config->public_key) != 0 ||
        check_suites(parser, config->suites) != 0)
        return -1;
    if (!ech_is_public_name(name))
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": its public name is not a host name such as "
                                       "cover.example.com");
    if (CBS_len(&config->extensions))
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": extensions are not supported");
    if (parser->keys->id_taken[config->id])
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG ": config id 0x%02x was used by a pair before it",
                      config->id);
    return 0;
}

static int
add_pair(struct parser *parser)
{
    struct config config;
    if (read_config(parser, &config) != 0 || check_config(parser, &config) != 0)
        return -1;
    size_t name_off = (size_t)(CBS_data(&config.public_name) - parser->bytes);
    if (ech_keys_add(parser->keys, parser->key,
                     str_make((const char *)parser->bytes, parser->bytes_len), name_off,
                     CBS_len(&config.public_name)) != 0)
        return refuse(parser, parser->block_line, "no memory");
    parser->has_key = false;
    parser->pair_count++;
    return 0;
}

/* --- pairs of blocks --- */

static int
take_key(struct parser *parser)
{
    if (parser->has_key)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_KEY " where the " ECH_LABEL_CONFIG " for the key of line %u was "
                                    "expected",
                      parser->key_line);
    if (parser->bytes_len != ECH_PRIVATE_KEY_LEN)
        return refuse(parser, parser->block_line, ECH_LABEL_KEY ": %zu bytes, expected 32",
                      parser->bytes_len);
    memcpy(parser->key, parser->bytes, ECH_PRIVATE_KEY_LEN);
    parser->has_key = true;
    parser->key_line = parser->block_line;
    return 0;
}

static int
take_block(struct parser *parser)
{
    bool is_key = str_eq(parser->label, STR(ECH_LABEL_KEY));
    if (!is_key && !str_eq(parser->label, STR(ECH_LABEL_CONFIG)))
        return refuse(parser, parser->line,
                      "block %.*s, expected " ECH_LABEL_KEY " and " ECH_LABEL_CONFIG,
                      STR_ARG(str_first(parser->label, LABEL_MAX)));
    if (read_block(parser) != 0)
        return -1;
    if (is_key)
        return take_key(parser);
    if (!parser->has_key)
        return refuse(parser, parser->block_line,
                      ECH_LABEL_CONFIG " without its " ECH_LABEL_KEY " before it");
    return add_pair(parser);
}

static int
parse(struct parser *parser)
{
    struct str line, label;
    while (next_line(parser, &line)) {
        if (is_boundary(line, STR("-----END "), &label))
            return refuse(parser, parser->line, "END without a BEGIN");
        if (!is_boundary(line, STR("-----BEGIN "), &parser->label))
            continue;
        if (take_block(parser) != 0)
            return -1;
    }
    if (parser->has_key)
        return refuse(parser, parser->key_line,
                      ECH_LABEL_KEY " without an " ECH_LABEL_CONFIG " behind it");
    if (!parser->pair_count)
        return error_set(parser->error,
                         "%s: no ECH keys in it: expected the blocks " ECH_LABEL_KEY
                         " and " ECH_LABEL_CONFIG,
                         parser->name);
    return 0;
}

int
ech_keys_add_text(struct ech_keys *keys, struct str text, const char *name, struct error *error)
{
    struct parser parser = {.keys = keys, .name = name, .error = error, .rest = text};
    int result = parse(&parser);
    OPENSSL_cleanse(&parser, sizeof parser);
    return result;
}
