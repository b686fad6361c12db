/* _redirects: parsing, and finding the rule for a request.
 *
 * A request is tried as it is and then with its trailing slash added or taken away, so that
 * `/old /new` answers for `/old/` too, but a rule that names the exact path comes first. A redirect
 * that would lead to the very URL that was asked (`/docs /docs/` asked for `/docs/`, or a move to
 * https of the same host) is passed over: it could only go round in circles. Rewrites are applied
 * once by the caller, so they cannot.
 */
#include "site/rules_internal.h"

#include "base/limits.h"

static const struct str condition_names[] = {
    STR_INIT("Country"), STR_INIT("Language"), STR_INIT("Role"),
    STR_INIT("Cookie"),  STR_INIT("Signed"),
};

static bool
is_destination(struct str word)
{
    size_t scheme = str_find(word, STR("://"));
    return word.ptr[0] == '/' || (scheme < word.len && scheme < str_find_char(word, '='));
}

/* `name=value` between source and destination. */
static int
parse_query_word(struct rules_reader *reader, struct str word, struct rules_names *names,
                 struct rules_query *out)
{
    struct str value = word;
    struct str name = str_cut(&value, '=');
    if (name.len == word.len)
        return rules_fail(reader,
                          "'%.*s' is neither 'name=value' nor a destination, which starts with "
                          "'/' or 'https://'",
                          STR_ARG(word));
    if (name.len == 0)
        return rules_fail(reader, "no name before '=' in '%.*s'", STR_ARG(word));
    out->capture = -1;
    size_t name_len = value.len > 0 && value.ptr[0] == ':' ? rules_name_len(value, 0) : 0;
    if (name_len > 0 && name_len + 1 == value.len) {
        struct str kept = arena_copy(reader->arena, str_skip(value, 1));
        if (!kept.ptr)
            return rules_fail(reader, "out of memory");
        if (rules_names_add(reader, names, kept) < 0)
            return -1;
        out->capture = (int)names->count - 1;
    }
    out->name = arena_copy(reader->arena, name);
    out->value = arena_copy(reader->arena, value);
    return arena_overflowed(reader->arena) ? rules_fail(reader, "out of memory") : 0;
}

/* The words up to the destination, which it leaves in *to. */
static int
parse_queries(struct rules_reader *reader, struct str *line, struct rules_names *names,
              struct rules_redirect *rule, struct str *to)
{
    struct rules_query list[RULES_QUERY_MAX];
    for (;;) {
        *to = rules_next_word(line);
        if (to->len == 0)
            return rules_fail(reader, "no destination");
        if (is_destination(*to))
            break;
        if (rule->query_count == RULES_QUERY_MAX)
            return rules_fail(reader, "more than %d query conditions", RULES_QUERY_MAX);
        if (parse_query_word(reader, *to, names, &list[rule->query_count]) < 0)
            return -1;
        rule->query_count++;
    }
    if (rule->query_count == 0)
        return 0;
    size_t size = rule->query_count * sizeof list[0];
    rule->queries = arena_alloc(reader->arena, size);
    if (!rule->queries)
        return rules_fail(reader, "out of memory");
    memcpy(rule->queries, list, size);
    return 0;
}

static bool
is_condition(struct str word)
{
    struct str name = str_cut(&word, '=');
    for (size_t i = 0; i < sizeof condition_names / sizeof condition_names[0]; i++) {
        if (str_ieq(name, condition_names[i]))
            return true;
    }
    return false;
}

static int
parse_status(struct rules_reader *reader, struct str word, struct rules_redirect *rule)
{
    static const int known[] = {200, 301, 302, 303, 307, 308, 404, 410};
    uint64_t status = 0;
    rule->force = word.len > 0 && word.ptr[word.len - 1] == '!';
    if (!str_to_u64(str_first(word, word.len - rule->force), &status))
        return rules_fail(reader, "'%.*s' is not a status", STR_ARG(word));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (status == (uint64_t)known[i]) {
            rule->status = known[i];
            return 0;
        }
    }
    return rules_fail(
        reader, "status %.*s is not supported (200, 301, 302, 303, 307, 308, 404 and 410 are)",
        STR_ARG(word));
}

