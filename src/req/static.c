#include "base/limits.h"
#include "base/log.h"
#include "http/accept.h"
#include "http/precond.h"
#include "http/range.h"
#include "http/status.h"
#include "req/made.h"

/* The static action: from a path to a representation of the snapshot, and from there to 200, 206,
 * 304, 404, 412 or 416.
 *
 * The plain case, a GET of an existing file without conditions, is one lookup and one block of
 * header lines that was rendered when the site was loaded. Everything that needs text of its own
 * builds it in the request's arena.
 */

#define ALLOW "Allow: GET, HEAD, OPTIONS\r\n"

enum { ANY_CODING = (1 << HTTP_CODING_COUNT) - 1 };

static bool
is_get_or_head(const struct http_head *head)
{
    return head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD;
}

/* Nothing of tarn's own folders is ever served, not even by a site that answers every path. */
static bool
is_internal(struct str path)
{
    return str_starts_with(path, STR("/.tarn/")) || str_starts_with(path, STR("/.zeroserve/")) ||
           str_eq(path, STR("/.tarn")) || str_eq(path, STR("/.zeroserve"));
}

void
req_apply_rules(struct req *req)
{
    const struct site_rules *rules = site_rules(req->pin->site);
    struct response *response = &req->response;
    if (!site_rules_have_headers(rules))
        return;
    struct str lines = STR("");
    for (unsigned i = 0; i < response->block_count; i++)
        lines = arena_join(&req->arena, lines, response->blocks[i]);
    struct buf out;
    buf_init(&out, SITE_HEAD_MAX);
    if (site_rules_apply_headers(rules, req->path, lines, &out) && !buf_overflowed(&out)) {
        struct str changed = arena_copy(&req->arena, buf_str(&out));
        if (changed.ptr) {
            response->block_count = 0;
            req_add_block(req, changed);
        }
    }
    buf_deinit(&out);
}

/* The request's query for a Location: what is not a plain visible character is percent-encoded. */
static struct str
encode_query(struct arena *arena, struct str query)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc_text(arena, 3 * query.len + 1);
    size_t len = 0;
    if (!out)
        return STR("");
    for (size_t i = 0; i < query.len; i++) {
        unsigned char c = (unsigned char)query.ptr[i];
        if (c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c)) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = digits[c >> 4];
            out[len++] = digits[c & 15];
        }
    }
    return str_make(out, len);
}

static void
respond_redirect(struct req *req, int status, struct str location, bool add_query)
{
    struct str mark = add_query && req->target.has_query ? STR("?") : STR("");
    struct str query = mark.len ? encode_query(&req->arena, req->target.query) : STR("");
    struct str extra = arena_printf(&req->arena, "Location: %.*s%.*s%.*s\r\n", STR_ARG(location),
                                    STR_ARG(mark), STR_ARG(query));
    if (arena_overflowed(&req->arena)) {
        req_respond_error(req, 500);
        return;
    }
    req_respond_text(req, status, http_status_reason(status), extra);
    req_apply_rules(req);
}

/* The content was checked when it was loaded; when it is not that any more, saying so beats sending
 * something else. */
static void
respond_changed(struct req *req, const struct error *error)
{
    log_warn("%s", error->text);
    req_respond_error(req, 500);
}

static void
set_content(struct req *req, const struct site_content *content, uint64_t off, uint64_t len)
{
    struct error error;
    req->response.body_len = len;
    if (req->head.method == HTTP_METHOD_HEAD)
        return;
    if (body_set_content(&req->body, content, off, len, &error) != 0)
        respond_changed(req, &error);
}

