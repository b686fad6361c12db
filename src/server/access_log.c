#include "server/access_log.h"

#include "base/limits.h"

#include <stdio.h>
#include <time.h>

static const char hex[] = "0123456789abcdef";

static void
append_text(struct buf *out, struct str s)
{
    s = str_first(s, ACCESS_TARGET_MAX);
    if (s.len == 0) {
        buf_append_char(out, '-');
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            buf_append_char(out, (char)c);
        } else {
            char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
            buf_append(out, str_make(escape, 4));
        }
    }
}

/* The first ACCESS_TARGET_MAX bytes, or a few less when a character would be cut in two. */
static struct str
cut_between_characters(struct str s)
{
    size_t len = s.len < ACCESS_TARGET_MAX ? s.len : ACCESS_TARGET_MAX;
    for (unsigned i = 0; i < 3 && len && len < s.len && (s.ptr[len] & 0xc0) == 0x80; i++)
        len--;
    return str_first(s, len);
}

static void
append_json(struct buf *out, struct str s)
{
    s = cut_between_characters(s);
    bool utf8 = str_is_utf8(s);
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            char escape[2] = {'\\', (char)c};
            buf_append(out, str_make(escape, 2));
        } else if (c < 0x20 || c == 0x7f) {
            char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buf_append(out, str_make(escape, 6));
        } else if (c >= 0x80 && !utf8) {
            buf_append(out, STR("\\ufffd"));
        } else {
            buf_append_char(out, (char)c);
        }
    }
    buf_append_char(out, '"');
}

static void
append_field(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, ",\"%s\":", name);
    append_json(out, value);
}

static void
append_protocol(struct buf *out, const struct access_record *record)
{
    if (record->is_h2)
        buf_append(out, STR("HTTP/2.0"));
    else
        buf_printf(out, "HTTP/1.%u", record->version_minor);
}

static void
format_text(struct buf *out, const struct access_record *record, struct str client,
            const struct tm *when)
{
    char date[32];
    strftime(date, sizeof date, "%d/%b/%Y:%H:%M:%S +0000", when);
    buf_printf(out, "%.*s - - [%s] \"", STR_ARG(client), date);
    append_text(out, record->method);
    buf_append_char(out, ' ');
    append_text(out, record->target);
    buf_append_char(out, ' ');
    append_protocol(out, record);
    buf_printf(out, "\" %d %llu \"", record->status, (unsigned long long)record->bytes);
    append_text(out, record->referer);
    buf_append(out, STR("\" \""));
    append_text(out, record->user_agent);
    buf_append(out, STR("\" "));
    append_text(out, record->host);
    buf_printf(out, " %.6f ", (double)record->duration_ns / 1e9);
    append_text(out, record->request_id);
    buf_append(out, record->complete ? STR("\n") : STR(" incomplete\n"));
}

static void
format_json(struct buf *out, const struct access_record *record, struct str client,
            const struct tm *when, unsigned now_ms)
{
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", when);
    buf_printf(out, "{\"time\":\"%s.%03uZ\",\"client\":\"%.*s\"", date, now_ms, STR_ARG(client));
    append_field(out, "method", record->method);
    append_field(out, "target", record->target);
    buf_printf(out, ",\"status\":%d,\"bytes\":%llu,\"duration\":%.6f,\"protocol\":\"",
               record->status, (unsigned long long)record->bytes,
               (double)record->duration_ns / 1e9);
    append_protocol(out, record);
    buf_append_char(out, '"');
    append_field(out, "host", record->host);
    append_field(out, "referer", record->referer);
    append_field(out, "user_agent", record->user_agent);
    append_field(out, "request_id", record->request_id);
    buf_append(out,
               record->complete ? STR(",\"complete\":true}\n") : STR(",\"complete\":false}\n"));
}

void
access_log_format(struct buf *out, enum access_format format, const struct access_record *record,
                  struct str client, int64_t now_s, unsigned now_ms)
{
    struct tm when;
    time_t seconds = (time_t)now_s;
    gmtime_r(&seconds, &when);
    if (format == ACCESS_JSON)
        format_json(out, record, client, &when, now_ms);
    else
        format_text(out, record, client, &when);
}
