/* base64: the encodings of RFC 4648 sections 4 and 5, written, and read strictly. Pure.
 *
 * What is read is the one way to write those bytes in that form: a character outside of the
 * alphabet, white space, padding that is missing, too much or not wanted, unused bits that are not
 * zero are all refused.
 */
#ifndef TARN_BASE_BASE64_H
#define TARN_BASE_BASE64_H

#include "base/str.h"

enum base64_form {
    BASE64_STANDARD,        /* "+/", padded with '=' */
    BASE64_STANDARD_NO_PAD, /* "+/" */
    BASE64_URL,             /* "-_", padded */
    BASE64_URL_NO_PAD,      /* "-_" */
    BASE64_FORM_COUNT,
};

/* Characters that `len` bytes are written in. */
size_t base64_encoded_len(enum base64_form form, size_t len);
/* Writes that many, and no NUL. `out` must not overlap `bytes`. */
void base64_encode(enum base64_form form, struct str bytes, char *out);

/* Bytes that a text of that form and length stands for, should it be one. False: no text has this
 * length, or this padding. */
bool base64_decoded_len(enum base64_form form, struct str text, size_t *len);
/* Writes base64_decoded_len bytes, fewer than the text has. `out` may be where the text is. False,
 * with `out` in any state: it is none. */
bool base64_decode_form(enum base64_form form, struct str text, char *out);

/* Reads standard text that stands for exactly `out_len` bytes. False, with `out` in any state, when
 * it stands for another number of bytes, or is none. */
bool base64_decode(struct str text, uint8_t *out, size_t out_len);

#endif