/* The variant to send of those that may be sent, or NULL when the client accepts none. */
static const struct site_rep *
choose_variant(const struct http_head *head, const struct site_route *route, unsigned codings)
{
    char scratch[512];
    struct str value;
    struct http_accept_encoding accept;
    if (route->rep_count == 1 && !http_head_has(head, HTTP_FIELD_ACCEPT_ENCODING))
        return &route->reps[0];
    if (!http_head_list(head, HTTP_FIELD_ACCEPT_ENCODING, scratch, sizeof scratch, &value))
        return &route->reps[0];
    http_accept_encoding_parse(value, http_head_has(head, HTTP_FIELD_ACCEPT_ENCODING), &accept);
    int coding = http_coding_choose(&accept, route->codings & codings);
    for (unsigned i = 0; i < route->rep_count; i++)
        if (route->reps[i].coding == coding)
            return &route->reps[i];
    return NULL;
}

static const struct site_rep *
choose_listing(const struct http_head *head, const struct site_route *route)
{
    struct str accept = http_head_value(head, HTTP_FIELD_ACCEPT);
    bool json = accept.len && http_accept_quality(accept, STR("application/json")) >
                                  http_accept_quality(accept, STR("text/html"));
    return &route->reps[json ? 1 : 0];
}

/* A page of the site as the body of an answer that is not 200: negotiated, but without validators,
 * and never cached. */
static void
respond_page(struct req *req, int status, const struct site_route *route, unsigned codings)
{
    if (req_has_template(req, &route->reps[0])) {
        req_serve_template_as(req, status, &route->reps[0]);
        req_apply_rules(req);
        return;
    }
    const struct site_rep *rep = choose_variant(&req->head, route, codings);
    if (!rep)
        rep = &route->reps[0];
    struct str coding = http_coding_name(rep->coding);
    bool coded = rep->coding != HTTP_CODING_IDENTITY;
    struct str block = arena_printf(
        &req->arena,
        "Content-Length: %llu\r\nContent-Type: %.*s\r\n%s%.*s%s%sCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n",
        (unsigned long long)rep->content.len, STR_ARG(rep->type), coded ? "Content-Encoding: " : "",
        coded ? (int)coding.len : 0, coding.ptr, coded ? "\r\n" : "",
        route->rep_count > 1 ? "Vary: Accept-Encoding\r\n" : "");
    req->response.status = (uint16_t)status;
    req_add_block(req, block);
    set_content(req, &rep->content, 0, rep->content.len);
    req_apply_rules(req);
}

void
req_serve_missing(struct req *req)
{
    const struct site_route *page = site_not_found_page(req->pin->site);
    if (page && is_get_or_head(&req->head)) {
        respond_page(req, 404, page, ANY_CODING);
        return;
    }
    req_respond_error(req, 404);
    req_apply_rules(req);
}

static void
respond_multipart(struct req *req, const struct site_route *route, const struct site_rep *rep,
                  const struct http_ranges *ranges)
{
    struct str tag = arena_printf(&req->arena, "tarn-%016llx-%u", (unsigned long long)route->hash,
                                  (unsigned)rep->coding);
    struct body_part *parts =
        arena_alloc(&req->arena, (2 * ranges->count + 1) * sizeof(struct body_part));
    uint64_t total = 0;
    unsigned count = 0;
    for (unsigned i = 0; parts && i < ranges->count; i++) {
        const struct http_range *range = &ranges->list[i];
        struct str head = arena_printf(
            &req->arena,
            "%s--%.*s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
            i ? "\r\n" : "", STR_ARG(tag), STR_ARG(rep->type), (unsigned long long)range->off,
            (unsigned long long)(range->off + range->len - 1),
            (unsigned long long)rep->content.len);
        parts[count++] = (struct body_part){.text = head};
        parts[count++] = (struct body_part){.off = range->off, .len = range->len};
        total += head.len + range->len;
    }
    struct str end = arena_printf(&req->arena, "\r\n--%.*s--\r\n", STR_ARG(tag));
    total += end.len;
    struct str coding = rep->coding == HTTP_CODING_IDENTITY
                            ? STR("")
                            : arena_printf(&req->arena, "Content-Encoding: %.*s\r\n",
                                           STR_ARG(http_coding_name(rep->coding)));
    struct str block = arena_printf(&req->arena,
                                    "Content-Length: %llu\r\nContent-Type: multipart/byteranges; "
                                    "boundary=%.*s\r\n%.*sAccept-Ranges: bytes\r\n",
                                    (unsigned long long)total, STR_ARG(tag), STR_ARG(coding));
    if (arena_overflowed(&req->arena)) {
        req_respond_error(req, 500);
        return;
    }
    parts[count++] = (struct body_part){.text = end};
    req->response.status = 206;
    req->response.body_len = total;
    req_add_block(req, block);
    req_add_block(req, str_skip(rep->head, rep->valid_off));
    struct error error;
    if (body_set_parts(&req->body, &rep->content, parts, count, &error) != 0)
        respond_changed(req, &error);
}

