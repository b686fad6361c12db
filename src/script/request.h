/* request: the request as scripts see and change it. Not for other folders.
 *
 * As long as no script has changed anything, reads go to req->head, req->target and req->path, as
 * they came. The first change of a field copies all fields into a list; method and target have
 * their own text. script_request_commit writes the changed request back as req->head, req->target
 * and req->path, for the action; what the client sent stays in req->sent for the session and the
 * log.
 *
 * The host of an absolute target ("GET http://a/ HTTP/1.1") counts, whatever the field Host says
 * (RFC 9112 section 3.2.2); so that is what scripts see as Host, and with changed fields the target
 * is written back as a path.
 *
 * What scripts cannot change: the form of the target, which is a path from the first change on; how
 * long the body is. Content-Length and Transfer-Encoding belong to the bytes that the client sends:
 * setting them is an error of the script, removing them has no effect. With that, and with names,
 * values, host and target that are always well formed, a changed request cannot mean two things to
 * two servers. Fields of the connection (Connection, Upgrade, TE and so on) can be changed, and
 * mean nothing to this server: req->sent counts.
 */
#ifndef TARN_SCRIPT_REQUEST_H
#define TARN_SCRIPT_REQUEST_H

#include "base/ip_text.h"
#include "base/limits.h"
#include "req/req.h"
#include "script/fields.h"

#include <netinet/in.h>

struct script_task;
struct script_frame;
struct rewrite;

/* The client's address; of the IPv4 form when it is an IPv4 address in IPv6. */
struct script_peer {
    bool is_known; /* the rest is set */
    uint8_t text_len;
    union {
        struct sockaddr any; /* AF_UNSPEC: it is neither IPv4 nor IPv6 */
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address;
    char text[IP_TEXT_MAX]; /* "192.0.2.1:4711", "[2001:db8::1]:4711", "unix" */
};

/* Zeroed memory is a request as it came. */
struct script_request {
    bool fields_changed; /* `fields` is the list; else req->head has them */
    bool method_changed, target_changed;
    bool committed_all;  /* req->head is as scripts left it */
    bool has_body_limit; /* body_limit is set */
    bool clean_known;    /* `clean` is */
    struct script_fields fields;
    uint8_t method_len;
    char method[SCRIPT_METHOD_MAX];
    struct buf target;     /* "/path?query", and behind its end what `normalized` needs */
    struct target parts;   /* of `target` */
    struct str normalized; /* its path */
    struct buf clean;      /* the path without detours, when it has some */
    uint64_t body_limit;   /* zs_req_body_limit */
    struct script_peer peer;
};

void script_request_clear(struct script_request *request);
void script_request_deinit(struct script_request *request);

/* Writes changes back. False: it does not fit into the request's memory; the caller answers 500. */
bool script_request_commit(struct script_task *task) MUST_USE;

/* As scripts have left it: method, target as text and in its parts, path normalised. Valid until
 * the next change. */
struct str script_request_method(const struct script_task *task);
struct str script_request_target(const struct script_task *task);
const struct target *script_request_parts(const struct script_task *task);
struct str script_request_path(const struct script_task *task);
/* Value of the last field of that name; ptr NULL: there is none. */
struct str script_request_field(const struct script_task *task, struct str name);
/* All fields of that name but Host, in order: the first at or behind *at, which becomes what is
 * behind it. False: there is none. */
bool script_request_next_field(const struct script_task *task, struct str name, uint32_t *at,
                               struct str *value);

/* --- changes, by helpers; all trap, naming the helper, when they cannot be made --- */

/* The list of fields, to be changed. */
struct script_fields *script_request_change_fields(struct script_frame *frame, const char *helper);
/* A token; not CONNECT, which has no path. */
void script_request_set_method(struct script_frame *frame, struct str method, const char *helper);
/* A path, or an absolute URL, whose path and query count; either with a query, or without. What
 * follows a '#' goes. None of them lies in the request itself. */
void script_request_set_target(struct script_frame *frame, struct str target, const char *helper);

/* Whether a field says where the body ends: Content-Length, Transfer-Encoding. */
bool script_field_is_framing(struct str name);
/* Whether it can be the value of Host. */
bool script_host_is_valid(struct str value);

/* The whole body, read if need be: waits. False: too large, or it could not be read. Traps in a
 * hook. Valid until the request's end. */
bool script_request_body(struct script_frame *frame, struct str *body);

/* What the worker has for rewriting; traps without memory. */
struct rewrite *script_rewrite(struct script_frame *frame);

#endif
