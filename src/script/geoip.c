/* The library opens the file and walks its search tree. The record is read here: the library would
 * make a list of all its values before it is known how many there are, and pointers inside of
 * pointers can name more than memory holds. Here each value writes at least one byte of bounded
 * output, and is at most GEOIP_DEPTH_MAX deep, so that reading ends.
 */
#include "script/geoip.h"

#include "base/hex.h"
#include "site/memory_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADDRESS_LEN_MAX = 64 };

struct geoip {
    MMDB_s mmdb;
};

/* --- opening --- */

/* All of the file, as it is now, in a memory file; -1 and a reason. */
static int
copy_to_memory(int fd, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_errno(error, errno, "cannot be read");
    if (!S_ISREG(st.st_mode) || st.st_size > GEOIP_FILE_MAX)
        return error_set(error, "not a file of at most %d MiB", GEOIP_FILE_MAX >> 20);
    int copy = memory_file_open(error);
    if (copy < 0)
        return -1;
    for (off_t left = st.st_size; left > 0;) {
        ssize_t count = sendfile(copy, fd, NULL, (size_t)left);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            int code = count < 0 ? errno : EIO; /* it has become shorter */
            close(copy);
            return error_set_errno(error, code, "cannot be read");
        }
        left -= count;
    }
    return copy;
}

static int
open_copy(MMDB_s *mmdb, int copy, struct error *error)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    int status = MMDB_open(path, MMDB_MODE_MMAP, mmdb);
    if (status == MMDB_FILE_OPEN_ERROR || status == MMDB_IO_ERROR)
        return error_set_errno(error, errno, "cannot be mapped by %s", path);
    if (status != MMDB_SUCCESS)
        return error_set(error, "not a MaxMind database: %s", MMDB_strerror(status));
    return 0;
}

static int
open_file(MMDB_s *mmdb, const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot be opened");
    int copy = copy_to_memory(fd, error);
    close(fd);
    if (copy < 0)
        return -1;
    int result = open_copy(mmdb, copy, error);
    close(copy); /* the library has a mapping of its own */
    return result;
}

int
geoip_open(struct geoip **out, const char *path, struct error *error)
{
    struct geoip *geoip = calloc(1, sizeof *geoip);
    if (!geoip)
        return error_set(error, "%s: no memory", path);
    if (open_file(&geoip->mmdb, path, error) < 0) {
        free(geoip);
        return error_prefix(error, "%s", path);
    }
    *out = geoip;
    return 0;
}

void
geoip_close(struct geoip *geoip)
{
    if (geoip)
        MMDB_close(&geoip->mmdb);
    free(geoip);
}

/* --- addresses --- */

/* What stands before a port. */
static struct str
without_port(struct str text)
{
    if (str_starts_with(text, STR("["))) {
        size_t end = str_find_char(text, ']');
        struct str behind = str_skip(text, end + 1);
        bool ok = end < text.len && (behind.len == 0 || behind.ptr[0] == ':');
        return ok ? str_skip(str_first(text, end), 1) : (struct str){0};
    }
    size_t colon = str_find_char(text, ':');
    bool is_only = colon == str_find_last_char(text, ':');
    return is_only ? str_first(text, colon) : text;
}

static bool
parse_address(struct str text, struct sockaddr_storage *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    struct in6_addr address;
    char copy[ADDRESS_LEN_MAX];
    text = without_port(text);
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, copy, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, copy, &address) != 1)
        return false;
    if (memcmp(&address, mapped, sizeof mapped) == 0) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, address.s6_addr + sizeof mapped, 4);
    } else {
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = address;
    }
    return true;
}

/* --- records --- */

/* The types of the format, by their numbers. */
enum {
    TYPE_EXTENDED,
    TYPE_POINTER,
    TYPE_STRING,
    TYPE_DOUBLE,
    TYPE_BYTES,
    TYPE_UINT16,
    TYPE_UINT32,
    TYPE_MAP,
    TYPE_INT32,
    TYPE_UINT64,
    TYPE_UINT128,
    TYPE_ARRAY,
    TYPE_BOOLEAN = 14,
    TYPE_FLOAT,
};

