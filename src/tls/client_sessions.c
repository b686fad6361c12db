#include "tls/client_sessions.h"

#include "base/limits.h"

#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <pthread.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct peer {
    struct str host;
    uint64_t hash; /* of host and port */
    uint16_t port;
};

struct saved {
    SSL_SESSION *session; /* NULL: free */
    struct peer peer;     /* its host is the slot's own */
    uint64_t number;      /* the larger, the later */
    int64_t until_s;
};

struct tls_sessions {
    pthread_mutex_t lock;
    uint64_t last_number;
    struct saved slots[TLS_SESSIONS_MAX];
};

struct tls_sessions *
tls_sessions_new(void)
{
    struct tls_sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions)
        pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

static void
clear(struct saved *slot)
{
    SSL_SESSION_free(slot->session);
    free((char *)slot->peer.host.ptr);
    *slot = (struct saved){0};
}

void
tls_sessions_free(struct tls_sessions *sessions)
{
    if (!sessions)
        return;
    for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++)
        clear(&sessions->slots[i]);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

static struct peer
peer_of(struct str host, uint16_t port)
{
    return (struct peer){host, XXH3_64bits_withSeed(host.ptr, host.len, port), port};
}

static bool
is_of(const struct saved *slot, const struct peer *peer)
{
    return slot->session && slot->peer.hash == peer->hash && slot->peer.port == peer->port &&
           str_eq(slot->peer.host, peer->host);
}

static bool
is_over(const struct saved *slot, int64_t now_s)
{
    uint64_t end_s = SSL_SESSION_get_time(slot->session) + SSL_SESSION_get_timeout(slot->session);
    return now_s > slot->until_s || (uint64_t)now_s >= end_s;
}

/* --- putting --- */

static size_t
len_of(const SSL_SESSION *session)
{
    const uint8_t *ticket;
    size_t len;
    const STACK_OF(CRYPTO_BUFFER) *certs = SSL_SESSION_get0_peer_certificates(session);
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    for (size_t i = 0; i < (certs ? sk_CRYPTO_BUFFER_num(certs) : 0); i++)
        len += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(certs, i));
    return len;
}

/* The slot for one more session of the peer: one of its own when it has enough, else a free one,
 * else the oldest. */
static struct saved *
choose_slot(struct tls_sessions *sessions, const struct peer *peer, unsigned of_peer_max)
{
    struct saved *oldest = &sessions->slots[0], *own = NULL;
    unsigned own_count = 0;
    for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++) {
        struct saved *slot = &sessions->slots[i];
        if (slot->number < oldest->number)
            oldest = slot;
        if (!is_of(slot, peer))
            continue;
        own_count++;
        if (!own || slot->number < own->number)
            own = slot;
    }
    return own_count >= of_peer_max ? own : oldest;
}

void
tls_sessions_put(struct tls_sessions *sessions, struct str host, uint16_t port,
                 SSL_SESSION *session, int64_t until_s)
{
    struct peer peer = peer_of(host, port);
    char *copy = host.len && len_of(session) <= TLS_SESSION_LEN_MAX ? malloc(host.len) : NULL;
    if (!copy) {
        SSL_SESSION_free(session);
        return;
    }
    memcpy(copy, host.ptr, host.len);
    /* One that may be used again and again has no need of others beside it. */
    unsigned of_peer_max = SSL_SESSION_should_be_single_use(session) ? TLS_SESSIONS_PER_PEER : 1;
    pthread_mutex_lock(&sessions->lock);
    struct saved *slot = choose_slot(sessions, &peer, of_peer_max);
    clear(slot);
    peer.host.ptr = copy;
    *slot = (struct saved){session, peer, ++sessions->last_number, until_s};
    pthread_mutex_unlock(&sessions->lock);
}

/* --- taking --- */

/* The latest of the peer that is not over; those that are get dropped. NULL: none. */
static struct saved *
find(struct tls_sessions *sessions, const struct peer *peer, int64_t now_s)
{
    struct saved *latest = NULL;
    for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++) {
        struct saved *slot = &sessions->slots[i];
        if (!is_of(slot, peer))
            continue;
        if (is_over(slot, now_s))
            clear(slot);
        else if (!latest || slot->number > latest->number)
            latest = slot;
    }
    return latest;
}

SSL_SESSION *
tls_sessions_take(struct tls_sessions *sessions, struct str host, uint16_t port, int64_t now_s)
{
    const struct peer peer = peer_of(host, port);
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&sessions->lock);
    struct saved *slot = find(sessions, &peer, now_s);
    if (slot) {
        session = slot->session;
        SSL_SESSION_up_ref(session);
        if (SSL_SESSION_should_be_single_use(session))
            clear(slot);
    }
    pthread_mutex_unlock(&sessions->lock);
    return session;
}

void
tls_sessions_forget(struct tls_sessions *sessions, struct str host, uint16_t port)
{
    const struct peer peer = peer_of(host, port);
    pthread_mutex_lock(&sessions->lock);
    for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++) {
        if (is_of(&sessions->slots[i], &peer))
            clear(&sessions->slots[i]);
    }
    pthread_mutex_unlock(&sessions->lock);
}

unsigned
tls_sessions_count(struct tls_sessions *sessions)
{
    unsigned count = 0;
    pthread_mutex_lock(&sessions->lock);
    for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++)
        count += sessions->slots[i].session != NULL;
    pthread_mutex_unlock(&sessions->lock);
    return count;
}
