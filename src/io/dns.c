#include "io/dns.h"

#include <ares.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

/* One channel of c-ares holds the servers and everything under way. It cannot read its
 * configuration again, so a changed resolv.conf means a new channel; destroying the old one answers
 * its questions: those that have the addresses of one family with these, the others with
 * ARES_EDESTRUCTION, which the asker sees as NULL and asks again.
 *
 * c-ares asks for A and AAAA at once, and each server in turn, twice; it doubles the wait with the
 * second round. So with the usual one to three servers an answer or a failure comes within nine
 * times the first wait. */

enum { TRIES = 2 };
#define MS UINT64_C(1000000)

/* --- the channel --- */

static const char *
conf_path(const struct dns *dns)
{
    return dns->config.resolv_conf ? dns->config.resolv_conf : "/etc/resolv.conf";
}

/* Takes a newer stamp of the file over; whether it is another one. */
static bool
take_stamp(struct dns *dns)
{
    struct stat file = {0};
    if (stat(conf_path(dns), &file) != 0)
        file = (struct stat){0};
    bool same = dns->inode == file.st_ino && dns->len == (uint64_t)file.st_size &&
                dns->changed.tv_sec == file.st_mtim.tv_sec &&
                dns->changed.tv_nsec == file.st_mtim.tv_nsec;
    dns->inode = file.st_ino;
    dns->len = (uint64_t)file.st_size;
    dns->changed = file.st_mtim;
    return !same;
}

/* Keeps the old channel when there is no memory for a new one. */
static bool
open_channel(struct dns *dns)
{
    ares_channel channel, old = dns->channel;
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF;
    struct ares_options options = {
        .timeout = (int)(dns->config.try_ms ? dns->config.try_ms : RESOLVER_TRY_MS),
        .tries = TRIES,
        .resolvconf_path = (char *)conf_path(dns),
    };
    if (dns->config.port) {
        mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
        options.udp_port = options.tcp_port = dns->config.port;
    }
    if (ares_init_options(&channel, &options, mask) != ARES_SUCCESS) {
        dns->len = UINT64_MAX; /* is tried again at the next look */
        return false;
    }
    dns->channel = channel;
    ares_destroy(old);
    return old != NULL;
}

int
dns_init(struct dns *dns, const struct dns_config *config, struct error *error)
{
    *dns = (struct dns){.config = *config};
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        return error_set(error, "cannot start the resolver: %s", ares_strerror(status));
    return 0;
}

void
dns_deinit(struct dns *dns)
{
    ares_channel channel = dns->channel;
    dns->channel = NULL;
    ares_destroy(channel);
    ares_library_cleanup();
}

bool
dns_refresh(struct dns *dns, uint64_t now_ns)
{
    if (dns->channel && now_ns - dns->checked_ns < RESOLVER_CONF_MS * MS)
        return false;
    dns->checked_ns = now_ns;
    bool changed = take_stamp(dns); /* before reading: a later change is seen the next time */
    if (dns->channel && !changed)
        return false;
    return open_channel(dns);
}

/* --- answers --- */

static const char *
failure_text(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such host";
    case ARES_ENODATA:
        return "no address";
    case ARES_EBADNAME:
        return "not a host name";
    case ARES_ETIMEOUT:
        return "the name server did not answer";
    case ARES_ECONNREFUSED: /* c-ares says this of servers that answer SERVFAIL or REFUSED, too */
        return "the name server failed or cannot be reached";
    case ARES_EBADRESP:
        return "the name server's answer is malformed";
    case ARES_EFORMERR:
        return "the name server did not understand the question";
    case ARES_ENOMEM:
        return "no memory";
    default:
        return ares_strerror(status);
    }
}

/* The next address of the family, or of the other ones; NULL: there is no more. */
static const struct ares_addrinfo_node *
find_family(const struct ares_addrinfo_node *node, int family, bool other)
{
    while (node && (node->ai_family == family) == other)
        node = node->ai_next;
    return node;
}

static void
add_address(struct dns_answer *out, const struct ares_addrinfo_node *node)
{
    if (out->count == RESOLVER_ADDRESSES_MAX || node->ai_addrlen > sizeof *out->addresses)
        return;
    memcpy(&out->addresses[out->count++], node->ai_addr, node->ai_addrlen);
}

