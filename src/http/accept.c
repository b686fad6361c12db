#include "http/accept.h"

enum { QUALITY_MAX = 1000, QUALITY_NONE = -1 };

/* --- lists, parameters and weights --- */

/* tchar of RFC 9110 section 5.6.2. */
static bool
is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

/* Takes the part before the first `sep` that stands outside a quoted string, trimmed. */
static struct str
cut_unquoted(struct str *s, char sep)
{
    bool is_quoted = false;
    size_t i = 0;
    for (; i < s->len && (is_quoted || s->ptr[i] != sep); i++) {
        if (s->ptr[i] == '"')
            is_quoted = !is_quoted;
        else if (s->ptr[i] == '\\' && is_quoted && i + 1 < s->len)
            i++;
    }
    struct str part = str_trim(str_first(*s, i));
    *s = str_skip(*s, i + 1);
    return part;
}

/* qvalue of section 12.4.2 in thousandths, or QUALITY_NONE. */
static int
parse_qvalue(struct str s)
{
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1'))
        return QUALITY_NONE;
    if (s.len > 1 && s.ptr[1] != '.')
        return QUALITY_NONE;
    int value = (s.ptr[0] - '0') * QUALITY_MAX, scale = QUALITY_MAX / 10;
    for (size_t i = 2; i < s.len; i++, scale /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return QUALITY_NONE;
        value += (s.ptr[i] - '0') * scale;
    }
    return value <= QUALITY_MAX ? value : QUALITY_NONE;
}

static bool
is_weight(struct str parameter)
{
    return str_ieq(str_first(parameter, 2), STR("q="));
}

/* --- Accept-Encoding --- */

/* The coding with this name, HTTP_CODING_COUNT for "*", or -1 for one we do not have. */
static int
coding_of(struct str name)
{
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        if (str_ieq(name, http_coding_name((enum http_coding)i)))
            return i;
    if (str_ieq(name, STR("x-gzip")))
        return HTTP_CODING_GZIP;
    return str_eq(name, STR("*")) ? HTTP_CODING_COUNT : -1;
}

/* The weight of a member behind its coding, or QUALITY_NONE when it is malformed. */
static int
coding_weight(struct str parameters)
{
    parameters = str_trim(parameters);
    if (!is_weight(parameters))
        return QUALITY_NONE;
    return parse_qvalue(str_skip(parameters, 2));
}

/* One slot for each coding and a last one for "*"; a coding named twice gets its last weight. */
static void
read_codings(struct str value, int weight[static HTTP_CODING_COUNT + 1])
{
    for (int i = 0; i <= HTTP_CODING_COUNT; i++)
        weight[i] = QUALITY_NONE;
    while (value.len) {
        struct str member = str_trim(str_cut(&value, ','));
        size_t name_len = str_find_char(member, ';');
        struct str name = str_trim(str_first(member, name_len));
        int coding = coding_of(name);
        int quality =
            name_len == member.len ? QUALITY_MAX : coding_weight(str_skip(member, name_len + 1));
        if (coding >= 0 && quality != QUALITY_NONE)
            weight[coding] = quality;
    }
}

void
http_accept_encoding_parse(struct str value, bool present, struct http_accept_encoding *out)
{
    int weight[HTTP_CODING_COUNT + 1];
    *out = (struct http_accept_encoding){.quality[HTTP_CODING_IDENTITY] = QUALITY_MAX};
    if (!present || str_trim(value).len == 0)
        return;
    read_codings(value, weight);
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        int quality = weight[i] != QUALITY_NONE ? weight[i] : weight[HTTP_CODING_COUNT];
        /* Not named at all, plain content is still acceptable, behind all that is wanted. */
        if (quality == QUALITY_NONE)
            quality = i == HTTP_CODING_IDENTITY ? 1 : 0;
        out->quality[i] = (uint16_t)quality;
    }
}

