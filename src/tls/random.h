/* random: bytes that nobody can guess. Any thread. */
#ifndef TARN_TLS_RANDOM_H
#define TARN_TLS_RANDOM_H

#include <stddef.h>

/* Never fails: without a source of randomness the process ends. */
void random_fill(void *out, size_t len);

#endif
