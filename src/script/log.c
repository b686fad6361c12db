/* What scripts say to the operator.
 *
 * zs_log collects text until a newline, or until SCRIPT_LOG_LEN bytes wait; then a line goes out.
 * Text is kept as it came and made harmless on its way out, so that a character that arrives in two
 * calls is whole in its line.
 */
#include "base/log.h"
#include "base/limits.h"
#include "script/helpers.h"
#include "script/task.h"

enum { REQUEST_ID_MAX = 64, CHARACTER_LEN_MAX = 4 };

/* --- characters --- */

/* Length of the UTF-8 character that begins with this byte; 1 for what begins none. */
static size_t
character_len(unsigned char c)
{
    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
}

/* The C1 characters, which terminals obey, are U+0080 to U+009F. */
static bool
is_control(struct str character)
{
    unsigned char c = (unsigned char)character.ptr[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)character.ptr[1] < 0xa0);
}

/* Writes as many bytes as `text` has, or fewer. Returns how many. */
static size_t
make_harmless(struct str text, char *out)
{
    size_t len = 0;
    while (text.len) {
        struct str character = str_first(text, character_len((unsigned char)text.ptr[0]));
        bool is_character = str_is_utf8(character);
        if (is_character && !is_control(character)) {
            memcpy(out + len, character.ptr, character.len);
            len += character.len;
        } else {
            out[len++] = '?';
        }
        text = str_skip(text, is_character ? character.len : 1);
    }
    return len;
}

/* How many bytes at the end are the beginning of a character. */
static size_t
unfinished_len(struct str text)
{
    for (size_t back = 1; back < CHARACTER_LEN_MAX && back <= text.len; back++) {
        size_t len = character_len((unsigned char)text.ptr[text.len - back]);
        if (len > 1)
            return len > back ? back : 0;
    }
    return 0;
}

/* --- lines --- */

static struct script_frame *
outermost(struct script_frame *frame)
{
    while (frame->caller)
        frame = frame->caller;
    return frame;
}

/* Whether this line may go out; counts it. */
static bool
count_line(struct script_frame *frame)
{
    struct script_frame *outer = outermost(frame);
    atomic_fetch_add_explicit(&frame->script->counters->log_lines, 1, memory_order_relaxed);
    if (outer->log_line_count > SCRIPT_LOG_LINES_MAX)
        return false;
    if (outer->log_line_count++ < SCRIPT_LOG_LINES_MAX)
        return true;
    log_info("script %.*s: more than %d lines: the rest is dropped", STR_ARG(outer->script->name),
             SCRIPT_LOG_LINES_MAX);
    return false;
}

static void
write_line(struct script_frame *frame, struct str line)
{
    char text[SCRIPT_LOG_LEN], id[REQUEST_ID_MAX];
    const struct http_head *head = req_sent_head(frame->task->req);
    struct str request_id = http_head_value(head, HTTP_FIELD_X_REQUEST_ID);
    int len = (int)make_harmless(str_first(line, sizeof text), text);
    int id_len = (int)make_harmless(str_first(request_id, sizeof id), id);
    log_info("script %.*s%s%.*s%s: %.*s", STR_ARG(frame->script->name), id_len ? " [" : "", id_len,
             id, id_len ? "]" : "", len, text);
}

void
script_log_line(struct script_frame *frame, struct str line)
{
    if (count_line(frame))
        write_line(frame, line);
}

void
script_log_flush(struct script_frame *frame)
{
    struct str line = str_make(frame->log, frame->log_len);
    frame->log_len = 0;
    if (line.len)
        script_log_line(frame, line);
}

/* --- zs_log --- */

/* No room for another byte: what is there becomes a line, but for a character that is not whole. */
static void
write_full(struct script_frame *frame)
{
    size_t kept = unfinished_len(str_make(frame->log, frame->log_len));
    script_log_line(frame, str_make(frame->log, frame->log_len - kept));
    memmove(frame->log, frame->log + frame->log_len - kept, kept);
    frame->log_len = (uint16_t)kept;
}

static void
collect(struct script_frame *frame, struct str text)
{
    while (text.len) {
        if (frame->log_len == SCRIPT_LOG_LEN)
            write_full(frame);
        struct str piece = str_first(text, SCRIPT_LOG_LEN - frame->log_len);
        memcpy(frame->log + frame->log_len, piece.ptr, piece.len);
        frame->log_len = (uint16_t)(frame->log_len + piece.len);
        text = str_skip(text, piece.len);
    }
}

/* Lines that nobody will see are only counted: a script must not keep the loop with a megabyte of
 * newlines. */
static void
count_dropped(struct script_frame *frame, struct str text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    atomic_fetch_add_explicit(&frame->script->counters->log_lines, count, memory_order_relaxed);
    frame->log_len = 0;
}

SCRIPT_HELPER(zs_log)
{
    struct script_frame *frame = script_frame_of(run);
    struct str text = bpf_view(run, r1, r2);
    while (text.len) {
        if (outermost(frame)->log_line_count > SCRIPT_LOG_LINES_MAX) {
            count_dropped(frame, text);
            return 0;
        }
        size_t end = str_find_char(text, '\n');
        collect(frame, str_first(text, end));
        if (end < text.len) {
            script_log_line(frame, str_make(frame->log, frame->log_len));
            frame->log_len = 0;
        }
        text = str_skip(text, end + 1);
    }
    return 0;
}