/* Whether the Range field decided the answer. */
static bool
respond_ranges(struct req *req, const struct site_route *route, const struct site_rep *rep,
               const struct http_validators *validators)
{
    struct http_ranges ranges;
    if (req->head.method != HTTP_METHOD_GET ||
        !http_precond_range_applies(&req->head, validators, req->env->now_s))
        return false;
    switch (http_range_parse(http_head_value(&req->head, HTTP_FIELD_RANGE), rep->content.len,
                             &ranges)) {
    case HTTP_RANGE_IGNORE:
        return false;
    case HTTP_RANGE_UNSATISFIABLE:
        req_respond_text(req, 416, STR("416 Range Not Satisfiable"),
                         arena_printf(&req->arena, "Content-Range: bytes */%llu\r\n",
                                      (unsigned long long)rep->content.len));
        return true;
    case HTTP_RANGE_OK:
        break;
    }
    if (ranges.count > 1) {
        respond_multipart(req, route, rep, &ranges);
        return true;
    }
    const struct http_range *range = &ranges.list[0];
    req->response.status = 206;
    req_add_block(req,
                  arena_printf(&req->arena,
                               "Content-Length: %llu\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
                               (unsigned long long)range->len, (unsigned long long)range->off,
                               (unsigned long long)(range->off + range->len - 1),
                               (unsigned long long)rep->content.len));
    req_add_block(req, str_skip(rep->head, rep->type_off));
    set_content(req, &rep->content, range->off, range->len);
    return true;
}

static bool
has_conditions(const struct http_head *head)
{
    return head->first[HTTP_FIELD_IF_NONE_MATCH] | head->first[HTTP_FIELD_IF_MODIFIED_SINCE] |
           head->first[HTTP_FIELD_IF_MATCH] | head->first[HTTP_FIELD_IF_UNMODIFIED_SINCE] |
           head->first[HTTP_FIELD_RANGE];
}

/* Conditions and ranges. True: answered. */
static bool
respond_conditional(struct req *req, const struct site_route *route, const struct site_rep *rep)
{
    struct http_validators validators = {
        .etag = rep->etag, .mtime = route->mtime, .has_mtime = route->mtime > 0, .exists = true};
    switch (http_precond_check(&req->head, &validators, req->env->now_s)) {
    case HTTP_PRECOND_304:
        req->response.status = 304;
        req_add_block(req, str_skip(rep->head, rep->valid_off));
        return true;
    case HTTP_PRECOND_412:
        req_respond_error(req, 412);
        return true;
    case HTTP_PRECOND_NONE:
        break;
    }
    return http_head_has(&req->head, HTTP_FIELD_RANGE) &&
           respond_ranges(req, route, rep, &validators);
}

static void
respond_rep(struct req *req, const struct site_route *route, const struct site_rep *rep)
{
    if (has_conditions(&req->head) && respond_conditional(req, route, rep))
        return;
    req->response.status = 200;
    req_add_block(req, rep->head);
    set_content(req, &rep->content, 0, rep->content.len);
}

