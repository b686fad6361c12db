/* base64: the standard alphabet of RFC 4648 section 4, read strictly. Pure. */
#ifndef TARN_BASE_BASE64_H
#define TARN_BASE_BASE64_H

#include "base/str.h"

/* Reads text that stands for exactly `out_len` bytes. False, with `out` in any state, when it
 * stands for another number of bytes, or is not the one way to write them: a character outside the
 * alphabet, white space, padding that is missing or too much, unused bits that are not zero. */
bool base64_decode(struct str text, uint8_t *out, size_t out_len);

#endif
