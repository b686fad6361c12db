/* Fuzzes the walk over a ClientHello and the search for it in records. Input: one byte of control,
 * then with an even one a handshake message, with an odd one what a connection received.
 *
 * Checked: every slice lies inside the message and the lists are what their counts say; the search
 * answers alike for blocks of exact size, never takes back a DONE or MALFORMED when more comes, and
 * finds the message again after it was cut into other records; a fingerprint has its form.
 */
#include "base/limits.h"
#include "http/client_hello.h"
#include "tls/ja4.h"

#include <stdlib.h>

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static void
check_inside(struct str part, struct str whole)
{
    check(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void
check_fingerprint(const struct client_hello *hello)
{
    char text[JA4_TEXT_LEN + 1];
    ja4_compute(hello, text);
    check(strlen(text) == JA4_TEXT_LEN && text[0] == 't' && text[10] == '_' && text[23] == '_');
    check(text[3] == (hello->has_sni ? 'd' : 'i'));
    for (unsigned i = 11; i < JA4_TEXT_LEN; i++)
        check(i == 23 || (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'));
}

static void
check_message(struct str message)
{
    struct client_hello hello, body;
    unsigned count = 0;
    if (!client_hello_parse(&hello, message.ptr, message.len))
        return;
    check(message.len <= CLIENT_HELLO_MAX);
    check_inside(hello.session_id, message);
    check_inside(hello.ciphers, message);
    check_inside(hello.extensions, message);
    check_inside(hello.sni, hello.extensions);
    check_inside(hello.alpn, hello.extensions);
    check_inside(hello.versions, hello.extensions);
    check_inside(hello.signature_algorithms, hello.extensions);
    check(hello.random.len == 32 && hello.session_id.len <= 32);
    check(hello.ciphers.len == 2u * hello.cipher_count && hello.cipher_count);
    check((hello.sni.len > 0) == hello.has_sni);
    for (struct str rest = hello.extensions; rest.len; count++)
        check_inside(client_hello_next_extension(&rest).content, hello.extensions);
    check(count == hello.extension_count);
    for (struct str rest = hello.alpn; rest.len;) {
        struct str name = client_hello_next_alpn(&rest);
        check(name.len > 0);
        check_inside(name, hello.alpn);
    }
    check(client_hello_parse_body(&body, message.ptr + 4, message.len - 4));
    check(memcmp(&hello, &body, sizeof hello) == 0);
    check_fingerprint(&hello);
}

static enum client_hello_result
find(struct str wire, char *joined, struct str *message)
{
    enum client_hello_result result;
    char *block = malloc(wire.len ? wire.len : 1);
    check(block != NULL);
    if (wire.len)
        memcpy(block, wire.ptr, wire.len);
    result = client_hello_find(block, wire.len, joined, message);
    if (result == CLIENT_HELLO_DONE) {
        check(message->len <= CLIENT_HELLO_MAX && message->len >= 4);
        if (message->ptr != joined) {
            check_inside(*message, str_make(block, wire.len));
            memcpy(joined, message->ptr, message->len);
            message->ptr = joined;
        }
    }
    free(block);
    return result;
}

/* The message in records of `step` bytes. */
static void
check_cut_again(struct str message, size_t step)
{
    static char wire[2 * CLIENT_HELLO_MAX], joined[CLIENT_HELLO_MAX];
    size_t len = 0;
    struct str again;
    if (message.len / step + 1 > CLIENT_HELLO_RECORDS_MAX)
        return;
    for (struct str rest = message; rest.len; rest = str_skip(rest, step)) {
        struct str piece = str_first(rest, step);
        const char head[5] = {22, 3, 3, (char)(piece.len >> 8), (char)piece.len};
        memcpy(wire + len, head, sizeof head);
        memcpy(wire + len + sizeof head, piece.ptr, piece.len);
        len += sizeof head + piece.len;
    }
    check(find(str_make(wire, len), joined, &again) == CLIENT_HELLO_DONE);
    check(str_eq(again, message));
}

static void
check_records(struct str wire)
{
    static char joined[CLIENT_HELLO_MAX], joined_before[CLIENT_HELLO_MAX];
    struct str message = {0}, before = {0};
    enum client_hello_result whole = find(wire, joined, &message);
    for (size_t len = 0; len < wire.len; len += 1 + len / 8) {
        enum client_hello_result part = find(str_first(wire, len), joined_before, &before);
        check(part == CLIENT_HELLO_MORE || part == whole);
        if (part == CLIENT_HELLO_DONE)
            check(str_eq(before, message));
    }
    if (whole != CLIENT_HELLO_DONE)
        return;
    check_message(message);
    check_cut_again(message, message.len < 16384 ? message.len : 16384);
    check_cut_again(message, 1 + message.len / 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str input = str_make((const char *)data + 1, size - 1);
    if (data[0] % 2)
        check_records(input);
    else
        check_message(input);
    return 0;
}
