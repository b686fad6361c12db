/* For people. Their own request and their own site: text goes out as it is, but for control
 * characters, which could do something to a terminal. */
#include "http/status.h"
#include "server/script_report.h"

enum { NAME_WIDTH = 10 };

static void
append_harmless(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        buf_append_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

/* "target    " */
static void
begin_fact(struct buf *out, const char *name)
{
    buf_printf(out, "%-*s", NAME_WIDTH, name);
}

static void
append_fact(struct buf *out, const char *name, struct str text)
{
    begin_fact(out, name);
    append_harmless(out, text);
    buf_append_char(out, '\n');
}

static void
append_log(struct buf *out, struct str log)
{
    struct str line;
    bool is_error;
    while (script_report_log_line(&log, &line, &is_error))
        append_fact(out, is_error ? "failed" : "log", line);
}

static void
append_change(struct buf *out, const char *name, struct str before, struct str after)
{
    if (str_eq(before, after))
        return;
    begin_fact(out, name);
    append_harmless(out, before);
    buf_append(out, STR(" -> "));
    append_harmless(out, after);
    buf_append_char(out, '\n');
}

/* --- header fields of the request --- */

static struct str
field_name(const struct http_head *head, unsigned at)
{
    return str_make(head->base + head->fields[at].name_off, head->fields[at].name_len);
}

static struct str
field_value(const struct http_head *head, unsigned at)
{
    return str_make(head->base + head->fields[at].value_off, head->fields[at].value_len);
}

/* How many fields before `end` are the same as the field `at` of `other`. */
static unsigned
count_same(const struct http_head *head, unsigned end, const struct http_head *other, unsigned at)
{
    unsigned count = 0;
    for (unsigned i = 0; i < end; i++)
        count += str_ieq(field_name(head, i), field_name(other, at)) &&
                 str_eq(field_value(head, i), field_value(other, at));
    return count;
}

/* Fields of one head that the other one does not have, or not so often. */
static void
append_missing(struct buf *out, const char *mark, const struct http_head *head,
               const struct http_head *other)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (count_same(head, i, head, i) < count_same(other, other->field_count, head, i))
            continue;
        begin_fact(out, "header");
        buf_printf(out, "%s ", mark);
        append_harmless(out, field_name(head, i));
        buf_append(out, STR(": "));
        append_harmless(out, field_value(head, i));
        buf_append_char(out, '\n');
    }
}

static void
append_changes(struct buf *out, const struct req *req)
{
    const struct http_head *before = req_sent_head(req);
    const struct http_head *after = &req->head;
    if (before == after)
        return;
    append_change(out, "method", http_head_method(before), http_head_method(after));
    append_change(out, "target", http_head_target(before), http_head_target(after));
    append_missing(out, "-", before, after);
    append_missing(out, "+", after, before);
}

/* --- the rest --- */

static void
append_meta(struct buf *out, const struct req *req, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct str key, value;
        script_account_meta(req, i, &key, &value);
        begin_fact(out, "metadata");
        append_harmless(out, key);
        buf_append(out, STR(" = "));
        append_harmless(out, value);
        buf_append_char(out, '\n');
    }
}

static void
append_outcome(struct buf *out, const struct script_account *account)
{
    begin_fact(out, "outcome");
    buf_printf(out, "%s", script_report_outcome(account->outcome));
    if (account->outcome == SCRIPT_OUTCOME_PROXY) {
        buf_append_char(out, ' ');
        append_harmless(out, account->proxy_url);
    }
    buf_append_char(out, '\n');
}

/* Text, for a terminal: UTF-8 without control characters but those that lines are made of. */
static bool
is_text(struct str body)
{
    for (size_t i = 0; i < body.len; i++) {
        unsigned char c = (unsigned char)body.ptr[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return false;
    }
    return str_is_utf8(body);
}

/* What comes behind it begins a line of its own. */
static void
append_text(struct buf *out, struct str text)
{
    buf_append(out, text);
    if (text.len && text.ptr[text.len - 1] != '\n')
        buf_append_char(out, '\n');
}

static void
append_body(struct buf *out, const struct script_trial *trial)
{
    struct str body = buf_str(&trial->body);
    if (buf_overflowed(&trial->body))
        buf_printf(out, "(more than %zu bytes)\n", trial->body.max);
    else if (is_text(body))
        append_text(out, body);
    else
        buf_printf(out, "(%zu bytes, not text)\n", body.len);
    if (trial->body_failed)
        buf_append(out, STR("(the body broke off)\n"));
}

static void
append_response(struct buf *out, const struct script_trial *trial)
{
    const struct response *response = &trial->req.response;
    struct str reason = http_status_reason(response->status);
    buf_printf(out, "\nHTTP/1.1 %u %.*s\n", response->status, STR_ARG(reason));
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str block = response->blocks[i], name, value;
        while (script_report_field(&block, &name, &value))
            buf_printf(out, "%.*s: %.*s\n", STR_ARG(name), STR_ARG(value));
    }
    buf_append_char(out, '\n');
    append_body(out, trial);
}

void
script_report_text(struct buf *out, struct script_trial *trial)
{
    struct script_account account;
    script_account_read(&account, &trial->req);
    append_log(out, buf_str(&trial->log));
    append_changes(out, &trial->req);
    append_meta(out, &trial->req, account.meta_count);
    append_outcome(out, &account);
    begin_fact(out, "cpu");
    buf_printf(out, "%.1f us\n", (double)trial->cpu_ns / 1e3);
    if (!trial->req.aborted)
        append_response(out, trial);
}
