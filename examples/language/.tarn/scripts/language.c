/* Language: the address without one leads to the page in the language that the visitor prefers.
 *
 *   curl -i -H 'Accept-Language: fr;q=0.4, de-CH' localhost:8080/     302 to /de/
 *   curl -i 'localhost:8080/fr/?choose'                               a cookie: French from now on
 */
#include <tarn.h>

static const char *const languages[] = {"en", "de", "fr"}; /* the first one is for all others */

enum { LANGUAGE_COUNT = sizeof languages / sizeof languages[0] };

/* Whether `text` begins with the tag of the language: "de", and "de-CH" too, but not "den". */
static int
is_language(const char *text, const char *language)
{
    char after = text[2];
    return (text[0] | 32) == language[0] && (text[1] | 32) == language[1] &&
           !((after | 32) >= 'a' && (after | 32) <= 'z');
}

/* The weight in thousandths behind a tag, ";q=0.8" as 800, or 1000 when there is none. */
static unsigned
weight_of(const char *text)
{
    unsigned weight = 0, unit = 1000;
    while (*text && *text != ',' && *text != ';')
        text++;
    if (*text != ';')
        return 1000;
    while (*text && *text != ',' && *text != '=')
        text++;
    if (*text != '=')
        return 1000;
    for (text++; (*text >= '0' && *text <= '9') || *text == '.'; text++)
        if (*text != '.' && unit) {
            weight += (unsigned)(*text - '0') * unit;
            unit /= 10;
        }
    return weight;
}

/* By Accept-Language: the first of those with the highest weight. */
static const char *
preferred(void)
{
    char text[256];
    const char *best = languages[0];
    unsigned best_weight = 0;
    zs_req_header(ZS_STR("Accept-Language"), text, sizeof text);
    for (const char *tag = text; *tag;) {
        while (*tag == ' ' || *tag == ',')
            tag++;
        for (int i = 0; i < LANGUAGE_COUNT; i++)
            if (*tag && is_language(tag, languages[i]) && weight_of(tag) > best_weight) {
                best = languages[i];
                best_weight = weight_of(tag);
            }
        while (*tag && *tag != ',')
            tag++;
    }
    return best;
}

/* The cookie's language, if it is one of ours: what a client sends must not become an address. */
static const char *
chosen(void)
{
    char value[8];
    zs_req_cookie(ZS_STR("language"), value, sizeof value);
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        if (zs_strcmp(value, languages[i]) == 0)
            return languages[i];
    return 0;
}

static void
remember(const char *path)
{
    char cookie[80];
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        if (is_language(path + 1, languages[i])) {
            char *end = zs_stpcpy(zs_stpcpy(cookie, "language="), languages[i]);
            zs_stpcpy(end, "; Path=/; Max-Age=31536000; SameSite=Lax");
            zs_meta_set(ZS_STR("zs.response.header.set-cookie"), ZS_STR(cookie));
        }
}

TARN_ENTRY zs_u64
request(void)
{
    char path[16], target[8];
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/") == 0) {
        const char *language = chosen();
        char *end = zs_stpcpy(target, "/");
        end = zs_stpcpy(zs_stpcpy(end, language ? language : preferred()), "/");
        zs_meta_set(ZS_STR("zs.response.header.vary"), ZS_STR("Accept-Language, Cookie"));
        zs_redirect(302, target, end - target);
    } else if (zs_strlen(path) >= 4 && zs_req_query_param_matches(ZS_STR("choose"), ZS_STR("*"))) {
        remember(path);
    }
    return 0;
}
