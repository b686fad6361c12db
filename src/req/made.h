/* made: answers whose bytes are made for one request: pages of the site with places for metadata,
 * and documents of the filter's. Not for other folders, but for what req.h declares of them.
 *
 * Their ETag is of their own bytes, so that a client that has them need not get them again; they
 * are revalidated every time, and have no ranges.
 *
 * Memory: the request's arena. A page is not copied when it is long: its body gives pieces of the
 * snapshot and the values between them.
 */
#ifndef TARN_REQ_MADE_H
#define TARN_REQ_MADE_H

#include "req/req.h"
#include "site/site.h"

/* Whether this page has places, and the request a filter that fills them in. */
static inline bool
req_has_template(const struct req *req, const struct site_rep *rep)
{
    return rep->template && req->filter_state && req->env->filter->lookup;
}

/* Applies the `_headers` rules for the requested path to a response that was not rendered at load.
 */
void req_apply_rules(struct req *req);

/* Answers with the filled page: 200, 304 or 412. */
void req_serve_template(struct req *req, const struct site_rep *rep);
/* The same as the body of an answer with another status, which is never cached. */
void req_serve_template_as(struct req *req, int status, const struct site_rep *rep);

#endif
