/* cidr: lists of IPv4 and IPv6 networks, and which addresses are guarded by default. Pure.
 *
 * An IPv4 address in its IPv6 form (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2) is that IPv4 address
 * everywhere: in the text of a network, and as what a dual-stack socket names its peer. An IPv6
 * network never covers an IPv4 address: "::/0" is all of IPv6 and nothing else. Thread rule: a list
 * that is no longer added to may be read by any thread.
 */
#ifndef TARN_BASE_CIDR_H
#define TARN_BASE_CIDR_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

#include <sys/socket.h>

struct cidr {
    uint8_t bytes[16]; /* in network order; 4 of them for IPv4 */
    uint8_t bits;      /* of the prefix */
    bool is_ipv4;
};

/* Starts zeroed, empty. */
struct cidr_list {
    unsigned count;
    struct cidr list[CIDR_LIST_MAX];
};

/* Adds the networks of an option's value: "10.0.0.0/8, fd00::/8, 192.0.2.7", at least one; an
 * address without a prefix is itself alone. Bits behind the prefix must be zero: whoever wrote
 * 10.1.2.3/8 may have meant something else, and the error shows both. On failure -1, one line in
 * *error that does not name the option (see error_prefix), and the list as it was. */
int cidr_list_add(struct cidr_list *list, struct str text, struct error *error) MUST_USE;

/* Reads one network or address, for who knows what is meant by 10.1.2.3/8: bits behind the prefix
 * are dropped. */
bool cidr_parse(struct str text, struct cidr *out);
bool cidr_has(const struct cidr *network, const struct sockaddr *address);

/* Whether a network of the list covers the address. Other families than IPv4 and IPv6, unix sockets
 * above all, are never covered, nor is anything by an empty list: "empty allows all" is a rule of
 * whoever asks. The port and the zone do not count. */
bool cidr_list_has(const struct cidr_list *list, const struct sockaddr *address);

/* Whether a client must not make us connect there unless the operator allows it: what only this
 * machine or its own link should reach, and what is no host.
 *
 *     this host and unspecified   0.0.0.0/8, 127.0.0.0/8, ::/96 (::1, ::, IPv4-compatible)
 *     link-local                  169.254.0.0/16, fe80::/10
 *     multicast and broadcast     224.0.0.0/4, 255.255.255.255, ff00::/8
 *     cloud metadata elsewhere    100.100.100.200, 168.63.129.16, 192.0.0.192, fd00:ec2::/32,
 *                                 fd20:ce::254, fd00:c1::a9fe:a9fe, fd00:42::42
 *     embedded in IPv6            one of the IPv4 addresses above as ::ffff:a.b.c.d, behind NAT64
 *                                 (64:ff9b::/96, RFC 6052) or in 6to4 (2002::/16, RFC 3056)
 *
 * Private networks are not guarded: build farms live there. Families other than IPv4 and IPv6 are.
 * The address to ask about is the one that will be connected to, never a name. */
bool address_is_guarded(const struct sockaddr *address);

#endif
