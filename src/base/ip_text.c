#include "base/ip_text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>

static_assert(IP_TEXT_MAX >= sizeof "[" + INET6_ADDRSTRLEN + sizeof "%4294967295]:65535", "room");

static size_t
write_ipv4(const void *address, in_port_t port, char *out)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, address, text, sizeof text);
    return (size_t)snprintf(out, IP_TEXT_MAX, "%s:%u", text, ntohs(port));
}

static size_t
write_ipv6(const struct sockaddr_in6 *in6, char *out)
{
    char text[INET6_ADDRSTRLEN], zone[sizeof "%4294967295"] = "";
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return write_ipv4(&in6->sin6_addr.s6_addr[12], in6->sin6_port, out);
    inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    if (in6->sin6_scope_id)
        snprintf(zone, sizeof zone, "%%%u", in6->sin6_scope_id);
    return (size_t)snprintf(out, IP_TEXT_MAX, "[%s%s]:%u", text, zone, ntohs(in6->sin6_port));
}

size_t
ip_text_write(const struct sockaddr *address, char out[IP_TEXT_MAX])
{
    out[0] = '\0';
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return write_ipv4(&in->sin_addr, in->sin_port, out);
    }
    if (address->sa_family == AF_INET6)
        return write_ipv6((const struct sockaddr_in6 *)address, out);
    return 0;
}
