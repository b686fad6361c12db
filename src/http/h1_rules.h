/* h1_rules: what the fields of a complete HTTP/1 request head mean for the connection: the host
 * rule, the length of the body, persistence, expectations. Pure. Used by h1_head alone.
 */
#ifndef TARN_HTTP_H1_RULES_H
#define TARN_HTTP_H1_RULES_H

#include "http/h1_fields.h"

/* Checks the fields of `head`, which `lines` decoded, and fills in body_kind, content_length,
 * keep_alive and expect_continue. The first rule broken, in the order named above, is returned;
 * H1_ERROR_NONE when all hold. */
enum h1_error h1_rules_apply(struct http_head *head, const struct h1_fields *lines);

#endif
