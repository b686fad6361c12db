/* Fuzzes HTTP dates. Input: eight bytes of `now`, eight bytes of a time, then a text.
 *
 * Checked against the C library's calendar: what is read, written again in the form it came in, is
 * the text; a time written in any of the three forms is read as itself, with its two-digit year no
 * more than 50 years after now and no more than 50 years before.
 */
#include "http/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CONTROL_LEN = 16, TEXT_MAX = 64 };

static const int64_t second_max = 253402300799; /* end of year 9999 */
static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                    "%a %b %e %H:%M:%S %Y"};

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static int64_t
clamp(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > second_max ? second_max : seconds;
}

static struct tm
calendar(int64_t seconds)
{
    struct tm tm;
    time_t at = (time_t)seconds;
    check(gmtime_r(&at, &tm) != NULL);
    return tm;
}

/* As strftime, with years filled to four digits. */
static struct str
write_form(unsigned form, int64_t seconds, char out[static TEXT_MAX])
{
    struct tm tm = calendar(seconds);
    char pattern[TEXT_MAX], year[16];
    snprintf(year, sizeof(year), "%04d", tm.tm_year + 1900);
    size_t len = 0;
    for (const char *p = forms[form]; *p; p++) {
        bool is_year = p[0] == '%' && p[1] == 'Y';
        len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "%.*s",
                                is_year ? (int)strlen(year) : 1, is_year ? year : p);
        p += is_year;
    }
    return str_make(out, strftime(out, TEXT_MAX, pattern, &tm));
}

/* Seconds at the same date of the year 50 years after `now`. */
static int64_t
fifty_years_after(int64_t now)
{
    struct tm tm = calendar(clamp(now));
    tm.tm_year += 50;
    return (int64_t)timegm(&tm);
}

/* Compares what stands behind the day of the week, which may be a wrong one; a second of 60 in
 * `text` is 59. */
static void
check_same_date(struct str text, struct str written)
{
    char patched[TEXT_MAX];
    check(text.len <= sizeof(patched));
    memcpy(patched, text.ptr, text.len);
    for (size_t i = 0; i + 2 < text.len; i++)
        if (memcmp(patched + i, ":60", 3) == 0)
            memcpy(patched + i, ":59", 3);
    text.ptr = patched;
    size_t skip_text = strcspn(text.ptr, ", "), skip_written = strcspn(written.ptr, ", ");
    struct str a = str_skip(text, skip_text), b = str_skip(written, skip_written);
    if (!str_eq(a, b)) {
        /* asctime-date may fill its day with a zero */
        check(text.ptr[skip_text] == ' ' && a.len == b.len && a.ptr[5] == '0' && b.ptr[5] == ' ');
        patched[skip_text + 5] = ' ';
        check(str_eq(a, b));
    }
}

static void
check_text(struct str text, int64_t now)
{
    char out[TEXT_MAX] = {0};
    int64_t seconds = 12345;
    if (!http_date_parse(text, now, &seconds)) {
        check(seconds == 12345);
        return;
    }
    size_t weekday_len = 0;
    while (text.ptr[weekday_len] >= 'A' && text.ptr[weekday_len] <= 'z')
        weekday_len++;
    unsigned form = weekday_len > 3 ? 1 : text.ptr[weekday_len] == ',' ? 0 : 2;
    if (form == 1)
        check(seconds <= fifty_years_after(now) && seconds >= fifty_years_after(now) - 3155760000);
    check_same_date(text, write_form(form, seconds, out));
}

static void
check_time(int64_t seconds, int64_t now)
{
    char out[TEXT_MAX], formatted[HTTP_DATE_LEN];
    int64_t back;
    http_date_format(seconds, formatted);
    seconds = clamp(seconds);
    check(str_eq(write_form(0, seconds, out), str_make(formatted, HTTP_DATE_LEN)));
    for (unsigned form = 0; form < 3; form++) {
        struct str text = write_form(form, seconds, out);
        bool ok = http_date_parse(text, now, &back);
        if (form != 1) {
            check(ok && back == seconds);
        } else if (seconds <= fifty_years_after(now) &&
                   seconds > fifty_years_after(now) - 3155673600) {
            check(ok && back == seconds);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now, seconds;
    if (size < CONTROL_LEN || size > CONTROL_LEN + TEXT_MAX)
        return 0;
    memcpy(&now, data, sizeof(now));
    memcpy(&seconds, data + sizeof(now), sizeof(seconds));
    size_t len = size - CONTROL_LEN;
    char *text = malloc(len ? len : 1);
    check(text != NULL);
    memcpy(text, data + CONTROL_LEN, len);
    check_text(str_make(text, len), now);
    free(text);
    /* Raw numbers are nearly always out of the calendar; try one inside as well. */
    check_time(seconds, now);
    check_time((int64_t)((uint64_t)seconds % (uint64_t)(second_max + 1)),
               (int64_t)((uint64_t)now % (uint64_t)(second_max + 1)));
    return 0;
}