/* Two walks over the sorted list, in turns. */
static void
add_addresses(struct dns_answer *out, const struct ares_addrinfo_node *list)
{
    if (!list)
        return;
    int family = list->ai_family;
    const struct ares_addrinfo_node *first = list;
    const struct ares_addrinfo_node *second = find_family(list, family, true);
    while (first || second) {
        if (first) {
            add_address(out, first);
            first = find_family(first->ai_next, family, false);
        }
        if (second) {
            add_address(out, second);
            second = find_family(second->ai_next, family, true);
        }
    }
}

/* A sign bit counts as 0 (RFC 2181 section 8). */
static uint32_t
smaller_ttl(uint32_t ttl_s, int other)
{
    uint32_t other_s = other > 0 ? (uint32_t)other : 0;
    return other_s < ttl_s ? other_s : ttl_s;
}

static uint32_t
smallest_ttl(const struct ares_addrinfo *found)
{
    uint32_t ttl_s = UINT32_MAX;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        ttl_s = smaller_ttl(ttl_s, node->ai_ttl);
    for (const struct ares_addrinfo_cname *alias = found->cnames; alias; alias = alias->next)
        ttl_s = smaller_ttl(ttl_s, alias->ttl);
    return ttl_s;
}

static void
take_found(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct dns_question *question = arg;
    struct dns_answer answer = {0};
    if (status == ARES_EDESTRUCTION) {
        question->answered(question, NULL);
        return;
    }
    if (status == ARES_SUCCESS) {
        add_addresses(&answer, found->nodes);
        answer.ttl_s = smallest_ttl(found);
        ares_freeaddrinfo(found);
        status = answer.count ? ARES_SUCCESS : ARES_ENODATA;
    }
    if (status != ARES_SUCCESS)
        answer.failure = failure_text(status);
    question->answered(question, &answer);
}

/* --- asking and waiting --- */

void
dns_ask(struct dns *dns, const char *name, struct dns_question *question)
{
    const struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM};
    if (dns->channel)
        ares_getaddrinfo(dns->channel, name, NULL, &hints, take_found, question);
    else
        take_found(question, ARES_ENOMEM, 0, NULL);
}

static unsigned
watch_sockets(const struct dns *dns, struct pollfd *polled)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    unsigned count = 0;
    if (!dns->channel)
        return 0;
    unsigned bits = (unsigned)ares_getsock(dns->channel, sockets, ARES_GETSOCK_MAXNUM);
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        /* ARES_GETSOCK_READABLE and _WRITABLE, but for their shift into the sign bit */
        short events = bits >> i & 1 ? POLLIN : 0;
        events |= bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0;
        if (events)
            polled[count++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    return count;
}

/* Not after the next time that c-ares wants to be called. */
static int
shorten_wait(const struct dns *dns, int wait_ms)
{
    struct timeval next;
    if (!dns->channel || !ares_timeout(dns->channel, NULL, &next))
        return wait_ms;
    int64_t next_ms = (int64_t)next.tv_sec * 1000 + next.tv_usec / 1000 + 1; /* rounded up */
    return wait_ms < 0 || next_ms < wait_ms ? (int)(next_ms < INT_MAX ? next_ms : INT_MAX)
                                            : wait_ms;
}

static void
process(struct dns *dns, const struct pollfd *polled, unsigned count)
{
    if (!dns->channel)
        return;
    for (unsigned i = 0; i < count; i++) {
        short events = polled[i].revents;
        bool failed = events & (POLLERR | POLLHUP | POLLNVAL);
        if (events)
            ares_process_fd(dns->channel,
                            failed || (events & POLLIN) ? polled[i].fd : ARES_SOCKET_BAD,
                            failed || (events & POLLOUT) ? polled[i].fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what has timed out */
}

void
dns_wait(struct dns *dns, int wake_fd, int wait_ms)
{
    struct pollfd polled[ARES_GETSOCK_MAXNUM + 1];
    unsigned count = watch_sockets(dns, polled);
    polled[count] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    if (poll(polled, count + 1, shorten_wait(dns, wait_ms)) >= 0)
        process(dns, polled, count);
}

/* --- addresses --- */

socklen_t
dns_address_len(const union dns_address *address)
{
    return address->base.sa_family == AF_INET6 ? sizeof address->inet6 : sizeof address->inet;
}

/* The system's function, because it reads the zone of a link-local address. It asks nobody. */
bool
dns_read_numeric(const char *text, struct dns_answer *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list;
    *out = (struct dns_answer){0};
    if (getaddrinfo(text, NULL, &hints, &list) != 0)
        return false;
    if (list->ai_addrlen <= sizeof *out->addresses)
        memcpy(&out->addresses[out->count++], list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return out->count > 0;
}
