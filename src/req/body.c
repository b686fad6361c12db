#include "req/body.h"

#include "site/site.h"

#include <unistd.h>

static enum body_result
body_parts_pull(struct body *body, struct body_piece *piece)
{
    if (body->part_next == body->part_count) {
        /* A file that changed while it was being sent may have given wrong bytes: the peer must not
         * take them for the whole. */
        bool changed = body->file_open && !site_content_is_unchanged(body->content, body->fd);
        return changed ? BODY_FAILED : BODY_END;
    }
    const struct body_part *part = &body->parts[body->part_next++];
    if (part->text.ptr) {
        *piece = (struct body_piece){.mem = part->text, .len = part->text.len};
        return BODY_PIECE;
    }
    const struct site_content *content = body->content;
    *piece = (struct body_piece){.fd = body->fd, .off = content->off + part->off, .len = part->len};
    if (content->mem) {
        piece->mem = str_make(content->mem + part->off, part->len);
        piece->constant = true;
    }
    return BODY_PIECE;
}

static void
body_parts_close(struct body *body)
{
    if (body->owned)
        close(body->fd);
    body->owned = body->file_open = false;
}

static const struct body_ops body_parts_ops = {body_parts_pull, body_parts_close, NULL};

void
body_set_text(struct body *body, struct str text)
{
    body->ops = text.len ? &body_parts_ops : NULL;
    body->content = NULL;
    body->owned = body->file_open = false;
    body->single = (struct body_part){.text = text};
    body->parts = &body->single;
    body->part_next = 0;
    body->part_count = 1;
}

int
body_set_parts(struct body *body, const struct site_content *content, const struct body_part *parts,
               unsigned count, struct error *error)
{
    body->ops = NULL;
    body->content = content;
    body->owned = body->file_open = false;
    body->parts = parts;
    body->part_next = 0;
    body->part_count = (uint16_t)count;
    if (!content->mem) {
        if (site_content_open(content, &body->fd, &body->owned, error) != 0)
            return -1;
        body->file_open = true;
    }
    body->ops = &body_parts_ops;
    return 0;
}

int
body_set_content(struct body *body, const struct site_content *content, uint64_t off, uint64_t len,
                 struct error *error)
{
    body->single = (struct body_part){.off = off, .len = len};
    if (len == 0) {
        body->ops = NULL;
        return 0;
    }
    return body_set_parts(body, content, &body->single, 1, error);
}

void
body_move(struct body *to, struct body *from)
{
    *to = *from;
    if (from->parts == &from->single)
        to->parts = &to->single;
    from->ops = NULL;
}
