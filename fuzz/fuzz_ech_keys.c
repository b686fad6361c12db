/* Fuzzes the reader of ECH keys over the text of one file.
 *
 * Checked: a failure is one line; what is accepted is consistent with itself, printed again it
 * reads as the same, and a second file with the same pairs is always refused.
 */
#include "tls/ech_keys.h"

#include <stdlib.h>

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static struct ech_keys *
read_text(struct str text, struct error *error)
{
    struct ech_keys *keys = ech_keys_new();
    char *copy = malloc(text.len ? text.len : 1);
    check(keys && copy);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    error->text[0] = '\0';
    int result = ech_keys_add_text(keys, str_make(copy, text.len), "file", error);
    if (result == 0 && ech_keys_finish(keys, error) != 0)
        result = -1;
    free(copy);
    check((result == 0) == (error->text[0] == '\0'));
    if (result == 0)
        return keys;
    ech_keys_free(keys);
    return NULL;
}

static void
check_pair(const struct ech_pair *pair)
{
    check(pair->config.len >= 54 && (uint8_t)pair->config.ptr[4] == pair->config_id);
    check(ech_is_public_name(pair->public_name));
    check(pair->public_name.ptr > pair->config.ptr &&
          pair->public_name.ptr + pair->public_name.len < pair->config.ptr + pair->config.len);
}

static void
check_again(const struct ech_keys *keys)
{
    struct buf text;
    struct error error;
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < ech_keys_count(keys); i++)
        ech_pair_print(ech_keys_at(keys, i), &text);
    check(!buf_overflowed(&text));
    struct ech_keys *again = read_text(buf_str(&text), &error);
    check(again && ech_keys_count(again) == ech_keys_count(keys));
    for (unsigned i = 0; i < ech_keys_count(keys); i++) {
        const struct ech_pair *a = ech_keys_at(keys, i), *b = ech_keys_at(again, i);
        check(memcmp(a->private_key, b->private_key, sizeof a->private_key) == 0);
        check(str_eq(a->config, b->config) && str_eq(a->public_name, b->public_name));
    }
    check(str_eq(ech_keys_list_base64(keys), ech_keys_list_base64(again)));
    check(ech_keys_add_text(again, buf_str(&text), "twice", &error) == -1);
    ech_keys_free(again);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    struct ech_keys *keys = read_text(str_make((const char *)data, size), &error);
    if (!keys) {
        check(error.text[0] && !strchr(error.text, '\n'));
        return 0;
    }
    check(ech_keys_count(keys) > 0);
    for (unsigned i = 0; i < ech_keys_count(keys); i++)
        check_pair(ech_keys_at(keys, i));
    check_again(keys);
    ech_keys_free(keys);
    return 0;
}
