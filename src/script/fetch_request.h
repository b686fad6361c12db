/* fetch_request: what zs_fetch is asked for, read from its JSON object. Not for other folders.
 *
 *     {"url": "https://example.org/a", "method": "GET", "headers": {"name": "value"},
 *      "body": "text" or "body_base64": "dGV4dA==", "timeout_ms": 10000, "max_body": 1048576}
 *
 * Only "url" must be there; the values above are the defaults, but that there are no headers and no
 * body. A member of another name, a value of another kind or out of bounds is an error: a request
 * that is not understood is not sent. Of a member that comes twice the last counts. Everything that
 * decides about framing is the client's: no Content-Length, no Transfer-Encoding. "Host" may be
 * given and takes the place of the URL's.
 *
 * Pure but for the arena. Bounds: SCRIPT_FETCH_*.
 */
#ifndef TARN_SCRIPT_FETCH_REQUEST_H
#define TARN_SCRIPT_FETCH_REQUEST_H

#include "base/error.h"
#include "proxy/exchange.h"

struct fetch_request {
    struct exchange_request exchange; /* without its body */
    bool has_body;
    struct str body;
    uint64_t timeout_ms;
    uint64_t max_body; /* bytes of the response's */
};

/* What reading a text of so many bytes needs of the arena at most. */
size_t fetch_request_memory(size_t text_len);
/* The strs lie in the arena. -1 and one line that names the member. */
int fetch_request_read(struct fetch_request *out, struct str text, struct arena *arena,
                       struct error *error) MUST_USE;

#endif
