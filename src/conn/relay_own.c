#include "conn/relay.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* Addresses are compared as IPv6: an IPv4 address is the one mapped into it. */

struct place {
    bool is_inet;
    bool is_any;
    struct in6_addr address;
    uint16_t port; /* in network order */
};

static struct place
place_of(const struct sockaddr *address)
{
    struct place place = {0};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *inet = (const struct sockaddr_in *)address;
        place.is_inet = true;
        place.port = inet->sin_port;
        place.is_any = inet->sin_addr.s_addr == htonl(INADDR_ANY);
        place.address.s6_addr[10] = place.address.s6_addr[11] = 0xff;
        memcpy(place.address.s6_addr + 12, &inet->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *inet = (const struct sockaddr_in6 *)address;
        place.is_inet = true;
        place.port = inet->sin6_port;
        place.address = inet->sin6_addr;
        place.is_any = IN6_IS_ADDR_UNSPECIFIED(&inet->sin6_addr);
    }
    return place;
}

/* One can bind only to an address of this machine. */
static bool
is_local(const struct sockaddr *target)
{
    struct sockaddr_storage address = {0};
    socklen_t len =
        target->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    memcpy(&address, target, len);
    if (target->sa_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = 0;
    int fd = socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool local = bind(fd, (const struct sockaddr *)&address, len) == 0;
    close(fd);
    return local;
}

bool
relay_is_own(const struct sockaddr *listening, const struct sockaddr *target)
{
    struct place own = place_of(listening), other = place_of(target);
    if (!own.is_inet || !other.is_inet || own.port != other.port)
        return false;
    /* To connect to "every address" means to connect to this machine. */
    if (other.is_any || IN6_ARE_ADDR_EQUAL(&own.address, &other.address))
        return true;
    return own.is_any && is_local(target);
}
