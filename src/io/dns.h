/* dns: asks the system's name servers for addresses, many names at a time, through c-ares.
 *
 * Reads /etc/resolv.conf, /etc/hosts and the order of the two as c-ares does, and resolv.conf again
 * when it has changed. Knows no loop and no lock: all calls, and with them all callbacks, are on
 * one thread at a time, which calls dns_wait in a loop. Keeps no answers. Bounds: RESOLVER_* in
 * base/limits.h; how many questions are under way is the caller's to bound.
 */
#ifndef TARN_IO_DNS_H
#define TARN_IO_DNS_H

#include "base/error.h"
#include "base/limits.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

/* All zero is the system's; tests set other values. */
struct dns_config {
    const char *resolv_conf; /* borrowed; NULL: /etc/resolv.conf */
    uint16_t port;           /* of the name servers in it; 0: 53 */
    uint32_t try_ms;         /* wait for a server's answer, first time; 0: RESOLVER_TRY_MS */
};

union dns_address {
    struct sockaddr base;
    struct sockaddr_in inet;
    struct sockaddr_in6 inet6;
};

struct dns_answer {
    const char *failure; /* NULL: there is at least one address; else a few words, static */
    uint32_t ttl_s;      /* of the shortest-lived record; 0 too for what /etc/hosts says */
    unsigned count;
    /* Best first (RFC 6724), but the families take turns (RFC 8305 section 4). Ports are 0. */
    union dns_address addresses[RESOLVER_ADDRESSES_MAX];
};

/* Part of the asker's own struct; the asker's until it is asked and again when it is answered. */
struct dns_question {
    /* Once. NULL: the servers have changed, or dns_deinit ran; ask again if it still matters. */
    void (*answered)(struct dns_question *question, const struct dns_answer *answer);
};

struct ares_channeldata;

struct dns {
    struct ares_channeldata *channel; /* NULL: there is none yet */
    struct dns_config config;
    uint64_t checked_ns; /* when resolv.conf was looked at */
    struct timespec changed;
    uint64_t inode, len; /* of resolv.conf; all 0: there was none */
};

/* Copies the config but for its text. c-ares counts who uses it, without a lock: not while another
 * thread is here or in dns_deinit. */
int dns_init(struct dns *dns, const struct dns_config *config, struct error *error) MUST_USE;
/* Answers all that is under way with NULL. */
void dns_deinit(struct dns *dns);

/* Reads resolv.conf if it is new or has changed, looking at most once in RESOLVER_CONF_MS. Whether
 * it has changed: then all that was under way has been answered with NULL, or with what had already
 * come. To be called before asking. */
bool dns_refresh(struct dns *dns, uint64_t now_ns);

/* The answer may come before the call returns. */
void dns_ask(struct dns *dns, const char *name, struct dns_question *question);

/* Waits for answers, for `wake_fd` to be readable, or for wait_ms to pass; -1: as long as it takes.
 * Callbacks run. */
void dns_wait(struct dns *dns, int wake_fd, int wait_ms);

/* False: the text is no numeric address. No name server, no callback, any thread. */
bool dns_read_numeric(const char *text, struct dns_answer *out);

socklen_t dns_address_len(const union dns_address *address);

#endif