/* What may follow the destination: one status. */
static int
parse_options(struct rules_reader *reader, struct str line, struct rules_redirect *rule)
{
    rule->status = 301;
    bool has_status = false;
    for (;;) {
        struct str word = rules_next_word(&line);
        if (word.len == 0)
            return 0;
        if (is_condition(word))
            return rules_fail(reader,
                              "the condition '%.*s' is not supported: tarn does not choose by "
                              "country, language, role or cookie here",
                              STR_ARG(word));
        if (has_status)
            return rules_fail(reader, "'%.*s' behind the status is not understood", STR_ARG(word));
        if (parse_status(reader, word, rule) < 0)
            return -1;
        has_status = true;
    }
}

static int
parse_file_destination(struct rules_reader *reader, struct str to, const struct rules_names *names,
                       struct rules_redirect *rule)
{
    if (to.ptr[0] != '/')
        return rules_fail(reader,
                          "a %d answer from another origin ('%.*s') is not supported; "
                          "a script or the reverse proxy can fetch it",
                          rule->status, STR_ARG(to));
    if (str_find_char(to, '?') < to.len || str_find_char(to, '#') < to.len)
        return rules_fail(reader, "a %d answer is a file: no '?' or '#' in '%.*s'", rule->status,
                          STR_ARG(to));
    return rules_template_parse_file(reader, to, names, &rule->to);
}

static int
parse_location(struct rules_reader *reader, struct str to, const struct rules_names *names,
               unsigned host_names, struct rules_redirect *rule)
{
    size_t hash = str_find_char(to, '#');
    struct str url = str_first(to, hash);
    /* A rule that matched the query has used it up. */
    rule->has_query = rule->query_count > 0 || str_find_char(url, '?') < url.len;
    if (rules_template_parse_location(reader, url, names, host_names, &rule->to) < 0)
        return -1;
    if (hash == to.len)
        return 0;
    return rules_template_parse_location(reader, str_skip(to, hash), names, 0, &rule->fragment);
}

static unsigned
count_host_names(const struct rules_pattern *pattern)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pattern->host.count; i++)
        count += pattern->host.list[i].kind != RULES_LITERAL;
    return count;
}

static int
parse_redirect(struct rules_reader *reader, struct str from, struct str line,
               struct rules_redirect *rule)
{
    struct rules_names names = {.count = 0};
    struct str to;
    if (rules_pattern_parse(reader, from, &names, &rule->pattern) < 0 ||
        parse_queries(reader, &line, &names, rule, &to) < 0 ||
        parse_options(reader, line, rule) < 0)
        return -1;
    if (rule->status >= 300 && rule->status < 400)
        return parse_location(reader, to, &names, count_host_names(&rule->pattern), rule);
    return parse_file_destination(reader, to, &names, rule);
}

int
site_rules_parse_redirects(struct site_rules *rules, struct arena *arena, struct str text,
                           struct error *error)
{
    struct rules_reader reader;
    struct str line;
    int result;
    rules_reader_init(&reader, "_redirects", arena, text, error);
    while ((result = rules_reader_next(&reader, &line)) > 0) {
        struct str from = rules_next_word(&line);
        if (from.len == 0)
            continue;
        if (rules->redirect_count == SITE_RULES_MAX)
            return rules_fail(&reader, "more than %d rules", SITE_RULES_MAX);
        struct rules_redirect *rule = arena_alloc(arena, sizeof *rule);
        if (!rule)
            return rules_fail(&reader, "out of memory");
        if (parse_redirect(&reader, from, line, rule) < 0)
            return -1;
        *rules->redirects_end = rule;
        rules->redirects_end = &rule->next;
        rules->redirect_count++;
    }
    return result;
}

/* Finding. */

struct redirect_request {
    struct str host;
    struct str path; /* as asked */
    struct str query;
};

/* Both sides decoded; `wanted` from the file, `got` from the request. */
static bool
form_equal(struct str wanted, struct str got)
{
    size_t i = 0, j = 0;
    while (i < wanted.len && j < got.len) {
        if (rules_decode_next(wanted, &i, true) != rules_decode_next(got, &j, true))
            return false;
    }
    return i == wanted.len && j == got.len;
}

static bool
find_query_value(struct str query, struct str name, struct str *value)
{
    while (query.len > 0) {
        *value = str_cut(&query, '&');
        if (form_equal(name, str_cut(value, '=')))
            return true;
    }
    return false;
}

static bool
match_queries(const struct rules_redirect *rule, struct str query, struct rules_captures *captures)
{
    for (unsigned i = 0; i < rule->query_count; i++) {
        const struct rules_query *wanted = &rule->queries[i];
        struct str value;
        if (!find_query_value(query, wanted->name, &value))
            return false;
        if (wanted->capture < 0 ? !form_equal(wanted->value, value) : value.len == 0)
            return false;
        if (wanted->capture >= 0)
            captures->list[captures->count++] =
                (struct rules_capture){.text = value, .is_form = true};
    }
    return true;
}

