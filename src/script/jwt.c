/* Reading comes before believing: the header is read to find the key, the signature is checked over
 * the text of header and claims as it came, and only then are the claims looked at.
 *
 * JSON is walked value by value. A value that is wanted is read from a copy of the reader, so that
 * one of another kind than expected spoils nothing but itself.
 */
#include "script/jwt.h"

#include "base/base64.h"
#include "base/json.h"
#include "tls/hmac.h"
#include "tls/signature.h"

#include <stdlib.h>

enum { ARENA_BLOCK = 2048, NUMBER_LEN_MAX = 40 };

enum key_type { KEY_SECRET, KEY_RSA, KEY_EC, KEY_ED };

/* RFC 7518 section 3.1 and RFC 8037 section 3.1. */
static const struct algorithm {
    struct str name;
    enum key_type type;
    enum sha2 hash;               /* of a secret */
    enum signature_scheme scheme; /* of the others */
    struct str key_type, curve;   /* of the JWK; curve: where it has one */
} algorithms[] = {
    {STR_INIT("HS256"), KEY_SECRET, .hash = SHA2_256, .key_type = STR_INIT("oct")},
    {STR_INIT("HS384"), KEY_SECRET, .hash = SHA2_384, .key_type = STR_INIT("oct")},
    {STR_INIT("HS512"), KEY_SECRET, .hash = SHA2_512, .key_type = STR_INIT("oct")},
    {STR_INIT("RS256"), KEY_RSA, .scheme = SIGNATURE_RS256, .key_type = STR_INIT("RSA")},
    {STR_INIT("RS384"), KEY_RSA, .scheme = SIGNATURE_RS384, .key_type = STR_INIT("RSA")},
    {STR_INIT("RS512"), KEY_RSA, .scheme = SIGNATURE_RS512, .key_type = STR_INIT("RSA")},
    {STR_INIT("PS256"), KEY_RSA, .scheme = SIGNATURE_PS256, .key_type = STR_INIT("RSA")},
    {STR_INIT("ES256"), KEY_EC, .scheme = SIGNATURE_ES256, .key_type = STR_INIT("EC"),
     .curve = STR_INIT("P-256")},
    {STR_INIT("ES384"), KEY_EC, .scheme = SIGNATURE_ES384, .key_type = STR_INIT("EC"),
     .curve = STR_INIT("P-384")},
    {STR_INIT("EdDSA"), KEY_ED, .scheme = SIGNATURE_ED25519, .key_type = STR_INIT("OKP"),
     .curve = STR_INIT("Ed25519")},
};

/* A token in its parts. */
struct token {
    struct str header, claims, signature; /* in base64url */
    struct str signed_text;               /* header and claims */
    struct str signature_bytes;
    const struct algorithm *algorithm;
    struct str kid; /* ptr NULL: it has none */
};

/* --- JSON --- */

/* The name of a member, without its escapes. False: it is none. */
static bool
read_name(struct str *name, struct arena *arena)
{
    struct json json;
    if (str_find_char(*name, '\\') == name->len)
        return true;
    json_init(&json, str_make(name->ptr - 1, name->len + 2)); /* with its quotes */
    return json_string(&json, arena, name);
}

/* Goes over the next value. *out: that value, when it is a string. */
static bool
take_string(struct json *json, struct arena *arena, struct str *out)
{
    struct json copy = *json;
    bool ok = json_string(&copy, arena, out);
    json_skip(json);
    return ok;
}

static struct str
skip_space(struct str text)
{
    while (text.len && text.ptr[0] && strchr(" \t\r\n", text.ptr[0]))
        text = str_skip(text, 1);
    return text;
}

/* Goes over the next value, whose text it returns. */
static struct str
take_text(struct json *json)
{
    const char *start = json->rest.ptr;
    json_skip(json);
    return skip_space(str_make(start, (size_t)(json->rest.ptr - start)));
}

/* --- the token --- */

/* Into the arena. ptr NULL: it is not base64url, or there is no room. */
static struct str
decode(struct str text, struct arena *arena)
{
    size_t len;
    if (!base64_decoded_len(BASE64_URL_NO_PAD, text, &len))
        return (struct str){0};
    char *bytes = arena_alloc_text(arena, len + 1);
    if (!bytes || !base64_decode_form(BASE64_URL_NO_PAD, text, bytes))
        return (struct str){0};
    return str_make(bytes, len);
}

static bool
split(struct token *token, struct str text)
{
    if (text.len > JWT_TOKEN_MAX)
        return false;
    struct str rest = text;
    token->header = str_cut(&rest, '.');
    token->claims = str_cut(&rest, '.');
    token->signature = rest;
    token->signed_text = str_first(text, token->header.len + 1 + token->claims.len);
    /* Else it has fewer than three parts, or more: a dot is not in the alphabet. */
    return token->signature.len > 0;
}

static const struct algorithm *
find_algorithm(struct str name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (str_eq(algorithms[i].name, name))
            return &algorithms[i];
    return NULL;
}

