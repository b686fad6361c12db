#include "http/mime.h"

#include "http/mime_table.h"

enum { EXTENSION_MAX = 15 };

/* Full names, in any case, that are plain text without an extension. */
static const struct str text_names[] = {
    STR_INIT("authors"),      STR_INIT("changelog"),    STR_INIT("changes"),
    STR_INIT("cname"),        STR_INIT("codeowners"),   STR_INIT("containerfile"),
    STR_INIT("contributing"), STR_INIT("contributors"), STR_INIT("copying"),
    STR_INIT("copyright"),    STR_INIT("dockerfile"),   STR_INIT("gemfile"),
    STR_INIT("install"),      STR_INIT("jenkinsfile"),  STR_INIT("licence"),
    STR_INIT("license"),      STR_INIT("makefile"),     STR_INIT("md5sums"),
    STR_INIT("news"),         STR_INIT("notice"),       STR_INIT("procfile"),
    STR_INIT("rakefile"),     STR_INIT("readme"),       STR_INIT("sha1sums"),
    STR_INIT("sha256sums"),   STR_INIT("sha512sums"),   STR_INIT("todo"),
    STR_INIT("vagrantfile"),  STR_INIT("version"),
};

/* Types that shrink although neither their main type nor their suffix says so. */
static const struct str compressible_types[] = {
    STR_INIT("application/cbor"),
    STR_INIT("application/dart"),
    STR_INIT("application/ecmascript"),
    STR_INIT("application/graphql"),
    STR_INIT("application/javascript"),
    STR_INIT("application/json"),
    STR_INIT("application/jsonl"),
    STR_INIT("application/mbox"),
    STR_INIT("application/msword"),
    STR_INIT("application/n-triples"),
    STR_INIT("application/postscript"),
    STR_INIT("application/protobuf"),
    STR_INIT("application/rtf"),
    STR_INIT("application/sql"),
    STR_INIT("application/toml"),
    STR_INIT("application/vnd.apple.mpegurl"),
    STR_INIT("application/vnd.ms-excel"),
    STR_INIT("application/vnd.ms-fontobject"),
    STR_INIT("application/vnd.ms-powerpoint"),
    STR_INIT("application/vnd.sqlite3"),
    STR_INIT("application/wasm"),
    STR_INIT("application/x-csh"),
    STR_INIT("application/x-javascript"),
    STR_INIT("application/x-ns-proxy-autoconfig"),
    STR_INIT("application/x-sh"),
    STR_INIT("application/x-subrip"),
    STR_INIT("application/xml"),
    STR_INIT("application/xml-dtd"),
    STR_INIT("application/yaml"),
    STR_INIT("audio/x-mpegurl"),
    STR_INIT("audio/x-scpls"),
    STR_INIT("font/collection"),
    STR_INIT("font/otf"),
    STR_INIT("font/ttf"),
    STR_INIT("image/bmp"),
    STR_INIT("image/vnd.microsoft.icon"),
    STR_INIT("image/x-icon"),
    STR_INIT("image/x-portable-bitmap"),
    STR_INIT("image/x-portable-graymap"),
    STR_INIT("image/x-portable-pixmap"),
    STR_INIT("image/x-tga"),
    STR_INIT("image/x-xbitmap"),
    STR_INIT("message/rfc822"),
    STR_INIT("model/gltf-binary"),
    STR_INIT("model/mtl"),
    STR_INIT("model/obj"),
    STR_INIT("model/stl"),
    STR_INIT("model/vrml"),
};

static const struct str compressible_suffixes[] = {
    STR_INIT("+json"),
    STR_INIT("+xml"),
    STR_INIT("+yaml"),
};

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

/* Binary search; `extension` in lower case. An empty str when it is not there. */
static struct str
find_extension(struct str extension)
{
    size_t low = 0, high = mime_entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(extension, str_from_cstr(mime_entries[middle].extension));
        if (order == 0)
            return mime_entries[middle].type;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct str){0};
}

static struct str
type_of_bare_name(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(text_names); i++)
        if (str_ieq(name, text_names[i]))
            return STR("text/plain; charset=utf-8");
    /* Fetched by iOS, which wants this type and a name without an extension. */
    if (str_eq(name, STR("apple-app-site-association")))
        return STR("application/json; charset=utf-8");
    return (struct str){0};
}

static struct str
type_of_extension(struct str extension)
{
    char lower[EXTENSION_MAX];
    if (extension.len > sizeof(lower))
        return (struct str){0};
    for (size_t i = 0; i < extension.len; i++)
        lower[i] = str_lower_char(extension.ptr[i]);
    return find_extension(str_make(lower, extension.len));
}

struct str
mime_type(struct str file_name)
{
    size_t slash = str_find_last_char(file_name, '/');
    struct str name = slash < file_name.len ? str_skip(file_name, slash + 1) : file_name;
    size_t dot = str_find_last_char(name, '.');
    struct str type =
        dot < name.len ? type_of_extension(str_skip(name, dot + 1)) : type_of_bare_name(name);
    return type.len ? type : STR("application/octet-stream");
}

/* Whether s ends in `suffix`, in any case. */
static bool
ends_with_ignoring_case(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_ieq(str_skip(s, s.len - suffix.len), suffix);
}

bool
mime_is_compressible(struct str media_type)
{
    struct str type = str_trim(str_first(media_type, str_find_char(media_type, ';')));
    if (str_ieq(str_first(type, 5), STR("text/")))
        return true;
    for (size_t i = 0; i < COUNT_OF(compressible_suffixes); i++)
        if (ends_with_ignoring_case(type, compressible_suffixes[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(compressible_types); i++)
        if (str_ieq(type, compressible_types[i]))
            return true;
    return false;
}
