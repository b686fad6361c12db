#include "proxy/env.h"

#include "base/hex.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROXY_PORT = 1080, ENV_BLOCK_LEN = 4096 };

struct proxy_choice {
    struct url url; /* host.len 0: none */
    struct str authorization;
};

/* What no_proxy lists. */
struct direct_rule {
    struct str name; /* without dots at its ends */
    bool is_network; /* then no name, but: */
    bool is_ipv6;
    uint8_t bits;
    uint8_t address[16];
};

struct proxy_env {
    struct arena arena;
    struct proxy_choice http, https;
    struct direct_rule *rules;
    unsigned rule_count;
    bool all_direct;
};

/* --- reading the proxies --- */

/* The first of the variables that is set and not empty; NULL: none. */
static const char *
first_set(const char *const *names, const char **text)
{
    for (; *names; names++) {
        *text = getenv(*names);
        if (*text && **text)
            return *names;
    }
    return NULL;
}

/* Percent-decodes; an empty str with NULL pointer when an escape is bad, what it stands for is a
 * control character, or the arena is full. */
static struct str
decode(struct arena *arena, struct str s)
{
    char *out = arena_alloc_text(arena, s.len + 1);
    size_t len = 0;
    if (!out)
        return (struct str){0};
    while (s.len) {
        bool escape = s.ptr[0] == '%';
        int value = escape ? percent_value(s) : (unsigned char)s.ptr[0];
        if (value < 0x20 || value == 0x7f)
            return (struct str){0};
        out[len++] = (char)value;
        s = str_skip(s, escape ? 3 : 1);
    }
    return str_make(out, len);
}

/* RFC 4648 section 4, behind `prefix`. */
static struct str
encode_base64(struct arena *arena, struct str prefix, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = arena_alloc_text(arena, prefix.len + (bytes.len + 2) / 3 * 4);
    if (!out)
        return (struct str){0};
    memcpy(out, prefix.ptr, prefix.len);
    size_t len = prefix.len;
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t group = 0;
        for (size_t k = i; k < i + 3; k++)
            group = group << 8 | (k < bytes.len ? (unsigned char)bytes.ptr[k] : 0);
        for (unsigned k = 0; k < 4; k++)
            out[len++] = i + k > bytes.len ? '=' : digits[group >> (18 - 6 * k) & 63];
    }
    return str_make(out, len);
}

/* The value of Proxy-Authorization (RFC 7617) for "user:password"; an empty str: it cannot be. */
static struct str
basic_authorization(struct arena *arena, struct str user_info)
{
    struct str password = user_info;
    struct str user = decode(arena, str_cut(&password, ':'));
    password = decode(arena, password);
    if (!user.ptr || !password.ptr || str_find_char(user, ':') < user.len)
        return (struct str){0};
    struct str with_colon = arena_join(arena, user, STR(":"));
    return encode_base64(arena, STR("Basic "), arena_join(arena, with_colon, password));
}

/* False: no proxy that we can use. */
static bool
parse_proxy(struct proxy_env *env, struct str text, struct proxy_choice *out)
{
    const struct str http = STR("http://");
    struct arena *arena = &env->arena;
    size_t scheme_len = str_find(text, STR("://"));
    if (scheme_len < text.len) {
        if (!str_ieq(str_first(text, scheme_len + 3), http))
            return false;
        text = str_skip(text, http.len);
    }
    struct str authority = text;
    authority = str_first(authority, str_find_char(authority, '/'));
    authority = str_first(authority, str_find_char(authority, '?'));
    authority = str_first(authority, str_find_char(authority, '#'));
    size_t at = str_find_last_char(authority, '@');
    if (at < authority.len) {
        out->authorization = basic_authorization(arena, str_first(authority, at));
        if (!out->authorization.len)
            return false;
        authority = str_skip(authority, at + 1);
    }
    if (!url_parse(arena_join(arena, http, authority), &out->url))
        return false;
    if (!out->url.has_port)
        out->url.port = PROXY_PORT;
    return !arena_overflowed(arena);
}

static int
read_proxy(struct proxy_env *env, const char *const *names, struct proxy_choice *out,
           struct error *error)
{
    const char *text;
    const char *name = first_set(names, &text);
    if (!name || parse_proxy(env, str_trim(str_from_cstr(text)), out))
        return 0;
    if (arena_overflowed(&env->arena))
        return error_set(error, "%s: too long, or no memory", name);
    return error_set(error, "%s: must be http://[USER:PASSWORD@]HOST[:PORT]", name);
}

/* --- reading no_proxy --- */

/* Length of the address in bytes; 0: it is none. */
static unsigned
parse_address(struct str text, uint8_t *out, bool *is_ipv6)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *is_ipv6 = inet_pton(AF_INET, copy, out) != 1;
    if (!*is_ipv6)
        return 4;
    return inet_pton(AF_INET6, copy, out) == 1 ? 16 : 0;
}

