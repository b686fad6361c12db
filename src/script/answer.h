/* answer: what scripts want to be answered; and hooks, and the response that hooks change. Not for
 * other folders.
 *
 * The last word of the chain counts: zs_respond over zs_respond, and so on. When the chain has
 * ended (task.c), abort comes first, then a response, then a proxy, then a file.
 */
#ifndef TARN_SCRIPT_ANSWER_H
#define TARN_SCRIPT_ANSWER_H

#include "base/buf.h"
#include "base/error.h"
#include "script/fields.h"

struct req;
struct script_task;
struct site_route;

struct script_answer {
    bool aborts;
    bool has_response;    /* status, fields, body */
    bool has_proxy;       /* proxy_url */
    bool has_file;        /* file, with file_status (0: as it is) and file_codings */
    bool file_is_respond; /* it is zs_respond_file's, which counts as a response */
    uint8_t file_codings; /* bits 1 << enum http_coding of the variants that may be sent */
    uint16_t status, file_status;
    struct script_fields fields; /* of the response: content-type, location */
    struct buf body;
    struct buf proxy_url;
    const struct site_route *file; /* the snapshot's; NULL: what `listing` says, or 404 */
    /* A directory to be listed, as the site knows it and as the client does ("/d/"), and patterns
     * of what is hidden in it; each with a NUL behind its end. Empty: none. */
    struct buf listing;
};

/* Zeroed memory is none. */
void script_answer_clear(struct script_answer *answer);
void script_answer_deinit(struct script_answer *answer);
/* A response with this body, in place of an earlier one; below 100 or above 999 becomes 500. Empty
 * content_type: none. False: no memory, or more than SCRIPT_ANSWER_MAX. */
bool script_answer_respond(struct script_answer *answer, uint64_t status, struct str content_type,
                           struct str body) MUST_USE;

/* A redirect, in place of an earlier response; `location` is a URL. False: no memory. */
bool script_answer_redirect(struct script_answer *answer, int status, struct str location) MUST_USE;

/* Whether a page can be answered with this status: 200 to 999, and none that says that there is no
 * body, or a part of one; or 0. */
bool script_status_has_page(uint64_t status);
/* Appends a URL, or a part of one: what may not stand in one is percent-encoded. */
void script_append_url(struct buf *out, struct str url);

/* The answer becomes req->response and req->body: true; or there is none: false. Never fails: what
 * goes wrong becomes a 500. */
bool script_answer_apply(struct script_task *task);

/* What goes into a place of a page; for struct req_filter_ops. */
bool script_answer_lookup(struct req *req, struct str key, struct str *value);

/* --- hooks --- */

struct script_hook {
    const struct script *script;
    int64_t entry;
    uint32_t argument_off, argument_len; /* JSON text, of hooks.text */
};

struct script_hooks {
    struct script_hook *list;
    uint32_t count, cap;
    uint32_t next; /* that runs, in the response phase */
    struct buf text;
};

/* Zeroed memory is none. */
void script_hooks_clear(struct script_hooks *hooks);
void script_hooks_deinit(struct script_hooks *hooks);
/* Where the argument of the next hook is to be appended, and the hook. False: too many, their
 * arguments are too long together, or no memory. */
struct buf *script_hooks_text(struct script_hooks *hooks);
bool script_hooks_add(struct script_hooks *hooks, const struct script *script,
                      int64_t entry) MUST_USE;

/* --- the response, while hooks run --- */

struct script_response {
    bool fields_loaded; /* `fields` has the header lines; else req->response's blocks have them */
    bool fields_changed;
    struct script_fields fields;
    /* "Content-Length: N", which hooks see and do not change; of the blocks. NULL: there is none.
     */
    struct str content_length;
    bool status_changed;
    /* What it was before the hook that runs, should that fail. */
    struct script_fields saved_fields;
    uint16_t saved_status;
    bool saved_changed, saved_status_changed, saved_restarts;
};

void script_response_clear(struct script_response *response);
void script_response_deinit(struct script_response *response);

/* Sets the headers that metadata asks for on req->response; cheap when there are none. Called
 * before the hooks and again behind them. */
void script_response_apply_meta(struct script_task *task);
/* Before and after a hook: keeps what it may change; gives that back when it failed. */
void script_response_save(struct script_task *task);
void script_response_restore(struct script_task *task);
/* Changed fields become req->response's blocks again. */
void script_response_commit(struct script_task *task);

#endif
