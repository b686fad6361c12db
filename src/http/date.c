/* Days are counted in years that start on the first of March: the leap day then is the last day of
 * its year, and the length of all months before a given one is a straight line with rounding. */
#include "http/date.h"

enum {
    DAY_SECONDS = 86400,
    DAYS_PER_ERA = 146097, /* 400 years */
    /* From 1 March of year 0 to 1 January 1970. */
    EPOCH_DAYS = 719468,
    NAME_LEN = 3,
};

static const int64_t second_max = 253402300799; /* the last second of year 9999 */

static const char weekdays[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                     "Thursday", "Friday", "Saturday"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct calendar {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
};

/* Days from 1970-01-01 to a date in year 0 or later. */
static int64_t
days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS;
}

static int64_t
clamp_seconds(int64_t seconds)
{
    if (seconds < 0)
        return 0;
    return seconds > second_max ? second_max : seconds;
}

/* `seconds` already clamped, so every division is of positive numbers. */
static struct calendar
calendar_from_seconds(int64_t seconds)
{
    int64_t days = seconds / DAY_SECONDS + EPOCH_DAYS;
    int rest = (int)(seconds % DAY_SECONDS);
    int64_t era = days / DAYS_PER_ERA;
    int64_t day_of_era = days % DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int shifted = (int)((5 * day_of_year + 2) / 153); /* 0: March */
    int month = shifted < 10 ? shifted + 3 : shifted - 9;
    return (struct calendar){
        .year = (int)(era * 400 + year_of_era) + (month <= 2),
        .month = month,
        .day = (int)day_of_year - (153 * shifted + 2) / 5 + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
}

static void
put_digits(char *out, int value, int count)
{
    while (count--) {
        out[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void
http_date_format(int64_t seconds, char out[static HTTP_DATE_LEN])
{
    seconds = clamp_seconds(seconds);
    struct calendar at = calendar_from_seconds(seconds);
    memcpy(out, "Ddd, 00 Mmm 0000 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(out, weekdays[(seconds / DAY_SECONDS + 4) % 7], NAME_LEN);
    put_digits(out + 5, at.day, 2);
    memcpy(out + 8, months + (at.month - 1) * NAME_LEN, NAME_LEN);
    put_digits(out + 12, at.year, 4);
    put_digits(out + 17, at.hour, 2);
    put_digits(out + 20, at.minute, 2);
    put_digits(out + 23, at.second, 2);
}

/* A reader of fixed forms: each step takes its bytes from the front, and one that does not fit
 * marks the whole as failed, so that a form reads as a list of steps. */
struct reader {
    struct str rest;
    bool failed;
};

static void
read_text(struct reader *reader, struct str text)
{
    if (!str_starts_with(reader->rest, text))
        reader->failed = true;
    reader->rest = str_skip(reader->rest, text.len);
}

static int
read_digits(struct reader *reader, size_t count)
{
    uint64_t value = 0;
    struct str digits = str_first(reader->rest, count);
    if (digits.len != count || !str_to_u64(digits, &value))
        reader->failed = true;
    reader->rest = str_skip(reader->rest, count);
    return (int)value;
}

static int
read_month(struct reader *reader)
{
    struct str name = str_first(reader->rest, NAME_LEN);
    reader->rest = str_skip(reader->rest, NAME_LEN);
    for (int i = 0; i < 12; i++)
        if (str_eq(name, str_make(months + i * NAME_LEN, NAME_LEN)))
            return i + 1;
    reader->failed = true;
    return 1;
}

/* The day of asctime-date is filled with a space where the others have a zero. */
static int
read_padded_day(struct reader *reader)
{
    if (reader->rest.len == 0 || reader->rest.ptr[0] != ' ')
        return read_digits(reader, 2);
    reader->rest = str_skip(reader->rest, 1);
    return read_digits(reader, 1);
}

static void
read_clock(struct reader *reader, struct calendar *at)
{
    at->hour = read_digits(reader, 2);
    read_text(reader, STR(":"));
    at->minute = read_digits(reader, 2);
    read_text(reader, STR(":"));
    at->second = read_digits(reader, 2);
    if (at->second == 60)
        at->second = 59;
}

static void
read_imf_fixdate(struct reader *reader, struct calendar *at)
{
    read_text(reader, STR(", "));
    at->day = read_digits(reader, 2);
    read_text(reader, STR(" "));
    at->month = read_month(reader);
    read_text(reader, STR(" "));
    at->year = read_digits(reader, 4);
    read_text(reader, STR(" "));
    read_clock(reader, at);
    read_text(reader, STR(" GMT"));
}

static void
read_asctime_date(struct reader *reader, struct calendar *at)
{
    read_text(reader, STR(" "));
    at->month = read_month(reader);
    read_text(reader, STR(" "));
    at->day = read_padded_day(reader);
    read_text(reader, STR(" "));
    read_clock(reader, at);
    read_text(reader, STR(" "));
    at->year = read_digits(reader, 4);
}

static int64_t
seconds_from_calendar(const struct calendar *at)
{
    return days_from_date(at->year, at->month, at->day) * DAY_SECONDS + at->hour * 3600 +
           at->minute * 60 + at->second;
}

/* The latest year with these two last digits that puts the date at most 50 years after `now`. */
static int
widen_year(const struct calendar *at, int64_t now)
{
    struct calendar limit = calendar_from_seconds(clamp_seconds(now));
    limit.year += 50;
    struct calendar guess = *at;
    guess.year = limit.year - (limit.year - at->year) % 100;
    if (seconds_from_calendar(&guess) > seconds_from_calendar(&limit))
        guess.year -= 100;
    return guess.year;
}

static void
read_rfc850_date(struct reader *reader, struct calendar *at, int64_t now)
{
    read_text(reader, STR(", "));
    at->day = read_digits(reader, 2);
    read_text(reader, STR("-"));
    at->month = read_month(reader);
    read_text(reader, STR("-"));
    at->year = read_digits(reader, 2);
    read_text(reader, STR(" "));
    read_clock(reader, at);
    read_text(reader, STR(" GMT"));
    if (!reader->failed)
        at->year = widen_year(at, now);
}

static bool
calendar_exists(const struct calendar *at)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = at->year % 4 == 0 && (at->year % 100 != 0 || at->year % 400 == 0);
    int length = lengths[at->month - 1] + (at->month == 2 && is_leap);
    return at->day >= 1 && at->day <= length && at->hour <= 23 && at->minute <= 59 &&
           at->second <= 59;
}

/* Takes the day of the week from the front; its length tells the long form from the short one. */
static size_t
read_weekday(struct reader *reader)
{
    size_t len = 0;
    while (len < reader->rest.len && reader->rest.ptr[len] != ',' && reader->rest.ptr[len] != ' ')
        len++;
    struct str name = str_first(reader->rest, len);
    reader->rest = str_skip(reader->rest, len);
    for (int i = 0; i < 7; i++) {
        struct str full = str_from_cstr(weekdays[i]);
        if (str_eq(name, full) || str_eq(name, str_first(full, NAME_LEN)))
            return len;
    }
    reader->failed = true;
    return len;
}

bool
http_date_parse(struct str text, int64_t now, int64_t *seconds)
{
    struct reader reader = {.rest = text};
    struct calendar at = {.month = 1};
    size_t weekday_len = read_weekday(&reader);
    if (reader.failed || reader.rest.len == 0)
        return false;
    if (weekday_len > NAME_LEN)
        read_rfc850_date(&reader, &at, now);
    else if (reader.rest.ptr[0] == ',')
        read_imf_fixdate(&reader, &at);
    else
        read_asctime_date(&reader, &at);
    if (reader.failed || reader.rest.len || !calendar_exists(&at))
        return false;
    *seconds = seconds_from_calendar(&at);
    return true;
}
