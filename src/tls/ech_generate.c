#include "base/must.h"
#include "tls/ech_internal.h"

#include <openssl/base64.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

/* What clients pad inner names to: names up to this length cannot be told apart by it. */
enum { MAXIMUM_NAME_LEN = 64 };

enum { LABEL_LEN_MAX = 63, COLUMNS = 64 };

static bool
is_name_char(char c)
{
    char lower = str_lower_char(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool
is_label(struct str label)
{
    if (label.len == 0 || label.len > LABEL_LEN_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_name_char(label.ptr[i]))
            return false;
    return true;
}

/* What a URL parser would read as the last part of an IPv4 address: digits, or 0x and hex digits
 * (RFC 9849 section 4 refers to the WHATWG's rule). */
static bool
is_number(struct str label)
{
    bool is_hex = label.len >= 2 && label.ptr[0] == '0' && str_lower_char(label.ptr[1]) == 'x';
    for (size_t i = is_hex ? 2 : 0; i < label.len; i++) {
        char c = str_lower_char(label.ptr[i]);
        if (!(c >= '0' && c <= '9') && !(is_hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

bool
ech_is_public_name(struct str name)
{
    unsigned labels = 0;
    struct str label = {0};
    if (name.len == 0 || name.len > ECH_PUBLIC_NAME_MAX || name.ptr[name.len - 1] == '.')
        return false;
    for (struct str rest = name; rest.len; labels++) {
        label = str_cut(&rest, '.');
        if (!is_label(label))
            return false;
    }
    return labels >= 2 && !is_number(label);
}

static bool
write_config(CBB *out, uint8_t id, const uint8_t public_key[32], struct str public_name)
{
    CBB body, child;
    return CBB_add_u16(out, ECH_VERSION) && CBB_add_u16_length_prefixed(out, &body) &&
           CBB_add_u8(&body, id) && CBB_add_u16(&body, ECH_KEM_X25519) &&
           CBB_add_u16_length_prefixed(&body, &child) && CBB_add_bytes(&child, public_key, 32) &&
           CBB_add_u16_length_prefixed(&body, &child) && CBB_add_u16(&child, ECH_KDF_SHA256) &&
           CBB_add_u16(&child, ECH_AEAD_AES_128_GCM) && CBB_add_u8(&body, MAXIMUM_NAME_LEN) &&
           CBB_add_u8_length_prefixed(&body, &child) &&
           CBB_add_bytes(&child, (const uint8_t *)public_name.ptr, public_name.len) &&
           CBB_add_u16(&body, 0);
}

static int
add_fresh_pair(struct ech_keys *keys, struct str public_name)
{
    uint8_t public_key[32], private_key[ECH_PRIVATE_KEY_LEN], config[ECH_CONFIG_MAX], id;
    size_t len;
    CBB out;
    X25519_keypair(public_key, private_key);
    RAND_bytes(&id, sizeof id);
    CBB_init_fixed(&out, config, sizeof config);
    must(write_config(&out, id, public_key, public_name) && CBB_finish(&out, NULL, &len));
    int result = ech_keys_add(keys, private_key, str_make((const char *)config, len),
                              len - 2 - public_name.len, public_name.len);
    OPENSSL_cleanse(private_key, sizeof private_key);
    return result;
}

int
ech_keys_generate(struct ech_keys **out, struct str public_name, struct error *error)
{
    if (!ech_is_public_name(public_name))
        return error_set(error,
                         "\"%.*s\" is not a public name for ECH: expected a host name such as "
                         "cover.example.com, of at most %d letters, digits, \"-\" and \".\"",
                         STR_ARG(str_first(public_name, 2 * ECH_PUBLIC_NAME_MAX / 3)),
                         ECH_PUBLIC_NAME_MAX);
    struct ech_keys *keys = ech_keys_new();
    if (!keys)
        return error_set(error, "no memory for an ECH key");
    if (add_fresh_pair(keys, public_name) != 0 || ech_keys_finish(keys, error) != 0) {
        ech_keys_free(keys);
        return error_set(error, "no memory for an ECH key");
    }
    *out = keys;
    return 0;
}

static void
print_block(struct buf *out, const char *label, const uint8_t *bytes, size_t len)
{
    uint8_t text[(ECH_CONFIG_MAX + 2) / 3 * 4 + 1];
    struct str rest = str_make((const char *)text, EVP_EncodeBlock(text, bytes, len));
    buf_printf(out, "-----BEGIN %s-----\n", label);
    for (; rest.len; rest = str_skip(rest, COLUMNS)) {
        buf_append(out, str_first(rest, COLUMNS));
        buf_append_char(out, '\n');
    }
    buf_printf(out, "-----END %s-----\n", label);
    OPENSSL_cleanse(text, sizeof text);
}

void
ech_pair_print(const struct ech_pair *pair, struct buf *out)
{
    print_block(out, ECH_LABEL_KEY, pair->private_key, sizeof pair->private_key);
    print_block(out, ECH_LABEL_CONFIG, (const uint8_t *)pair->config.ptr, pair->config.len);
}
