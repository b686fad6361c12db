#include "cache/cache_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* An X-Forwarded-For list is read from its end: each hop that is trusted vouches for the one before
 * it. The first address that is not trusted, or that is none, is the client's as far as we know.
 */

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]:80", "192.0.2.1:80". */
static bool
parse_address(struct str text, struct sockaddr_storage *address)
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.len && text.ptr[0] == '[')
        text = str_first(str_skip(text, 1), str_find_char(str_skip(text, 1), ']'));
    else if (str_find_char(text, ':') == str_find_last_char(text, ':'))
        text = str_first(text, str_find_char(text, ':'));
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, copy, &v4->sin_addr) == 1)
        address->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, copy, &v6->sin6_addr) == 1)
        address->ss_family = AF_INET6;
    return address->ss_family != 0;
}

/* Whom a trusted peer speaks for. */
static void
follow_forwarded(const struct cache *cache, const struct req *req, struct sockaddr_storage *address)
{
    char scratch[1024];
    struct str list;
    const struct cidr_list *trusted = cache->config.trusted_proxies;
    if (!cidr_list_has(trusted, (struct sockaddr *)address))
        return;
    if (!http_head_list(&req->head, HTTP_FIELD_X_FORWARDED_FOR, scratch, sizeof scratch, &list)) {
        address->ss_family = AF_UNSPEC; /* a client may have made it that long, to hide behind us */
        return;
    }
    while (list.len && cidr_list_has(trusted, (struct sockaddr *)address)) {
        size_t comma = str_find_last_char(list, ',');
        bool is_last = comma == list.len;
        struct str hop = str_trim(is_last ? list : str_skip(list, comma + 1));
        struct sockaddr_storage before;
        if (!parse_address(hop, &before)) {
            address->ss_family = AF_UNSPEC; /* whoever it is, nobody knows */
            return;
        }
        *address = before;
        list = str_first(list, is_last ? 0 : comma);
    }
}

bool
access_client(const struct cache *cache, const struct req *req, struct sockaddr_storage *address)
{
    socklen_t len = sizeof *address;
    memset(address, 0, sizeof *address);
    if (getpeername(req->fd, (struct sockaddr *)address, &len) != 0)
        return false;
    if (cache->config.trusted_proxies->count)
        follow_forwarded(cache, req, address);
    return address->ss_family == AF_INET || address->ss_family == AF_INET6;
}

bool
access_is_allowed(const struct cache *cache, const struct req *req)
{
    struct sockaddr_storage address;
    if (cache->config.allow_networks->count == 0)
        return true;
    return access_client(cache, req, &address) &&
           cidr_list_has(cache->config.allow_networks, (struct sockaddr *)&address);
}

/* In a time that does not tell how much of it is right. */
static bool
same_secret(struct str a, struct str b)
{
    unsigned char difference = a.len != b.len;
    for (size_t i = 0; i < a.len; i++)
        difference |= (unsigned char)(a.ptr[i] ^ b.ptr[b.len ? i % b.len : 0]);
    return difference == 0;
}

bool
access_may_purge(const struct cache *cache, const struct req *req)
{
    struct str value = http_head_value(&req->head, HTTP_FIELD_AUTHORIZATION);
    struct str token = str_from_cstr(cache->config.purge_token);
    return token.len && str_ieq(str_first(value, 7), STR("Bearer ")) &&
           same_secret(str_trim(str_skip(value, 7)), token);
}