static void
respond_route(struct req *req, const struct site_route *route, unsigned codings)
{
    const struct site_rep *rep;
    switch (route->kind) {
    case SITE_ROUTE_REDIRECT:
        respond_redirect(req, 308, route->location, true);
        return;
    case SITE_ROUTE_LISTING:
        rep = choose_listing(&req->head, route);
        break;
    default:
        if (req_has_template(req, &route->reps[0])) {
            req_serve_template(req, &route->reps[0]);
            return;
        }
        rep = choose_variant(&req->head, route, codings);
        break;
    }
    if (!rep) {
        req_respond_error(req, 406);
        return;
    }
    respond_rep(req, route, rep);
}

void
req_serve_route(struct req *req, const struct site_route *route, int status, unsigned codings)
{
    codings |= 1u << HTTP_CODING_IDENTITY;
    if (route->kind == SITE_ROUTE_REDIRECT || (status == 0 && is_get_or_head(&req->head)))
        respond_route(req, route, codings);
    else
        respond_page(req, status ? status : 200, route, codings);
}

/* Follows a `_redirects` rule. False: none matched. */
static bool
respond_rule(struct req *req, bool forced_only)
{
    const struct site *site = req->pin->site;
    struct site_redirect redirect;
    struct buf scratch;
    struct str host =
        target_host_name(req->target.authority.len ? req->target.authority
                                                   : http_head_value(&req->head, HTTP_FIELD_HOST));
    buf_init(&scratch, SITE_HEAD_MAX);
    bool found = site_rules_find_redirect(site_rules(site), host, req->path, req->target.query,
                                          forced_only, &scratch, &redirect);
    struct str location = found ? arena_copy(&req->arena, redirect.location) : STR("");
    buf_deinit(&scratch);
    if (!found)
        return false;
    if (redirect.status >= 300 && redirect.status < 400) {
        respond_redirect(req, redirect.status, location, !redirect.has_query);
        return true;
    }
    const struct site_route *route = site_find(site, location);
    bool is_page = route && route->kind == SITE_ROUTE_FILE;
    if (redirect.status == 200 && route)
        respond_route(req, route, ANY_CODING);
    else if (redirect.status == 200)
        req_serve_missing(req);
    else if (is_page)
        respond_page(req, redirect.status, route, ANY_CODING);
    else {
        req_respond_error(req, redirect.status);
        req_apply_rules(req);
    }
    return true;
}

/* A browser going to a page of a single-page application: the last segment has no extension, and
 * HTML is asked for by name. */
static bool
is_navigation(const struct req *req)
{
    struct str last = str_skip(req->path, str_find_last_char(req->path, '/'));
    return is_get_or_head(&req->head) && str_find_char(last, '.') == last.len &&
           http_accept_names(http_head_value(&req->head, HTTP_FIELD_ACCEPT), STR("text/html"));
}

void
req_static(struct req *req)
{
    const struct http_head *head = &req->head;
    const struct site *site = req->pin->site;
    if (!is_get_or_head(head)) {
        if (head->method == HTTP_METHOD_OPTIONS) {
            req->response.status = 204;
            req_add_block(req, STR(ALLOW "X-Content-Type-Options: nosniff\r\n"));
        } else {
            req_respond_text(req, 405, STR("405 Method Not Allowed"), STR(ALLOW));
        }
        return;
    }
    if (head->content_length > CONN_DISCARD_MAX && head->body_kind == HTTP_BODY_LENGTH) {
        req_refuse(req, 413, STR("no request body is wanted here"));
        return;
    }
    if (is_internal(req->path)) {
        req_respond_error(req, 404);
        return;
    }
    bool redirects = site_rules_have_redirects(site_rules(site));
    if (redirects && respond_rule(req, true))
        return;
    const struct site_route *route = site_find(site, req->path);
    if (route) {
        respond_route(req, route, ANY_CODING);
        return;
    }
    if (redirects && respond_rule(req, false))
        return;
    const struct site_route *spa = req->env->spa ? site_spa_page(site) : NULL;
    if (spa && is_navigation(req))
        respond_route(req, spa, ANY_CODING);
    else
        req_serve_missing(req);
}