int
http_coding_choose(const struct http_accept_encoding *accept, unsigned available)
{
    int best = -1;
    unsigned best_quality = 0;
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        if ((available & 1u << i) && accept->quality[i] > best_quality) {
            best = i;
            best_quality = accept->quality[i];
        }
    }
    return best;
}

struct str
http_coding_name(enum http_coding coding)
{
    static const struct str names[HTTP_CODING_COUNT] = {
        [HTTP_CODING_BR] = STR_INIT("br"),
        [HTTP_CODING_ZSTD] = STR_INIT("zstd"),
        [HTTP_CODING_GZIP] = STR_INIT("gzip"),
        [HTTP_CODING_IDENTITY] = STR_INIT("identity"),
    };
    return names[coding];
}

/* --- Accept --- */

struct media_range {
    struct str type;       /* "type/subtype", may be with wildcards */
    struct str parameters; /* all of them, raw */
    int quality;
};

/* "type" "/" "subtype" with both tokens; "*" may stand for the subtype, or for both. */
static bool
is_media_range(struct str type)
{
    size_t slash = str_find_char(type, '/');
    struct str main = str_first(type, slash), sub = str_skip(type, slash + 1);
    if (slash == type.len || !is_token(main) || !is_token(sub))
        return false;
    return !str_eq(main, STR("*")) || str_eq(sub, STR("*"));
}

/* Takes the next member of an Accept value. False when it is malformed and must be skipped. */
static bool
take_media_range(struct str *value, struct media_range *range)
{
    struct str member = cut_unquoted(value, ',');
    range->type = cut_unquoted(&member, ';');
    range->parameters = member;
    range->quality = QUALITY_MAX;
    while (member.len && range->quality != QUALITY_NONE) {
        struct str parameter = cut_unquoted(&member, ';');
        if (is_weight(parameter))
            range->quality = parse_qvalue(str_skip(parameter, 2));
    }
    return range->quality != QUALITY_NONE && is_media_range(range->type);
}

static bool
has_parameter(struct str parameters, struct str wanted)
{
    while (parameters.len)
        if (str_ieq(cut_unquoted(&parameters, ';'), wanted))
            return true;
    return false;
}

/* The number of parameters of the range other than the weight, when the media type has them all;
 * else -1. */
static int
match_parameters(struct str of_range, struct str of_type)
{
    int count = 0;
    while (of_range.len) {
        struct str parameter = cut_unquoted(&of_range, ';');
        if (parameter.len == 0 || is_weight(parameter))
            continue;
        if (!has_parameter(of_type, parameter))
            return -1;
        count++;
    }
    return count;
}

/* How specific a range that covers the media type is (RFC 9110 section 12.5.1); 0: it does not. */
static int
match_specificity(const struct media_range *range, struct str type, struct str parameters)
{
    size_t main_len = str_find_char(type, '/') + 1;
    int parameter_count = match_parameters(range->parameters, parameters);
    if (parameter_count < 0)
        return 0;
    if (str_eq(range->type, STR("*/*")))
        return 1;
    if (str_ends_with(range->type, STR("/*")) && range->type.len == main_len + 1 &&
        str_ieq(str_first(range->type, main_len), str_first(type, main_len)))
        return 2;
    return str_ieq(range->type, type) ? 3 + parameter_count : 0;
}

bool
http_accept_names(struct str value, struct str media_type)
{
    struct media_range range;
    while (value.len)
        if (take_media_range(&value, &range) && range.quality > 0 &&
            str_ieq(range.type, media_type))
            return true;
    return false;
}

unsigned
http_accept_quality(struct str value, struct str media_type)
{
    int best = 0, quality = 0;
    struct str parameters = media_type;
    struct str type = cut_unquoted(&parameters, ';');
    if (str_trim(value).len == 0)
        return QUALITY_MAX;
    while (value.len) {
        struct media_range range;
        if (!take_media_range(&value, &range))
            continue;
        int specificity = match_specificity(&range, type, parameters);
        if (specificity && specificity >= best) {
            best = specificity;
            quality = range.quality;
        }
    }
    return (unsigned)quality;
}
