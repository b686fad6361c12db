#include "server/addr.h"

#include "base/must.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <assert.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

/* An IPv6 address with its zone, and its NUL. */
enum { HOST_TEXT_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE };

static_assert(ADDR_TEXT_MAX > sizeof "unix:" + sizeof(((struct sockaddr_un *)0)->sun_path),
              "a whole Unix path fits");
static_assert(ADDR_TEXT_MAX > HOST_TEXT_MAX + sizeof "[]:65535", "an IPv6 address fits");

static bool
copy_text(char *out, size_t out_len, struct str text)
{
    if (text.len >= out_len || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = 0;
    return true;
}

static void
set_ipv4(struct addr *out, struct in_addr host)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = host};
    out->len = sizeof *in;
}

static void
set_ipv6(struct addr *out, struct in6_addr host, uint32_t zone)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = host, .sin6_scope_id = zone};
    out->len = sizeof *in6;
}

/* "%eth0" or "%2" behind an address. False when there is no such interface. */
static bool
parse_zone(const char *zone, uint32_t *out)
{
    uint64_t number;
    if (str_to_u64(str_from_cstr(zone), &number) && number > 0 && number <= UINT32_MAX) {
        *out = (uint32_t)number;
        return true;
    }
    *out = if_nametoindex(zone);
    return *out != 0;
}

static bool
parse_ipv6(struct addr *out, struct str host)
{
    char text[HOST_TEXT_MAX];
    struct in6_addr address;
    uint32_t zone = 0;
    if (!copy_text(text, sizeof text, host))
        return false;
    char *percent = strchr(text, '%');
    if (percent) {
        *percent = 0;
        if (!parse_zone(percent + 1, &zone))
            return false;
    }
    if (inet_pton(AF_INET6, text, &address) != 1)
        return false;
    set_ipv6(out, address, zone);
    return true;
}

/* The part before the port, without the brackets of IPv6. */
static bool
parse_host(struct addr *out, struct str host, bool bracketed)
{
    char text[HOST_TEXT_MAX];
    struct in_addr address;
    if (bracketed)
        return parse_ipv6(out, host);
    if (host.len == 0 || str_eq(host, STR("*"))) {
        set_ipv6(out, in6addr_any, 0);
        out->wildcard = true;
        return true;
    }
    if (str_ieq(host, STR("localhost"))) {
        set_ipv4(out, (struct in_addr){htonl(INADDR_LOOPBACK)});
        return true;
    }
    if (!copy_text(text, sizeof text, host) || inet_pton(AF_INET, text, &address) != 1)
        return false;
    set_ipv4(out, address);
    return true;
}

