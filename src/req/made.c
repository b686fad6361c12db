#include "req/made.h"

#include "http/precond.h"
#include "http/status.h"
#include "site/packidx.h"
#include "site/template.h"

/* Pages up to this length are put together in one piece: that is less work than many pieces. */
enum { JOIN_MAX = 16 << 10 };

/* --- head --- */

/* What is known of a made answer before its body is. */
struct made {
    struct str type;  /* media type */
    struct str lines; /* more header lines that outlive the response, or empty */
    uint64_t len;
    struct content_hash hash;
};

/* Header lines of 200 and 304, or the answer 412. False: no body is to come. */
static bool
begin_made(struct req *req, const struct made *made)
{
    char etag[CONTENT_ETAG_LEN];
    content_etag(made->hash, etag);
    struct str tag = str_make(etag, sizeof etag);
    struct http_validators validators = {.etag = tag, .exists = true};
    switch (http_precond_check(&req->head, &validators, req->env->now_s)) {
    case HTTP_PRECOND_304:
        req->response.status = 304;
        req_add_block(req, arena_printf(&req->arena,
                                        "ETag: %.*s\r\n"
                                        "Cache-Control: no-cache\r\n",
                                        STR_ARG(tag)));
        req_add_block(req, made->lines);
        return false;
    case HTTP_PRECOND_412:
        req_respond_error(req, 412);
        return false;
    case HTTP_PRECOND_NONE:
        break;
    }
    req->response.status = 200;
    req->response.body_len = made->len;
    req_add_block(req,
                  arena_printf(&req->arena,
                               "Content-Length: %llu\r\nContent-Type: %.*s\r\n"
                               "ETag: %.*s\r\nCache-Control: no-cache\r\n",
                               (unsigned long long)made->len, STR_ARG(made->type), STR_ARG(tag)));
    req_add_block(req, made->lines);
    return req->head.method != HTTP_METHOD_HEAD;
}

static void
serve_text(struct req *req, struct str type, struct str lines, struct str body)
{
    struct made made = {.type = type, .lines = lines, .len = body.len, .hash = content_hash(body)};
    if (begin_made(req, &made))
        body_set_text(&req->body, body);
}

void
req_serve_made(struct req *req, struct str type, struct str lines, struct str body)
{
    serve_text(req, type, lines, body);
    if (req->response.status != 412)
        req_apply_rules(req);
}

/* --- a page whose places are filled in --- */

struct filled {
    const char *text; /* of the page */
    size_t text_len;
    const struct site_template *template;
    uint64_t len;        /* of all pieces */
    struct str values[]; /* by slot */
};

/* Text and values in turn: text before the first place, the first value, and so on. */
static struct str
piece_at(const struct filled *filled, uint32_t at)
{
    const struct site_template *template = filled->template;
    uint32_t hole = at / 2;
    if (at % 2)
        return filled->values[template->holes[hole].slot];
    size_t from = hole ? template->holes[hole - 1].off + template->holes[hole - 1].len : 0;
    size_t to = hole < template->hole_count ? template->holes[hole].off : filled->text_len;
    return str_make(filled->text + from, to - from);
}

static uint32_t
piece_count(const struct filled *filled)
{
    return 2 * filled->template->hole_count + 1;
}

/* The value of a slot as it goes into the page: a copy, as hooks may change what it was. */
static struct str
value_of(struct req *req, const struct site_slot *slot)
{
    struct str value;
    if (!req->env->filter->lookup(req, slot->key, &value))
        return STR("");
    if (slot->raw)
        return arena_copy(&req->arena, value);
    size_t len = site_template_escaped_len(value);
    char *text = arena_alloc_text(&req->arena, len);
    if (!text)
        return STR("");
    site_template_escape(value, text);
    return str_make(text, len);
}

/* NULL: no memory, and answered so. */
static struct filled *
fill(struct req *req, const struct site_rep *rep)
{
    const struct site_template *template = rep->template;
    struct filled *filled =
        arena_alloc(&req->arena, sizeof *filled + template->slot_count * sizeof filled->values[0]);
    if (filled) {
        filled->text = rep->content.mem;
        filled->text_len = rep->content.len;
        filled->template = template;
        for (uint32_t i = 0; i < template->slot_count; i++)
            filled->values[i] = value_of(req, &template->slots[i]);
        for (uint32_t i = 0; i < piece_count(filled); i++)
            filled->len += piece_at(filled, i).len;
    }
    if (!arena_overflowed(&req->arena))
        return filled;
    req_respond_error(req, 500);
    return NULL;
}

static enum body_result
filled_pull(struct body *body, struct body_piece *piece)
{
    const struct filled *filled = body->arg;
    while (body->part_next < piece_count(filled)) {
        uint32_t at = body->part_next++;
        struct str text = piece_at(filled, at);
        if (text.len == 0)
            continue;
        /* Text of the snapshot is constant; a value goes with the request. */
        *piece = (struct body_piece){.mem = text, .len = text.len, .constant = at % 2 == 0};
        return BODY_PIECE;
    }
    return BODY_END;
}

static const struct body_ops filled_ops = {.pull = filled_pull};

static void
set_pieces(struct req *req, struct filled *filled)
{
    req->body = (struct body){.ops = &filled_ops, .arg = filled};
}

/* The page in one piece. NULL pointer: no memory. */
static struct str
join(struct req *req, const struct filled *filled)
{
    char *text = arena_alloc_text(&req->arena, filled->len + 1);
    size_t len = 0;
    for (uint32_t i = 0; text && i < piece_count(filled); i++) {
        struct str piece = piece_at(filled, i);
        if (piece.len)
            memcpy(text + len, piece.ptr, piece.len);
        len += piece.len;
    }
    return str_make(text, len);
}

/* False: no memory. */
static bool
hash_pieces(const struct filled *filled, struct content_hash *hash)
{
    struct content_hasher *hasher = content_hasher_new();
    if (!hasher)
        return false;
    for (uint32_t i = 0; i < piece_count(filled); i++)
        content_hasher_update(hasher, piece_at(filled, i));
    *hash = content_hasher_finish(hasher);
    return true;
}

void
req_serve_template(struct req *req, const struct site_rep *rep)
{
    struct filled *filled = fill(req, rep);
    if (!filled)
        return;
    if (filled->len <= JOIN_MAX) {
        struct str text = join(req, filled);
        if (text.ptr)
            serve_text(req, rep->type, rep->template_lines, text);
        else
            req_respond_error(req, 500);
        return;
    }
    struct made made = {.type = rep->type, .lines = rep->template_lines, .len = filled->len};
    if (!hash_pieces(filled, &made.hash))
        req_respond_error(req, 500);
    else if (begin_made(req, &made))
        set_pieces(req, filled);
}

void
req_serve_template_as(struct req *req, int status, const struct site_rep *rep)
{
    struct filled *filled = fill(req, rep);
    if (!filled)
        return;
    req->response.status = (uint16_t)status;
    req->response.body_len = filled->len;
    req_add_block(req, arena_printf(&req->arena,
                                    "Content-Length: %llu\r\nContent-Type: %.*s\r\n"
                                    "Cache-Control: no-store\r\n"
                                    "X-Content-Type-Options: nosniff\r\n",
                                    (unsigned long long)filled->len, STR_ARG(rep->type)));
    if (req->head.method != HTTP_METHOD_HEAD && http_status_has_body(status))
        set_pieces(req, filled);
}
