#include "tls/tickets.h"

#include "base/must.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A ticket on the wire: sealed session, tag, key name, nonce. The name and nonce stand behind, so
 * that sealing and opening can be done in place.
 *
 * Keys are in order of age, the youngest first. Whoever asks first after a key's time makes the
 * next one: there is no thread for it, and none is needed.
 */

enum {
    KEY_LEN = 32,
    NAME_LEN = 16,
    NONCE_LEN = 12,
    TAG_LEN = 16,
    /* One that seals, and those whose tickets still live. */
    KEYS_MAX = 1 + (TLS_TICKET_LIFE_S + TLS_TICKET_KEY_S - 1) / TLS_TICKET_KEY_S,
};
_Static_assert(TLS_TICKET_OVERHEAD == TAG_LEN + NAME_LEN + NONCE_LEN, "overhead of a ticket");

struct ticket_key {
    int64_t made_s;
    uint8_t name[NAME_LEN];
    uint8_t secret[KEY_LEN];
};

struct tls_tickets {
    pthread_mutex_t lock;
    tls_tickets_clock_fn *clock;
    void *clock_arg;
    unsigned key_count;
    struct ticket_key keys[KEYS_MAX];
};

/* Goes on while the machine sleeps, and never goes back. */
static int64_t
system_clock_s(void *arg)
{
    struct timespec now;
    must(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
    return now.tv_sec;
}

/* Wipes what has outlived its tickets. */
static void
drop_old(struct tls_tickets *tickets, int64_t now_s)
{
    while (tickets->key_count) {
        struct ticket_key *oldest = &tickets->keys[tickets->key_count - 1];
        if (now_s - oldest->made_s < TLS_TICKET_KEY_S + TLS_TICKET_LIFE_S)
            return;
        OPENSSL_cleanse(oldest, sizeof *oldest);
        tickets->key_count--;
    }
}

static void
rotate(struct tls_tickets *tickets, int64_t now_s)
{
    drop_old(tickets, now_s);
    if (tickets->key_count && now_s - tickets->keys[0].made_s < TLS_TICKET_KEY_S)
        return;
    must(tickets->key_count < KEYS_MAX);
    memmove(tickets->keys + 1, tickets->keys, tickets->key_count * sizeof tickets->keys[0]);
    tickets->key_count++;
    tickets->keys[0].made_s = now_s;
    RAND_bytes(tickets->keys[0].name, NAME_LEN); /* aborts rather than fail */
    RAND_bytes(tickets->keys[0].secret, KEY_LEN);
}

/* A copy of the key with this name, or of the one that seals. False: there is none. */
static bool
copy_key(struct tls_tickets *tickets, const uint8_t *name, struct ticket_key *out)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets, tickets->clock(tickets->clock_arg));
    for (unsigned i = 0; i < tickets->key_count && !found; i++) {
        found = !name || memcmp(tickets->keys[i].name, name, NAME_LEN) == 0;
        if (found)
            *out = tickets->keys[i];
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

bool
tls_tickets_seal(struct tls_tickets *tickets, struct str bound, struct str plain, uint8_t *out,
                 size_t *out_len)
{
    struct ticket_key key;
    EVP_AEAD_CTX aead;
    uint8_t nonce[NONCE_LEN];
    size_t sealed_len = 0;
    must(copy_key(tickets, NULL, &key));
    RAND_bytes(nonce, sizeof nonce);
    EVP_AEAD_CTX_zero(&aead);
    bool done =
        EVP_AEAD_CTX_init(&aead, EVP_aead_aes_256_gcm_siv(), key.secret, KEY_LEN, TAG_LEN, NULL) &&
        EVP_AEAD_CTX_seal(&aead, out, &sealed_len, plain.len + TAG_LEN, nonce, NONCE_LEN,
                          (const uint8_t *)plain.ptr, plain.len, (const uint8_t *)bound.ptr,
                          bound.len);
    EVP_AEAD_CTX_cleanup(&aead);
    OPENSSL_cleanse(key.secret, sizeof key.secret);
    memcpy(out + sealed_len, key.name, NAME_LEN);
    memcpy(out + sealed_len + NAME_LEN, nonce, NONCE_LEN);
    *out_len = sealed_len + NAME_LEN + NONCE_LEN;
    return done;
}

bool
tls_tickets_open(struct tls_tickets *tickets, struct str bound, struct str sealed, uint8_t *out,
                 size_t *out_len)
{
    struct ticket_key key;
    EVP_AEAD_CTX aead;
    if (sealed.len < TLS_TICKET_OVERHEAD)
        return false;
    size_t len = sealed.len - NAME_LEN - NONCE_LEN;
    const uint8_t *in = (const uint8_t *)sealed.ptr;
    if (!copy_key(tickets, in + len, &key))
        return false;
    EVP_AEAD_CTX_zero(&aead);
    bool done =
        EVP_AEAD_CTX_init(&aead, EVP_aead_aes_256_gcm_siv(), key.secret, KEY_LEN, TAG_LEN, NULL) &&
        EVP_AEAD_CTX_open(&aead, out, out_len, len, in + len + NAME_LEN, NONCE_LEN, in, len,
                          (const uint8_t *)bound.ptr, bound.len);
    EVP_AEAD_CTX_cleanup(&aead);
    OPENSSL_cleanse(key.secret, sizeof key.secret);
    if (!done)
        ERR_clear_error(); /* the handshake goes on without the ticket */
    return done;
}

int
tls_tickets_new(struct tls_tickets **out, struct error *error)
{
    struct tls_tickets *tickets = calloc(1, sizeof *tickets);
    if (!tickets)
        return error_set(error, "no memory for the keys of session tickets");
    pthread_mutex_init(&tickets->lock, NULL);
    tickets->clock = system_clock_s;
    *out = tickets;
    return 0;
}

void
tls_tickets_free(struct tls_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

void
tls_tickets_set_clock(struct tls_tickets *tickets, tls_tickets_clock_fn *clock, void *arg)
{
    tickets->clock = clock;
    tickets->clock_arg = arg;
}
