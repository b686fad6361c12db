#include "base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct ip {
    uint8_t bytes[16];
    bool is_ipv4;
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool
prefix_matches(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* Turns the IPv6 form of an IPv4 address into the address. */
static void
unmap(struct ip *ip)
{
    if (ip->is_ipv4 || memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    memmove(ip->bytes, ip->bytes + sizeof mapped_prefix, 4);
    ip->is_ipv4 = true;
}

/* False for other families. */
static bool
ip_from_sockaddr(const struct sockaddr *address, struct ip *ip)
{
    *ip = (struct ip){.is_ipv4 = address->sa_family == AF_INET};
    if (ip->is_ipv4)
        memcpy(ip->bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
    else if (address->sa_family == AF_INET6)
        memcpy(ip->bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    else
        return false;
    unmap(ip);
    return true;
}

/* --- lists --- */

static bool
ip_from_text(struct str text, struct ip *ip)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ip = (struct ip){0};
    ip->is_ipv4 = inet_pton(AF_INET, copy, ip->bytes) == 1;
    return ip->is_ipv4 || inet_pton(AF_INET6, copy, ip->bytes) == 1;
}

/* Zeroes what stands behind the prefix. False when something stood there. */
static bool
mask_rest(uint8_t *bytes, unsigned len, unsigned bits)
{
    bool was_zero = true;
    for (unsigned i = bits / 8; i < len; i++) {
        uint8_t kept = i == bits / 8 ? (uint8_t)(0xff00 >> bits % 8) : 0;
        was_zero = was_zero && (bytes[i] & ~kept) == 0;
        bytes[i] &= kept;
    }
    return was_zero;
}

static int
check_rest(struct cidr *network, struct str text, struct error *error)
{
    char masked[INET6_ADDRSTRLEN] = "";
    if (mask_rest(network->bytes, network->is_ipv4 ? 4 : 16, network->bits))
        return 0;
    inet_ntop(network->is_ipv4 ? AF_INET : AF_INET6, network->bytes, masked, sizeof masked);
    return error_set(error, "'%.*s' has bits set behind its prefix; the network is %s/%u",
                     STR_ARG(text), masked, network->bits);
}

static int
parse_network(struct cidr *out, struct str text, struct error *error)
{
    struct ip ip;
    uint64_t bits;
    struct str rest = text, host = str_cut(&rest, '/');
    bool has_prefix = host.len < text.len;
    if (text.len == 0)
        return error_set(error, "an empty network; write 10.0.0.0/8 or fd00::/8");
    if (!ip_from_text(host, &ip))
        return error_set(error, "'%.*s' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8",
                         STR_ARG(text));
    unsigned bits_max = ip.is_ipv4 ? 32 : 128;
    bits = bits_max;
    if (has_prefix && (rest.len > 3 || !str_to_u64(rest, &bits) || bits > bits_max))
        return error_set(error, "'%.*s': the prefix of an %s network is a number from 0 to %u",
                         STR_ARG(text), ip.is_ipv4 ? "IPv4" : "IPv6", bits_max);
    /* A shorter prefix than that of all mapped addresses is an IPv6 network, oddly written. */
    if (!ip.is_ipv4 && bits >= 8 * sizeof mapped_prefix) {
        unmap(&ip);
        bits -= ip.is_ipv4 ? 8 * sizeof mapped_prefix : 0;
    }
    *out = (struct cidr){.bits = (uint8_t)bits, .is_ipv4 = ip.is_ipv4};
    memcpy(out->bytes, ip.bytes, ip.is_ipv4 ? 4 : 16);
    return 0;
}

int
cidr_list_add(struct cidr_list *list, struct str text, struct error *error)
{
    unsigned count = list->count;
    bool more = true;
    while (more) {
        more = str_find_char(text, ',') < text.len;
        struct str item = str_trim(str_cut(&text, ','));
        if (count == CIDR_LIST_MAX)
            return error_set(error, "more than %d networks", CIDR_LIST_MAX);
        struct cidr *network = &list->list[count];
        int result = parse_network(network, item, error);
        if (result == 0)
            result = check_rest(network, item, error);
        if (result < 0)
            return result;
        count++;
    }
    list->count = count;
    return 0;
}

bool
cidr_parse(struct str text, struct cidr *out)
{
    struct error unused;
    if (parse_network(out, str_trim(text), &unused) < 0)
        return false;
    mask_rest(out->bytes, out->is_ipv4 ? 4 : 16, out->bits);
    return true;
}

static bool
covers(const struct cidr *network, const struct ip *ip)
{
    return network->is_ipv4 == ip->is_ipv4 &&
           prefix_matches(network->bytes, ip->bytes, network->bits);
}

bool
cidr_has(const struct cidr *network, const struct sockaddr *address)
{
    struct ip ip;
    return ip_from_sockaddr(address, &ip) && covers(network, &ip);
}

bool
cidr_list_has(const struct cidr_list *list, const struct sockaddr *address)
{
    struct ip ip;
    if (!ip_from_sockaddr(address, &ip))
        return false;
    for (unsigned i = 0; i < list->count; i++)
        if (covers(&list->list[i], &ip))
            return true;
    return false;
}

/* --- guarded addresses --- */

static const struct cidr guarded_ipv4[] = {
    {.bytes = {0}, .bits = 8},
    {.bytes = {127}, .bits = 8},
    {.bytes = {169, 254}, .bits = 16},
    {.bytes = {224}, .bits = 4},
    {.bytes = {255, 255, 255, 255}, .bits = 32},
    {.bytes = {100, 100, 100, 200}, .bits = 32}, /* Alibaba Cloud */
    {.bytes = {168, 63, 129, 16}, .bits = 32},   /* Azure */
    {.bytes = {192, 0, 0, 192}, .bits = 32},     /* Oracle Cloud, older images */
};

static const struct cidr guarded_ipv6[] = {
    {.bytes = {0}, .bits = 96},
    {.bytes = {0xfe, 0x80}, .bits = 10},
    {.bytes = {0xff}, .bits = 8},
    {.bytes = {0xfd, 0, 0x0e, 0xc2}, .bits = 32}, /* AWS: metadata, credentials, names, time */
    {.bytes = {0xfd, 0x20, 0, 0xce, [14] = 0x02, 0x54}, .bits = 128},          /* Google */
    {.bytes = {0xfd, 0, 0, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe}, .bits = 128}, /* Oracle */
    {.bytes = {0xfd, 0, 0, 0x42, [15] = 0x42}, .bits = 128},                   /* Scaleway */
};

/* IPv6 addresses that packets leave as an IPv4 address, and where that one stands. */
static const struct {
    struct cidr network;
    unsigned off;
} embeddings[] = {
    {{.bytes = {0x00, 0x64, 0xff, 0x9b}, .bits = 96}, 12},
    {{.bytes = {0x20, 0x02}, .bits = 16}, 2},
};

static bool
table_has(const struct cidr *table, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_matches(table[i].bytes, bytes, table[i].bits))
            return true;
    return false;
}

static bool
ipv4_is_guarded(const uint8_t *bytes)
{
    return table_has(guarded_ipv4, COUNT(guarded_ipv4), bytes);
}

bool
address_is_guarded(const struct sockaddr *address)
{
    struct ip ip;
    if (!ip_from_sockaddr(address, &ip))
        return true;
    if (ip.is_ipv4)
        return ipv4_is_guarded(ip.bytes);
    for (size_t i = 0; i < COUNT(embeddings); i++)
        if (prefix_matches(embeddings[i].network.bytes, ip.bytes, embeddings[i].network.bits))
            return ipv4_is_guarded(ip.bytes + embeddings[i].off);
    return table_has(guarded_ipv6, COUNT(guarded_ipv6), ip.bytes);
}