/* Whether `location` (without query) names the URL that was asked. The scheme is not compared: here
 * nobody knows it, and a rule that only changes the scheme would never end. */
static bool
is_own_url(struct str location, struct str host, struct str path)
{
    size_t scheme = str_find(location, STR("://"));
    if (location.len > 0 && location.ptr[0] != '/' && scheme < location.len) {
        location = str_skip(location, scheme + 3);
        size_t host_len = str_find_char(location, '/');
        if (!str_ieq(str_first(location, host_len), host))
            return false;
        location = str_skip(location, host_len);
        if (location.len == 0)
            location = STR("/");
    }
    size_t at = 0, i = 0;
    while (at < location.len && i < path.len) {
        if (rules_decode_next(location, &at, false) != (unsigned char)path.ptr[i++])
            return false;
    }
    return at == location.len && i == path.len;
}

/* A path that begins with two slashes would be another origin. */
static void
drop_double_slash(struct buf *out)
{
    size_t extra = 0;
    while (out->len > extra + 1 && out->ptr[extra] == '/' && out->ptr[extra + 1] == '/')
        extra++;
    buf_consume(out, extra);
}

/* Whether following the rule would go round in circles. When the other form of the path matched,
 * leading to it would only turn the circle through both forms. */
static bool
is_circle(struct str location, const struct redirect_request *request, struct str matched)
{
    return is_own_url(location, request->host, request->path) ||
           (!str_eq(matched, request->path) && is_own_url(location, request->host, matched));
}

/* `matched`: the form of the path that the rule matched. False: the rule goes in circles. */
static bool
build(const struct rules_redirect *rule, const struct rules_captures *captures,
      const struct redirect_request *request, struct str matched, struct buf *scratch,
      struct site_redirect *out)
{
    bool is_location = rule->status >= 300 && rule->status < 400;
    buf_clear(scratch);
    rules_template_fill(&rule->to, captures, scratch);
    drop_double_slash(scratch);
    if (is_location && !rule->has_query && is_circle(buf_str(scratch), request, matched))
        return false;
    out->has_query = rule->has_query;
    if (rule->fragment.count > 0) {
        /* The query goes before the fragment, so it is put in here. */
        if (!rule->has_query && request->query.len > 0) {
            buf_append_char(scratch, '?');
            rules_append_uri(scratch, request->query);
        }
        rules_template_fill(&rule->fragment, captures, scratch);
        out->has_query = true;
    }
    out->status = rule->status;
    out->force = rule->force;
    out->location = buf_str(scratch);
    return true;
}

static bool
find(const struct site_rules *rules, const struct redirect_request *request, struct str path,
     bool forced_only, struct buf *scratch, struct site_redirect *out)
{
    for (const struct rules_redirect *rule = rules->redirects; rule; rule = rule->next) {
        struct rules_captures captures;
        if ((forced_only && !rule->force) ||
            !rules_pattern_match(&rule->pattern, request->host, path, &captures) ||
            !match_queries(rule, request->query, &captures))
            continue;
        if (build(rule, &captures, request, path, scratch, out) && !buf_overflowed(scratch))
            return true;
    }
    return false;
}

/* The path with its trailing slash added or taken away; false for the root and for paths that are
 * too long. */
static bool
toggle_slash(struct str path, char room[static SITE_PATH_MAX + 1], struct str *out)
{
    if (path.len <= 1 || path.len > SITE_PATH_MAX)
        return false;
    memcpy(room, path.ptr, path.len);
    room[path.len] = '/';
    *out = str_make(room, path.ptr[path.len - 1] == '/' ? path.len - 1 : path.len + 1);
    return true;
}

bool
site_rules_find_redirect(const struct site_rules *rules, struct str host, struct str path,
                         struct str query, bool forced_only, struct buf *scratch,
                         struct site_redirect *out)
{
    char room[SITE_PATH_MAX + 1];
    struct str other;
    struct redirect_request request = {.host = host, .path = path, .query = query};
    buf_clear(scratch);
    if (!rules->redirects)
        return false;
    if (find(rules, &request, path, forced_only, scratch, out))
        return true;
    return toggle_slash(path, room, &other) &&
           find(rules, &request, other, forced_only, scratch, out);
}
