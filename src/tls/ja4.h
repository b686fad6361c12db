/* ja4: the JA4 fingerprint of a TLS client (the published method "JA4: TLS Client Fingerprinting").
 *
 * A text such as t13d1516h2_8daaf6152771_e5627efa2ab1: what the client offers, then hashes of the
 * sorted cipher suites, and of the sorted extensions with the signature algorithms. Linear in the
 * hello; no allocation. Thread rule: pure function.
 */
#ifndef TARN_TLS_JA4_H
#define TARN_TLS_JA4_H

#include "http/client_hello.h"
#include "tls/stream.h"

/* Writes the fingerprint with a NUL behind it. `hello` is what client_hello_parse filled in. */
void ja4_compute(const struct client_hello *hello, char out[JA4_TEXT_LEN + 1]);

#endif
