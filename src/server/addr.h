/* addr: the text form of an address to listen on, as an operator writes and reads it.
 *
 *     8080, :8080, *:8080      every local address, IPv6 and IPv4
 *     127.0.0.1:8080           one IPv4 address
 *     [::1]:8080, [fe80::1%eth0]:8080
 *     localhost:8080           127.0.0.1
 *     unix:/run/tarn.sock      a Unix socket; unix:@name in the abstract namespace
 *     fd:3                     a listening socket inherited from whoever started the program
 *
 * Names other than localhost are refused: what a server listens on must not depend on a resolver.
 * Thread rule: pure functions, except that an IPv6 zone asks the kernel for the interface's number.
 * Nothing is opened, nothing allocated.
 */
#ifndef TARN_SERVER_ADDR_H
#define TARN_SERVER_ADDR_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum addr_kind { ADDR_INET, ADDR_UNIX, ADDR_FD };

/* Room for any address as text with its NUL: "unix:" and a whole sun_path is the longest. */
enum { ADDR_TEXT_MAX = 128 };

struct addr {
    enum addr_kind kind;
    bool wildcard; /* no host was given: [::] for both families; see addr_to_ipv4_any */
    int fd;        /* ADDR_FD, else -1 */
    socklen_t len; /* of storage; 0 for ADDR_FD */
    struct sockaddr_storage storage; /* ready for bind */
    char text[ADDR_TEXT_MAX];        /* "127.0.0.1:8080", "[::]:8080", "unix:/path", "fd:3" */
};

/* Reads one of the forms above. -1 and one line in *error that shows the right form. */
int addr_parse(struct addr *out, const char *text, struct error *error) MUST_USE;

/* Whether `host` can stand before a port: an IPv4 address, an IPv6 address with or without
 * brackets, "localhost" or "*". */
bool addr_is_host(const char *host);

/* Joins host and port to a text for addr_parse: brackets are put around IPv6. `host` passed
 * addr_is_host, or is NULL for every local address. */
void addr_join(char out[ADDR_TEXT_MAX], const char *host, uint16_t port);

/* An address from the kernel (getsockname, getpeername), with its text. An unnamed Unix socket is
 * "unix:". An unknown family becomes ADDR_UNIX with the text "unknown". */
void addr_from_socket(struct addr *out, const struct sockaddr *address, socklen_t len);

/* The port of an ADDR_INET address, 0 for others; and to set it, once port 0 became a real one. */
uint16_t addr_port(const struct addr *addr);
void addr_set_port(struct addr *addr, uint16_t port);

/* Turns a wildcard into 0.0.0.0 with the same port, for a machine without IPv6. */
void addr_to_ipv4_any(struct addr *addr);

/* For the line that says where the server listens: "http://127.0.0.1:8080", "http://[::1]:8080",
 * "unix:/path", "fd:3". `scheme` is "http" or "https". Cut at out_len. */
void addr_print_url(const struct addr *addr, const char *scheme, char *out, size_t out_len);

#endif
