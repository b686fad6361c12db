/* structured: walks a dictionary of a Structured Field (RFC 9651 section 3.2), checking all of its
 * grammar, so that a field with unknown members is read as its sender meant it. Pure.
 */
#ifndef TARN_HTTP_STRUCTURED_H
#define TARN_HTTP_STRUCTURED_H

#include "base/str.h"

enum structured_type {
    STRUCTURED_BOOLEAN, /* also a member without a value, which is true */
    STRUCTURED_NUMBER,  /* integer or decimal */
    STRUCTURED_STRING,
    STRUCTURED_TOKEN,
    STRUCTURED_BYTES,
    STRUCTURED_DATE,
    STRUCTURED_DISPLAY_STRING,
    STRUCTURED_LIST, /* inner list */
};

struct structured_member {
    struct str key;
    enum structured_type type;
    struct str value; /* raw, without parameters: `"a"`, `?1`, `(1 2)`; of bytes what stands between
                         the colons, in base64 characters but otherwise unchecked; empty for a
                         member without a value */
};

enum structured_result {
    STRUCTURED_MEMBER,    /* *out is set; strs borrow the field value */
    STRUCTURED_END,       /* nothing left */
    STRUCTURED_MALFORMED, /* the whole field counts as absent (RFC 9651 section 4.2): the members
                             read before as well */
};

/* Takes the next member from the front of *rest, which starts as the field value. Of members with
 * the same key the last one counts (section 3.2); that is left to the caller. */
enum structured_result structured_next(struct str *rest, struct structured_member *out);

#endif