/* The host of "host:port" and "[address]:port"; other text as it is. */
static struct str
without_port(struct str text)
{
    if (text.len && text.ptr[0] == '[') {
        struct str host = str_skip(text, 1);
        return str_first(host, str_find_char(host, ']'));
    }
    size_t colon = str_find_char(text, ':');
    return colon == str_find_last_char(text, ':') ? str_first(text, colon) : text;
}

static struct str
without_dot_at_end(struct str name)
{
    return str_ends_with(name, STR(".")) ? str_first(name, name.len - 1) : name;
}

/* False: it looks like a network, and is none. */
static bool
parse_rule(struct str text, struct direct_rule *out)
{
    struct str prefix = without_port(text), host = str_cut(&prefix, '/');
    bool has_prefix = host.len < without_port(text).len;
    uint64_t bits = 0;
    unsigned len = parse_address(host, out->address, &out->is_ipv6);
    if (has_prefix && (!len || prefix.len > 3 || !str_to_u64(prefix, &bits) || bits > 8 * len))
        return false;
    out->bits = (uint8_t)(has_prefix ? bits : 8 * len);
    out->is_network = len > 0;
    if (out->is_network)
        return true;
    out->name = without_dot_at_end(host);
    if (str_starts_with(out->name, STR(".")))
        out->name = str_skip(out->name, 1);
    return true;
}

static struct str
next_word(struct str *text)
{
    size_t from = 0, len = 0;
    while (from < text->len && strchr(", \t", text->ptr[from]))
        from++;
    struct str word = str_skip(*text, from);
    while (len < word.len && !strchr(", \t", word.ptr[len]))
        len++;
    *text = str_skip(word, len);
    return str_first(word, len);
}

static unsigned
count_words(struct str text)
{
    unsigned count = 0;
    while (next_word(&text).len)
        count++;
    return count;
}

static int
read_no_proxy(struct proxy_env *env, struct error *error)
{
    static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
    const char *value;
    const char *name = first_set(names, &value);
    if (!name)
        return 0;
    struct str text = arena_copy(&env->arena, str_from_cstr(value));
    env->rules = arena_alloc(&env->arena, (count_words(text) + 1) * sizeof *env->rules);
    if (!text.ptr || !env->rules)
        return error_set(error, "%s: too long, or no memory", name);
    for (struct str word = next_word(&text); word.len; word = next_word(&text)) {
        env->all_direct |= str_eq(word, STR("*"));
        struct direct_rule *rule = &env->rules[env->rule_count++];
        if (!parse_rule(word, rule))
            return error_set(error, "%s: '%.*s' is no network; write 192.0.2.0/24 or fd00::/8",
                             name, STR_ARG(word));
    }
    return 0;
}

/* --- asking --- */

static bool
network_covers(const struct direct_rule *rule, const uint8_t *address, bool is_ipv6)
{
    unsigned whole = rule->bits / 8, rest = rule->bits % 8;
    if (rule->is_ipv6 != is_ipv6 || memcmp(rule->address, address, whole) != 0)
        return false;
    return rest == 0 || (rule->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool
name_matches(struct str host, struct str name)
{
    if (!name.len || host.len < name.len)
        return false;
    struct str end = str_skip(host, host.len - name.len);
    return str_ieq(end, name) && (end.len == host.len || end.ptr[-1] == '.');
}

static bool
is_direct(const struct proxy_env *env, struct str host)
{
    uint8_t address[16];
    bool is_ipv6;
    bool is_address = parse_address(host, address, &is_ipv6) > 0;
    host = without_dot_at_end(host);
    for (unsigned i = 0; i < env->rule_count; i++) {
        const struct direct_rule *rule = &env->rules[i];
        if (rule->is_network != is_address)
            continue;
        if (is_address ? network_covers(rule, address, is_ipv6) : name_matches(host, rule->name))
            return true;
    }
    return env->all_direct;
}

const struct url *
proxy_env_find(const struct proxy_env *env, const struct url *url, struct str *authorization)
{
    *authorization = (struct str){0};
    if (!env)
        return NULL;
    const struct proxy_choice *choice = url->scheme == URL_HTTPS ? &env->https : &env->http;
    if (!choice->url.host.len || is_direct(env, url->host))
        return NULL;
    *authorization = choice->authorization;
    return &choice->url;
}

/* --- life --- */

int
proxy_env_new(struct proxy_env **out, struct error *error)
{
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        NULL};
    struct proxy_env *env = calloc(1, sizeof *env);
    *out = NULL;
    if (!env)
        return error_set(error, "no memory for the environment's proxies");
    arena_init(&env->arena, PROXY_ENV_MAX, ENV_BLOCK_LEN);
    int result = read_proxy(env, http, &env->http, error);
    if (result == 0)
        result = read_proxy(env, https, &env->https, error);
    bool has_proxy = env->http.url.host.len || env->https.url.host.len;
    if (result == 0 && has_proxy)
        result = read_no_proxy(env, error);
    if (result != 0 || !has_proxy) {
        proxy_env_free(env);
        return result;
    }
    *out = env;
    return 0;
}

void
proxy_env_free(struct proxy_env *env)
{
    if (!env)
        return;
    arena_deinit(&env->arena);
    free(env);
}