struct record {
    struct str data; /* the data section */
    size_t at;
    char *out;
    size_t len, max;
    bool failed;
};

static bool
fail(struct record *record)
{
    record->failed = true;
    return false;
}

static void
put(struct record *record, struct str s)
{
    if (s.len > record->max - record->len) {
        fail(record);
        return;
    }
    if (s.len)
        memcpy(record->out + record->len, s.ptr, s.len);
    record->len += s.len;
}

static void put_format(struct record *record, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
put_format(struct record *record, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(record, str_make(text, (size_t)len));
}

/* Takes `len` bytes of the data. False: there are not so many. */
static bool
take(struct record *record, size_t len, struct str *out)
{
    struct str left = str_skip(record->data, record->at);
    if (record->failed || left.len < len)
        return fail(record);
    *out = str_first(left, len);
    record->at += len;
    return true;
}

/* Most significant byte first; 0 when they are not there. */
static uint64_t
take_number(struct record *record, size_t len)
{
    struct str bytes = {0};
    uint64_t number = 0;
    if (len > 8 || !take(record, len, &bytes))
        fail(record);
    for (size_t i = 0; i < bytes.len; i++)
        number = number << 8 | (unsigned char)bytes.ptr[i];
    return number;
}

struct head {
    unsigned type;
    uint32_t size; /* bytes, or members; of a pointer the five bits that stand for more */
};

/* What a value begins with: type and size, in one to five bytes. */
static struct head
take_head(struct record *record)
{
    unsigned byte = (unsigned)take_number(record, 1);
    struct head head = {.type = byte >> 5, .size = byte & 31};
    if (head.type == TYPE_POINTER)
        return head;
    if (head.type == TYPE_EXTENDED)
        head.type = 7 + (unsigned)take_number(record, 1);
    if (head.size == 29)
        head.size = 29 + (uint32_t)take_number(record, 1);
    else if (head.size == 30)
        head.size = 285 + (uint32_t)take_number(record, 2);
    else if (head.size == 31)
        head.size = 65821 + (uint32_t)take_number(record, 3);
    return head;
}

static size_t
take_pointer(struct record *record, uint32_t size)
{
    static const uint32_t bases[] = {0, 2048, 526336, 0};
    unsigned more = size >> 3;
    uint64_t high = more == 3 ? 0 : (uint64_t)(size & 7) << 8 * (more + 1);
    return (size_t)(high + take_number(record, more + 1) + bases[more]);
}

/* A string with its quotes. */
static void
put_string(struct record *record, struct str s)
{
    size_t from = 0;
    if (s.len > record->max || !str_is_utf8(s)) {
        fail(record);
        return;
    }
    put(record, STR("\""));
    for (size_t i = 0; i < s.len && !record->failed; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(record, str_skip(str_first(s, i), from));
        put_format(record, "\\u%04x", c);
        from = i + 1;
    }
    put(record, str_skip(s, from));
    put(record, STR("\""));
}

static void
put_hex(struct record *record, struct str bytes, const char *prefix)
{
    char digits[2];
    put_format(record, "\"%s", prefix);
    for (size_t i = 0; i < bytes.len && !record->failed; i++) {
        hex_encode(str_make(bytes.ptr + i, 1), false, digits);
        put(record, str_make(digits, 2));
    }
    put(record, STR("\""));
}

/* In as few digits as say it exactly. JSON has no infinity. */
static void
put_double(struct record *record, double value, int digits, int digits_max, bool is_float)
{
    char text[40];
    if (!isfinite(value)) {
        put(record, STR("null"));
        return;
    }
    for (; digits <= digits_max; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (is_float ? (float)back == (float)value : back == value)
            break;
    }
    put(record, str_from_cstr(text));
}

static void
put_float(struct record *record, struct head head)
{
    uint32_t bits;
    uint64_t long_bits;
    float value;
    double long_value;
    if (head.size != (head.type == TYPE_FLOAT ? 4 : 8)) {
        fail(record);
        return;
    }
    long_bits = take_number(record, head.size);
    if (head.type == TYPE_FLOAT) {
        bits = (uint32_t)long_bits;
        memcpy(&value, &bits, sizeof value);
        put_double(record, (double)value, 6, 9, true);
    } else {
        memcpy(&long_value, &long_bits, sizeof long_value);
        put_double(record, long_value, 15, 17, false);
    }
}

/* A value that has no others in it. */
static void
put_scalar(struct record *record, struct head head)
{
    struct str bytes;
    switch (head.type) {
    case TYPE_STRING:
        if (take(record, head.size, &bytes))
            put_string(record, bytes);
        break;
    case TYPE_BYTES:
    case TYPE_UINT128:
        if (take(record, head.size, &bytes))
            put_hex(record, bytes, head.type == TYPE_BYTES ? "" : "0x");
        break;
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
        put_float(record, head);
        break;
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64:
        put_format(record, "%" PRIu64, take_number(record, head.size));
        break;
    case TYPE_INT32:
        put_format(record, "%" PRId32, (int32_t)(uint32_t)take_number(record, head.size));
        break;
    case TYPE_BOOLEAN:
        put(record, head.size ? STR("true") : STR("false"));
        break;
    default:
        fail(record);
    }
}

static void put_value(struct record *record, unsigned depth);

/* The name of a member: a string, or a pointer to one. */
static void
put_name(struct record *record)
{
    struct head head = take_head(record);
    struct str name;
    size_t back = 0;
    if (head.type == TYPE_POINTER) {
        size_t at = take_pointer(record, head.size);
        back = record->at;
        record->at = at;
        head = take_head(record);
    }
    if (head.type != TYPE_STRING || !take(record, head.size, &name)) {
        fail(record);
        return;
    }
    put_string(record, name);
    put(record, STR(":"));
    if (back)
        record->at = back;
}

static void
put_members(struct record *record, struct head head, unsigned depth)
{
    bool is_map = head.type == TYPE_MAP;
    put(record, is_map ? STR("{") : STR("["));
    for (uint32_t i = 0; i < head.size && !record->failed; i++) {
        put(record, i ? STR(",") : STR(""));
        if (is_map)
            put_name(record);
        put_value(record, depth + 1);
    }
    put(record, is_map ? STR("}") : STR("]"));
}

/* A pointer names a value that is none itself. */
static void
put_value(struct record *record, unsigned depth)
{
    struct head head = take_head(record);
    size_t back = 0;
    if (head.type == TYPE_POINTER) {
        size_t at = take_pointer(record, head.size);
        back = record->at;
        record->at = at;
        head = take_head(record);
    }
    if (record->failed || depth > GEOIP_DEPTH_MAX)
        fail(record);
    else if (head.type == TYPE_MAP || head.type == TYPE_ARRAY)
        put_members(record, head, depth);
    else
        put_scalar(record, head);
    if (back)
        record->at = back;
}

bool
geoip_find(const struct geoip *geoip, struct str address, char out[static GEOIP_RECORD_MAX],
           size_t *len)
{
    const MMDB_s *mmdb = &geoip->mmdb;
    struct sockaddr_storage socket_address;
    int status = MMDB_SUCCESS;
    if (!parse_address(address, &socket_address))
        return false;
    MMDB_lookup_result_s found =
        MMDB_lookup_sockaddr(mmdb, (const struct sockaddr *)&socket_address, &status);
    if (status != MMDB_SUCCESS || !found.found_entry)
        return false;
    struct record record = {
        .data = str_make((const char *)mmdb->data_section, mmdb->data_section_size),
        .at = found.entry.offset,
        .out = out,
        .max = GEOIP_RECORD_MAX,
    };
    put_value(&record, 0);
    *len = record.len;
    return !record.failed;
}