/* Each of these at most once (RFC 7515 section 4). */
static enum jwt_result
read_header(struct token *token, struct arena *arena)
{
    struct str text = decode(token->header, arena), name, algorithm = {0};
    bool is_critical = false, ok = text.ptr != NULL;
    struct json json;
    json_init(&json, text);
    json_object(&json);
    while (json_member(&json, &name)) {
        ok &= read_name(&name, arena);
        if (str_eq(name, STR("alg"))) {
            ok &= !algorithm.ptr && take_string(&json, arena, &algorithm);
        } else if (str_eq(name, STR("kid"))) {
            ok &= !token->kid.ptr && take_string(&json, arena, &token->kid);
        } else {
            is_critical |= str_eq(name, STR("crit"));
            json_skip(&json);
        }
        if (!ok)
            return JWT_MALFORMED;
    }
    if (!json_done(&json) || !ok || !algorithm.ptr)
        return JWT_MALFORMED;
    token->algorithm = find_algorithm(algorithm);
    return token->algorithm && !is_critical ? JWT_OK : JWT_UNSUPPORTED;
}

/* --- keys --- */

/* A JSON Web Key, in the parts that count; ptr NULL: it does not have that one. */
struct jwk {
    struct str kty, kid, alg, use, crv, k, n, e, x, y;
    bool is_broken;     /* one of them is no string, or there twice */
    bool not_to_verify; /* has "key_ops", and "verify" is not among them */
};

