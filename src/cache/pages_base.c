#include "cache/pages_internal.h"

#include "base/limits.h"
#include "http/target.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The links that people copy from the pages must be whole: scheme, host, port, prefix. The host is
 * what the client called us; it goes into lines for a shell, so a name with anything else in it
 * than names have is not repeated.
 */

static bool
is_plain_authority(struct str authority)
{
    for (size_t i = 0; i < authority.len; i++)
        if (!isalnum((unsigned char)authority.ptr[i]) && !memchr("-._:[]", authority.ptr[i], 6))
            return false;
    return authority.len > 0;
}

/* The address that the connection came to. */
static struct str
own_authority(struct req *req)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
    if (getsockname(req->fd, (struct sockaddr *)&address, &len) != 0)
        address.ss_family = AF_UNSPEC;
    if (address.ss_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text))
        return arena_printf(&req->arena, "%s:%u", text, ntohs(v4->sin_port));
    if (address.ss_family == AF_INET6 && inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text))
        return arena_printf(&req->arena, "[%s]:%u", text, ntohs(v6->sin6_port));
    return STR("localhost");
}

/* A field that is not among the known ones. */
static struct str
other_field(const struct http_head *head, struct str name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (str_ieq(http_field_name(head, &head->fields[i]), name))
            return http_field_value(head, &head->fields[i]);
    return STR("");
}

/* TLS may end at a proxy; only one that is trusted can say so. */
static bool
is_https(const struct cache *cache, const struct req *req)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    if (req->is_tls)
        return true;
    return str_ieq(other_field(&req->head, STR("x-forwarded-proto")), STR("https")) &&
           getpeername(req->fd, (struct sockaddr *)&peer, &len) == 0 &&
           cidr_list_has(cache->config.trusted_proxies, (struct sockaddr *)&peer);
}

struct str
page_base_url(struct page *page)
{
    struct req *req = page->req;
    struct str authority = http_head_value(&req->head, HTTP_FIELD_HOST), base;
    struct buf text;
    if (req->target.form == TARGET_ABSOLUTE)
        authority = req->target.authority;
    if (!is_plain_authority(authority))
        authority = own_authority(req);
    buf_init(&text, URL_MAX);
    buf_append(&text, is_https(page->worker->cache, req) ? STR("https://") : STR("http://"));
    buf_append(&text, authority);
    html_append_encoded(&text, page_config(page)->path, "/");
    base = arena_copy(&req->arena, buf_str(&text));
    buf_deinit(&text);
    return base;
}
