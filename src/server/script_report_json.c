/* For programs: one object on one line. */
#include "base/base64.h"
#include "server/cli_text.h"
#include "server/script_report.h"

static void
append_pair(struct buf *out, bool *is_first, struct str name, struct str value)
{
    if (!*is_first)
        buf_append_char(out, ',');
    *is_first = false;
    buf_append_char(out, '[');
    cli_text_append_json(out, name);
    buf_append_char(out, ',');
    cli_text_append_json(out, value);
    buf_append_char(out, ']');
}

static void
append_request(struct buf *out, const struct http_head *head)
{
    bool is_first = true;
    buf_append(out, STR("\"request\":{\"method\":"));
    cli_text_append_json(out, http_head_method(head));
    buf_append(out, STR(",\"target\":"));
    cli_text_append_json(out, http_head_target(head));
    buf_append(out, STR(",\"headers\":["));
    for (unsigned i = 0; i < head->field_count; i++)
        append_pair(out, &is_first,
                    str_make(head->base + head->fields[i].name_off, head->fields[i].name_len),
                    str_make(head->base + head->fields[i].value_off, head->fields[i].value_len));
    buf_append(out, STR("]}"));
}

static void
append_meta(struct buf *out, const struct req *req, uint32_t count)
{
    buf_append(out, STR(",\"metadata\":{"));
    for (uint32_t i = 0; i < count; i++) {
        struct str key, value;
        script_account_meta(req, i, &key, &value);
        if (i)
            buf_append_char(out, ',');
        cli_text_append_json(out, key);
        buf_append_char(out, ':');
        cli_text_append_json(out, value);
    }
    buf_append_char(out, '}');
}

static void
append_lines(struct buf *out, const char *name, struct str log, bool errors)
{
    struct str line;
    bool is_error, is_first = true;
    buf_printf(out, ",\"%s\":[", name);
    while (script_report_log_line(&log, &line, &is_error)) {
        if (is_error != errors)
            continue;
        if (!is_first)
            buf_append_char(out, ',');
        is_first = false;
        cli_text_append_json(out, line);
    }
    buf_append_char(out, ']');
}

static void
append_body(struct buf *out, struct str body)
{
    if (str_is_utf8(body)) {
        buf_append(out, STR(",\"body\":"));
        cli_text_append_json(out, body);
        return;
    }
    size_t len = base64_encoded_len(BASE64_STANDARD, body.len);
    buf_append(out, STR(",\"body_base64\":\""));
    char *room = buf_reserve(out, len);
    if (!room)
        return;
    base64_encode(BASE64_STANDARD, body, room);
    buf_commit(out, len);
    buf_append_char(out, '"');
}

static void
append_response(struct buf *out, const struct script_trial *trial)
{
    const struct response *response = &trial->req.response;
    bool is_first = true;
    buf_printf(out, ",\"response\":{\"status\":%u,\"headers\":[", response->status);
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str block = response->blocks[i], name, value;
        while (script_report_field(&block, &name, &value))
            append_pair(out, &is_first, name, value);
    }
    buf_append_char(out, ']');
    if (trial->body_failed || buf_overflowed(&trial->body))
        buf_append(out, STR(",\"body\":null"));
    else
        append_body(out, buf_str(&trial->body));
    buf_append_char(out, '}');
}

void
script_report_json(struct buf *out, struct script_trial *trial)
{
    struct script_account account;
    script_account_read(&account, &trial->req);
    buf_printf(out, "{\"outcome\":\"%s\",\"proxy\":", script_report_outcome(account.outcome));
    if (account.outcome == SCRIPT_OUTCOME_PROXY)
        cli_text_append_json(out, account.proxy_url);
    else
        buf_append(out, STR("null"));
    buf_append_char(out, ',');
    append_request(out, &trial->req.head);
    append_meta(out, &trial->req, account.meta_count);
    append_lines(out, "log", buf_str(&trial->log), false);
    append_lines(out, "failures", buf_str(&trial->log), true);
    buf_printf(out, ",\"cpu_us\":%.1f", (double)trial->cpu_ns / 1e3);
    if (trial->req.aborted)
        buf_append(out, STR(",\"response\":null"));
    else
        append_response(out, trial);
    buf_append(out, STR("}\n"));
}
