/* size_text: lengths for people. Pure. */
#ifndef TARN_SERVER_SIZE_TEXT_H
#define TARN_SERVER_SIZE_TEXT_H

#include <stdint.h>

enum { SIZE_TEXT_MAX = 32 };

/* "8 B", "1.5 MiB". Returns out. */
const char *size_text(char out[static SIZE_TEXT_MAX], uint64_t len);

#endif
