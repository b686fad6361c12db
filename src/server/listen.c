#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 }; /* cut by net.core.somaxconn */

static void
set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* The descriptor, or -errno and *error. */
static int
open_socket(const struct addr *addr, bool reuse_port, struct error *error)
{
    int family = addr->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int code = errno;
        error_set_errno(error, code, "cannot listen on %s", addr->text);
        return -code;
    }
    if (family != AF_UNIX) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, reuse_port);
        /* Accepted sockets inherit it: responses are written whole, so waiting for more never
         * helps. */
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (family == AF_INET6)
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !addr->wildcard);
    }
    if (bind(fd, (const struct sockaddr *)&addr->storage, addr->len) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        int code = errno;
        error_set_errno(error, code, "cannot listen on %s", addr->text);
        close(fd);
        return -code;
    }
    return fd;
}

/* Sharing a port among workers also lets another process of the same user share it unnoticed. So
 * the port is first opened alone, which fails when anybody has it; that also makes the kernel
 * choose for port 0. */
static int
reserve_port(struct addr *addr, struct error *error)
{
    int fd = open_socket(addr, false, error);
    if (fd < 0)
        return fd;
    socklen_t len = sizeof addr->storage;
    struct sockaddr_storage bound;
    if (addr_port(addr) == 0 && getsockname(fd, (struct sockaddr *)&bound, &len) == 0) {
        struct addr real;
        addr_from_socket(&real, (struct sockaddr *)&bound, len);
        addr_set_port(addr, addr_port(&real));
    }
    return fd;
}

static int
open_inet(struct listen_socket *out, unsigned workers, struct error *error)
{
    int first = reserve_port(&out->addr, error);
    bool no_ipv6 = first == -EAFNOSUPPORT || first == -EADDRNOTAVAIL;
    if (no_ipv6 && out->addr.wildcard && out->addr.storage.ss_family == AF_INET6) {
        addr_to_ipv4_any(&out->addr);
        first = reserve_port(&out->addr, error);
    }
    if (first < 0)
        return -1;
    if (workers == 1) {
        out->fds[out->count++] = first;
        return 0;
    }
    close(first);
    while (out->count < workers) {
        int fd = open_socket(&out->addr, true, error);
        if (fd < 0)
            return -1;
        out->fds[out->count++] = fd;
    }
    return 0;
}

/* A socket file that nobody listens on is left over from a process that died: it may go. */
static void
remove_stale_socket(const struct addr *addr)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->storage;
    struct stat status;
    if (un->sun_path[0] == '\0' || lstat(un->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)un, addr->len) != 0 && errno == ECONNREFUSED)
        unlink(un->sun_path);
    close(fd);
}

static int
adopt_fd(struct listen_socket *out, struct error *error)
{
    int fd = out->addr.fd;
    int listening = 0;
    socklen_t len = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0)
        return error_set_errno(error, errno, "cannot listen on %s", out->addr.text);
    if (!listening)
        return error_set(error, "cannot listen on %s: the descriptor is not a listening socket",
                         out->addr.text);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    struct sockaddr_storage bound;
    len = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
        addr_from_socket(&out->addr, (struct sockaddr *)&bound, len);
    return fd;
}

static int
open_shared(struct listen_socket *out, unsigned workers, struct error *error)
{
    out->shared = true;
    int fd;
    if (out->addr.kind == ADDR_FD) {
        fd = adopt_fd(out, error);
    } else {
        remove_stale_socket(&out->addr);
        fd = open_socket(&out->addr, false, error);
        out->unlink_path = fd >= 0;
    }
    if (fd < 0)
        return -1;
    while (out->count < workers)
        out->fds[out->count++] = fd;
    return 0;
}

int
listen_open(struct listen_socket *out, const char *text, unsigned workers, struct error *error)
{
    *out = (struct listen_socket){0};
    if (addr_parse(&out->addr, text, error) != 0)
        return -1;
    out->fds = calloc(workers, sizeof *out->fds);
    if (!out->fds)
        return error_set(error, "no memory for the listeners");
    int result = out->addr.kind == ADDR_INET ? open_inet(out, workers, error)
                                             : open_shared(out, workers, error);
    if (result != 0)
        listen_close(out);
    return result;
}

void
listen_unlink(struct listen_socket *listening)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&listening->addr.storage;
    if (listening->unlink_path && un->sun_path[0])
        unlink(un->sun_path);
    listening->unlink_path = false;
}

void
listen_close(struct listen_socket *listening)
{
    for (unsigned i = 0; i < listening->count; i++)
        if (i == 0 || !listening->shared)
            close(listening->fds[i]);
    listen_unlink(listening);
    free(listening->fds);
    listening->fds = NULL;
    listening->count = 0;
}
