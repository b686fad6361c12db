/* ip_text: the text of a socket's address. Pure.
 *
 * An IPv4 address in its IPv6 form (::ffff:a.b.c.d), as a dual-stack socket names its peer, is
 * written as that IPv4 address; an IPv6 zone by its number.
 */
#ifndef TARN_BASE_IP_TEXT_H
#define TARN_BASE_IP_TEXT_H

#include <stddef.h>
#include <sys/socket.h>

/* Room for any, with its NUL: "[fe80::...%4294967295]:65535". */
enum { IP_TEXT_MAX = 72 };

/* Writes "192.0.2.1:4711" or "[2001:db8::1]:4711", NUL-terminated, and returns its length; 0 and ""
 * for other families. */
size_t ip_text_write(const struct sockaddr *address, char out[IP_TEXT_MAX]);

#endif
