/* listen: opens the sockets that workers accept from.
 *
 * A TCP address gets one SO_REUSEPORT socket for each worker, all on the same port (with port 0 the
 * kernel chooses once, for all); the kernel then spreads new connections over them. A unix socket
 * or an inherited descriptor exists once and is shared: workers take turns. Thread rule: main
 * thread, at start. Ownership: listen_close.
 */
#ifndef TARN_SERVER_LISTEN_H
#define TARN_SERVER_LISTEN_H

#include "base/error.h"
#include "server/addr.h"

struct listen_socket {
    struct addr addr; /* as bound: with the real port */
    int *fds;         /* one for each worker; the same descriptor in each when shared */
    unsigned count;
    bool shared;
    bool is_admin, is_tls;
    bool unlink_path; /* a unix socket that we made */
};

/* Opens `text` for `workers` workers. -1 and one line in *error: the address, and why. */
int listen_open(struct listen_socket *out, const char *text, unsigned workers,
                struct error *error) MUST_USE;

/* Removes the path of a unix socket that we made: nobody new finds it. */
void listen_unlink(struct listen_socket *socket);

/* Closes the sockets and removes a unix socket's path. */
void listen_close(struct listen_socket *socket);

#endif