static struct str *
jwk_part(struct jwk *jwk, struct str name)
{
    const struct {
        struct str name;
        struct str *part;
    } parts[] = {
        {STR_INIT("kty"), &jwk->kty}, {STR_INIT("kid"), &jwk->kid}, {STR_INIT("alg"), &jwk->alg},
        {STR_INIT("use"), &jwk->use}, {STR_INIT("crv"), &jwk->crv}, {STR_INIT("k"), &jwk->k},
        {STR_INIT("n"), &jwk->n},     {STR_INIT("e"), &jwk->e},     {STR_INIT("x"), &jwk->x},
        {STR_INIT("y"), &jwk->y},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (str_eq(parts[i].name, name))
            return parts[i].part;
    return NULL;
}

static bool
can_verify(struct json json, struct arena *arena)
{
    struct str operation;
    bool found = false;
    json_array(&json);
    while (json_item(&json))
        found |= take_string(&json, arena, &operation) && str_eq(operation, STR("verify"));
    return found;
}

/* Goes over the next value, which is to be an object. */
static void
read_jwk(struct json *json, struct arena *arena, struct jwk *jwk)
{
    struct json copy = *json;
    struct str name;
    *jwk = (struct jwk){0};
    json_skip(json);
    jwk->is_broken = !json_object(&copy);
    while (json_member(&copy, &name)) {
        jwk->is_broken |= !read_name(&name, arena);
        struct str *part = jwk_part(jwk, name);
        if (part) {
            jwk->is_broken |= part->ptr || !take_string(&copy, arena, part);
            continue;
        }
        if (str_eq(name, STR("key_ops")))
            jwk->not_to_verify = !can_verify(copy, arena);
        json_skip(&copy);
    }
}

/* Where the key has one, it must be that. */
static bool
agrees(struct str has, struct str wanted)
{
    return !has.ptr || str_eq(has, wanted);
}

static bool
fits(const struct jwk *jwk, const struct token *token)
{
    const struct algorithm *algorithm = token->algorithm;
    return !jwk->is_broken && !jwk->not_to_verify && jwk->kty.ptr &&
           str_eq(jwk->kty, algorithm->key_type) &&
           (!algorithm->curve.ptr || (jwk->crv.ptr && str_eq(jwk->crv, algorithm->curve))) &&
           agrees(jwk->use, STR("sig")) && agrees(jwk->alg, algorithm->name) &&
           (!token->kid.ptr || agrees(jwk->kid, token->kid));
}

static bool
verify_with_secret(const struct token *token, struct str secret)
{
    return secret.len &&
           hmac_verify(token->algorithm->hash, secret, token->signed_text, token->signature_bytes);
}

static bool
verify_with_jwk(const struct token *token, const struct jwk *jwk, struct arena *arena)
{
    if (token->algorithm->type == KEY_SECRET)
        return verify_with_secret(token, decode(jwk->k, arena));
    struct signature_key key = {
        .modulus = decode(jwk->n, arena),
        .exponent = decode(jwk->e, arena),
        .x = decode(jwk->x, arena),
        .y = decode(jwk->y, arena),
    };
    return signature_verify(token->algorithm->scheme, &key, token->signed_text,
                            token->signature_bytes);
}

struct search {
    const struct token *token;
    struct arena *arena; /* for one key */
    unsigned try_count;
};

/* Whether the next value is a key that verifies the token; goes over it. */
static bool
try_next(struct search *search, struct json *json)
{
    struct jwk jwk;
    arena_reset(search->arena);
    read_jwk(json, search->arena, &jwk);
    if (!fits(&jwk, search->token) || search->try_count == JWT_TRIES_MAX)
        return false;
    search->try_count++;
    return verify_with_jwk(search->token, &jwk, search->arena);
}

static enum jwt_result
verify_with_json(const struct token *token, struct str keys, struct arena *arena)
{
    struct search search = {.token = token, .arena = arena};
    struct json json, list;
    struct str name;
    bool is_set = false, verified = false;
    json_init(&json, keys);
    json_object(&json);
    while (json_member(&json, &name)) {
        if (str_eq(name, STR("keys"))) {
            is_set = true;
            list = json;
        }
        json_skip(&json);
    }
    if (!json_done(&json))
        return JWT_BAD_KEYS;
    if (is_set) {
        if (!json_array(&list))
            return JWT_BAD_KEYS;
        while (!verified && json_item(&list))
            verified = try_next(&search, &list);
    } else {
        json_init(&list, keys);
        verified = try_next(&search, &list);
    }
    return verified ? JWT_OK : search.try_count ? JWT_BAD_SIGNATURE : JWT_NO_KEY;
}

/* Which of the three kinds it is must not depend on white space that an editor left: a document of
 * public keys that is taken for a secret lets everybody sign who has read it. */
static enum jwt_result
verify_signature(const struct token *token, struct str keys, struct arena *arena)
{
    struct str text = keys;
    if (str_starts_with(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    text = skip_space(text);
    if (keys.len == 0 || keys.len > JWT_KEYS_MAX || str_starts_with(text, STR("[")) ||
        str_starts_with(text, STR("-----BEGIN ")))
        return JWT_BAD_KEYS;
    if (str_starts_with(text, STR("{")))
        return verify_with_json(token, text, arena);
    if (token->algorithm->type != KEY_SECRET)
        return JWT_NO_KEY;
    return verify_with_secret(token, keys) ? JWT_OK : JWT_BAD_SIGNATURE;
}

/* --- claims --- */

/* A NumericDate: any JSON number (RFC 7519 section 2). */
static bool
read_date(struct str text, double *out)
{
    char copy[NUMBER_LEN_MAX + 1];
    if (text.len == 0 || text.len > NUMBER_LEN_MAX || !strchr("-0123456789", text.ptr[0]))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *out = strtod(copy, NULL);
    return true;
}

/* Of several with one name the last counts, as it does for who reads the claims. */
static enum jwt_result
check_claims(struct str claims, double now_s, struct arena *arena)
{
    double expires_s = 0, begins_s = 0;
    bool expires = false, begins = false;
    struct str name;
    struct json json;
    json_init(&json, claims);
    json_object(&json);
    while (json_member(&json, &name)) {
        bool ok = read_name(&name, arena);
        struct str value = take_text(&json);
        if (ok && str_eq(name, STR("exp")))
            expires = ok = read_date(value, &expires_s);
        else if (ok && str_eq(name, STR("nbf")))
            begins = ok = read_date(value, &begins_s);
        if (!ok)
            return JWT_MALFORMED;
    }
    if (!json_done(&json))
        return JWT_MALFORMED;
    if (expires && now_s >= expires_s + JWT_LEEWAY_S)
        return JWT_EXPIRED;
    return begins && now_s < begins_s - JWT_LEEWAY_S ? JWT_NOT_YET : JWT_OK;
}

static enum jwt_result
verify_in(struct str text, struct str keys, int64_t now_s, char *claims, size_t *claims_len,
          struct arena *arena, struct arena *key_arena)
{
    struct token token = {0};
    if (!split(&token, text) || !base64_decoded_len(BASE64_URL_NO_PAD, token.claims, claims_len))
        return JWT_MALFORMED;
    token.signature_bytes = decode(token.signature, arena);
    enum jwt_result result = token.signature_bytes.ptr ? read_header(&token, arena) : JWT_MALFORMED;
    if (result == JWT_OK)
        result = verify_signature(&token, keys, key_arena);
    if (result != JWT_OK)
        return result;
    if (!base64_decode_form(BASE64_URL_NO_PAD, token.claims, claims))
        return JWT_MALFORMED;
    return check_claims(str_make(claims, *claims_len), (double)now_s, arena);
}

enum jwt_result
jwt_verify(struct str token, struct str keys, int64_t now_s, char claims[static JWT_CLAIMS_MAX],
           size_t *claims_len)
{
    struct arena arena, key_arena;
    arena_init(&arena, (size_t)3 * JWT_TOKEN_MAX, ARENA_BLOCK);
    arena_init(&key_arena, JWT_KEY_MAX, ARENA_BLOCK);
    enum jwt_result result = verify_in(token, keys, now_s, claims, claims_len, &arena, &key_arena);
    arena_deinit(&key_arena);
    arena_deinit(&arena);
    return result;
}