static bool
parse_port(struct str text, uint16_t *port)
{
    uint64_t value;
    if (text.len > 5 || !str_to_u64(text, &value) || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool
is_ipv6_text(struct str text)
{
    struct addr ignored = {0};
    return parse_ipv6(&ignored, text);
}

/* Cuts "[::1]:8080", "127.0.0.1:8080", ":8080" and "8080" into host and port. */
static int
split_host_port(const char *text, struct str *host, struct str *port, bool *bracketed,
                struct error *error)
{
    struct str rest = str_from_cstr(text);
    *bracketed = rest.len && rest.ptr[0] == '[';
    if (*bracketed) {
        size_t close = str_find_char(rest, ']');
        *host = str_skip(str_first(rest, close), 1);
        rest = str_skip(rest, close + 1);
        if (rest.len < 2 || rest.ptr[0] != ':')
            return error_set(error, "'%s' has no port; an IPv6 address looks like [::1]:8080",
                             text);
        *port = str_skip(rest, 1);
        return 0;
    }
    size_t colon = str_find_last_char(rest, ':');
    uint16_t number;
    if (colon == rest.len) {
        *host = str_first(rest, 0);
        *port = rest;
        if (parse_port(rest, &number))
            return 0;
        return error_set(error, "'%s' has no port; an address looks like 127.0.0.1:8080", text);
    }
    *host = str_first(rest, colon);
    *port = str_skip(rest, colon + 1);
    if (str_find_char(*host, ':') < host->len && is_ipv6_text(rest))
        return error_set(error, "'%s' has no port; an IPv6 address looks like [%s]:8080", text,
                         text);
    if (str_find_char(*host, ':') < host->len)
        return error_set(error, "'%s' is no address; IPv6 stands in brackets, as in [::1]:8080",
                         text);
    return 0;
}

static void
print_inet(struct addr *addr)
{
    char host[HOST_TEXT_MAX] = "";
    if (addr->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->storage;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(addr->text, sizeof addr->text, "%s:%u", host, addr_port(addr));
        return;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->storage;
    char zone[IF_NAMESIZE + 1] = "";
    inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    if (in6->sin6_scope_id) {
        zone[0] = '%';
        if (!if_indextoname(in6->sin6_scope_id, zone + 1))
            snprintf(zone + 1, sizeof zone - 1, "%u", in6->sin6_scope_id);
    }
    snprintf(addr->text, sizeof addr->text, "[%s%s]:%u", host, zone, addr_port(addr));
}

static int
parse_inet(struct addr *out, const char *text, struct error *error)
{
    struct str host, port;
    bool bracketed;
    uint16_t number;
    int result = split_host_port(text, &host, &port, &bracketed, error);
    if (result < 0)
        return result;
    if (!parse_port(port, &number))
        return error_set(error, "'%s' has no valid port; a port is a number from 0 to 65535", text);
    if (!parse_host(out, host, bracketed))
        return error_set(error,
                         "'%s' has no valid host; give a numeric address or localhost, as in "
                         "127.0.0.1:8080 or [::1]:8080",
                         text);
    addr_set_port(out, number);
    return 0;
}

/* "/path" or "@name" behind "unix:". The abstract form replaces the @ by NUL and has no NUL at its
 * end: every byte counts. */
static int
parse_unix(struct addr *out, const char *path, struct error *error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
    size_t len = strlen(path);
    bool abstract = path[0] == '@';
    if (len < 2 || (path[0] != '/' && path[0] != '.' && !abstract))
        return error_set(error, "'unix:%s' names no socket; write unix:/path or unix:@name", path);
    if (len >= sizeof un->sun_path)
        return error_set(error, "the path of 'unix:%s' is longer than %zu bytes", path,
                         sizeof un->sun_path - 1);
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(un->sun_path, path, len);
    if (abstract)
        un->sun_path[0] = 0;
    out->kind = ADDR_UNIX;
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
    snprintf(out->text, sizeof out->text, "unix:%s", path);
    return 0;
}

static int
parse_fd(struct addr *out, const char *number, struct error *error)
{
    uint64_t value;
    if (!str_to_u64(str_from_cstr(number), &value) || value > INT_MAX)
        return error_set(error, "'fd:%s' names no descriptor; write fd:3", number);
    out->kind = ADDR_FD;
    out->fd = (int)value;
    snprintf(out->text, sizeof out->text, "fd:%d", out->fd);
    return 0;
}

int
addr_parse(struct addr *out, const char *text, struct error *error)
{
    struct str s = str_from_cstr(text);
    *out = (struct addr){.kind = ADDR_INET, .fd = -1};
    if (s.len == 0)
        return error_set(error, "an empty address; write 127.0.0.1:8080 or :8080");
    if (str_starts_with(s, STR("unix:")))
        return parse_unix(out, text + 5, error);
    if (str_starts_with(s, STR("fd:")))
        return parse_fd(out, text + 3, error);
    return parse_inet(out, text, error);
}

bool
addr_is_host(const char *host)
{
    struct addr ignored = {0};
    struct str s = str_from_cstr(host);
    if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        return parse_ipv6(&ignored, str_make(s.ptr + 1, s.len - 2));
    return s.len && (parse_host(&ignored, s, false) || parse_ipv6(&ignored, s));
}

void
addr_join(char out[ADDR_TEXT_MAX], const char *host, uint16_t port)
{
    const char *text = host ? host : "";
    bool bare_ipv6 = text[0] != '[' && strchr(text, ':');
    int len = snprintf(out, ADDR_TEXT_MAX, bare_ipv6 ? "[%s]:%u" : "%s:%u", text, port);
    must(len > 0 && len < ADDR_TEXT_MAX);
}

static void
from_unix_socket(struct addr *out)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&out->storage;
    size_t path_len = out->len > offsetof(struct sockaddr_un, sun_path)
                          ? out->len - offsetof(struct sockaddr_un, sun_path)
                          : 0;
    out->kind = ADDR_UNIX;
    if (path_len > 1 && un->sun_path[0] == 0)
        snprintf(out->text, sizeof out->text, "unix:@%.*s", (int)path_len - 1, un->sun_path + 1);
    else
        snprintf(out->text, sizeof out->text, "unix:%.*s", (int)path_len, un->sun_path);
}

void
addr_from_socket(struct addr *out, const struct sockaddr *address, socklen_t len)
{
    *out = (struct addr){.kind = ADDR_INET, .fd = -1};
    out->len = len < sizeof out->storage ? len : (socklen_t)sizeof out->storage;
    memcpy(&out->storage, address, out->len);
    if (out->storage.ss_family == AF_INET || out->storage.ss_family == AF_INET6) {
        print_inet(out);
    } else if (out->storage.ss_family == AF_UNIX) {
        from_unix_socket(out);
    } else {
        out->kind = ADDR_UNIX;
        snprintf(out->text, sizeof out->text, "unknown");
    }
}

uint16_t
addr_port(const struct addr *addr)
{
    if (addr->kind != ADDR_INET)
        return 0;
    if (addr->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&addr->storage)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&addr->storage)->sin6_port);
}

void
addr_set_port(struct addr *addr, uint16_t port)
{
    must(addr->kind == ADDR_INET);
    if (addr->storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&addr->storage)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&addr->storage)->sin6_port = htons(port);
    print_inet(addr);
}

void
addr_to_ipv4_any(struct addr *addr)
{
    must(addr->wildcard);
    uint16_t port = addr_port(addr);
    memset(&addr->storage, 0, sizeof addr->storage);
    set_ipv4(addr, (struct in_addr){htonl(INADDR_ANY)});
    addr_set_port(addr, port);
}

void
addr_print_url(const struct addr *addr, const char *scheme, char *out, size_t out_len)
{
    if (addr->kind == ADDR_INET)
        snprintf(out, out_len, "%s://%s", scheme, addr->text);
    else
        snprintf(out, out_len, "%s", addr->text);
}
