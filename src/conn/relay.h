/* relay: client connections of one worker whose bytes belong to somebody else, copied both ways.
 *
 * Takes the descriptor of a connection and the bytes that were already received from it, connects
 * to a host and port, sends it those bytes, and copies until both sides have ended. An end of one
 * side is passed on and the other direction goes on; a failure of one side resets the other.
 * Nothing is looked into. How a relay ended is counted, nobody is called.
 *
 *     client socket -> lane -> upstream socket        a lane: what came and could not go out yet
 *     client socket <- lane <- upstream socket
 *
 * Against loops: an address that is one of our own listeners (relay_is_own) is never connected to,
 * and a connection that begins with the same bytes as one that is being relayed is refused: a
 * ClientHello holds 32 random bytes, so it is the same one that has come round, whatever route it
 * took.
 *
 * Thread rule: the worker's. Bounds: relay_config and RELAY_* in base/limits.h.
 */
#ifndef TARN_CONN_RELAY_H
#define TARN_CONN_RELAY_H

#include "base/limits.h"
#include "io/loop.h"
#include "io/resolver.h"

/* How a relay ended: enum name, name in metrics. */
#define RELAY_END_TABLE(X)                                                             \
    X(DONE, "done")                       /* both sides have ended */                  \
    X(FULL, "full")                       /* refused: the ceiling, or no memory */     \
    X(LOOP, "loop")                       /* refused: it would have come back to us */ \
    X(RESOLVE_FAILED, "resolve_failed")   /* no address for the host */                \
    X(CONNECT_FAILED, "connect_failed")   /* no address took the connection */         \
    X(CONNECT_TIMEOUT, "connect_timeout") /* neither, in time */                       \
    X(IDLE_TIMEOUT, "idle_timeout")                                                    \
    X(RESET, "reset")     /* one side failed in the middle */                          \
    X(ABORTED, "aborted") /* by relay_pool_abort */

enum relay_end {
#define X(name, text) RELAY_END_##name,
    RELAY_END_TABLE(X)
#undef X
        RELAY_END_COUNT
};

const char *relay_end_name(enum relay_end end);

struct relay_config {
    uint32_t relays_max;         /* at a time, of one worker */
    uint64_t connect_timeout_ns; /* from relay_start to a connection, names and all addresses */
    uint64_t idle_timeout_ns;    /* without a byte in either direction */
    /* Whether the address is one of our own; see relay_is_own. */
    bool (*is_own)(void *arg, const struct sockaddr *address, socklen_t len);
    void *is_own_arg;
};

/* Numbers of one worker; see struct req_counters. */
struct relay_counters {
    uint64_t started; /* also those that were refused */
    uint64_t active;
    uint64_t bytes_up, bytes_down; /* handed to the kernel: to the upstream, to the client */
    uint64_t ends[RELAY_END_COUNT];
};

struct relay;

struct relay_pool {
    struct loop *loop;
    struct resolver *resolver;
    struct relay_config config;
    struct relay_counters counters;
    /* the rest is the pool's own */
    struct relay *relays;
};

struct relay_target {
    struct str host; /* a name or a numeric address, IPv6 without brackets */
    uint16_t port;
};

/* Borrows loop and resolver. The loop may be set later, before the first relay. */
void relay_pool_init(struct relay_pool *pool, struct loop *loop, struct resolver *resolver,
                     const struct relay_config *config);
/* Relays that are active or on their way out: the loop must turn until there are none. */
unsigned relay_pool_count(const struct relay_pool *pool);
/* Ends all of them now, with resets. */
void relay_pool_abort(struct relay_pool *pool);
/* After the loop has ended with every relay gone. */
void relay_pool_deinit(struct relay_pool *pool);

/* Takes client_fd: a connected, non-blocking stream socket that no sock of the loop holds any more
 * (sock_release). `buffered` is copied, at most RELAY_BUFFERED_MAX bytes. False: refused and
 * closed; counted either way. */
bool relay_start(struct relay_pool *pool, int client_fd, struct str buffered,
                 const struct relay_target *target);

/* Whether a connection to `target` would come to a listener bound to `listening`: the port is the
 * same, and so is the address, or the listener has every address and the target's is one of this
 * machine (asks the kernel). IPv4 and IPv6 by their form: an IPv4 address in IPv6 is IPv4. */
bool relay_is_own(const struct sockaddr *listening, const struct sockaddr *target);

#endif
