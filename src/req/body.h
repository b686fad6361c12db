/* body: response bodies that are pulled.
 *
 * The session asks for the next piece when it can send more, so a slow client slows whatever
 * produces the body, and nothing is collected whole. A piece is bytes in memory or a range of a
 * file; the session does not know what kind of body gave it. A body is embedded in its request. One
 * that depends on something outside, an upstream or a download, may have no piece yet.
 *
 * Thread rule: the worker's. Memory: a piece stays good until the next pull or body_close.
 */
#ifndef TARN_REQ_BODY_H
#define TARN_REQ_BODY_H

#include "base/error.h"
#include "base/str.h"

struct site_content;

struct body_piece {
    struct str mem; /* bytes, or with ptr NULL: */
    int fd;         /* this range of a file */
    uint64_t off;
    uint64_t len;
    bool constant; /* mem never changes again, not even after the body is closed */
};

enum body_result {
    BODY_PIECE,
    BODY_END,
    BODY_PENDING, /* nothing yet: whoever produces it calls req_wake when there is */
    BODY_FAILED,  /* cannot go on: the transfer must break, never end cleanly */
};

struct body;
struct body_ops {
    enum body_result (*pull)(struct body *body, struct body_piece *piece);
    void (*close)(struct body *body);
    /* The client sends no more while the answer, or more of the body, is waited for: it has left,
     * or has only ended its side and still reads. NULL: of no interest. Nothing may be woken. */
    void (*left)(struct body *body);
};

/* One run of bytes of a body made of parts: text in memory, or a range of the content. */
struct body_part {
    struct str text;
    uint64_t off, len; /* of the content, when text.ptr is NULL */
};

struct body {
    const struct body_ops *ops; /* NULL: no body */
    void *arg;                  /* of bodies made elsewhere; the rest is for those made here */
    const struct site_content *content;
    int fd;         /* of content without mem */
    bool file_open; /* fd is the content's */
    bool owned;     /* and is closed with the body */
    uint16_t part_next, part_count;
    const struct body_part *parts; /* borrowed; &single for one part */
    struct body_part single;
};

/* Text that outlives the body. Empty text is no body. */
void body_set_text(struct body *body, struct str text);

/* `len` bytes of content from off on. Content without memory is opened here: -1 and *error when it
 * is not what was loaded. */
int body_set_content(struct body *body, const struct site_content *content, uint64_t off,
                     uint64_t len, struct error *error) MUST_USE;

/* Several parts in order, over one content; `parts` outlives the body. */
int body_set_parts(struct body *body, const struct site_content *content,
                   const struct body_part *parts, unsigned count, struct error *error) MUST_USE;

/* Moves a body to another place; `from` is none then. */
void body_move(struct body *to, struct body *from);

static inline enum body_result
body_pull(struct body *body, struct body_piece *piece)
{
    return body->ops ? body->ops->pull(body, piece) : BODY_END;
}

static inline void
body_left(struct body *body)
{
    if (body->ops && body->ops->left)
        body->ops->left(body);
}

static inline void
body_close(struct body *body)
{
    if (body->ops && body->ops->close)
        body->ops->close(body);
    body->ops = NULL;
}

#endif
