#include "site/script_path.h"

static const struct str folders[] = {
    STR_INIT(".tarn/scripts/"),
    STR_INIT(".zeroserve/scripts/"),
};

static bool
is_hidden(struct str name)
{
    while (name.len) {
        struct str part = str_cut(&name, '/');
        if (str_starts_with(part, STR(".")))
            return true;
    }
    return false;
}

bool
script_path_parse(struct str path, struct script_path *out)
{
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!str_starts_with(path, folders[i]))
            continue;
        *out = (struct script_path){
            .name = str_skip(path, folders[i].len),
            .folder = i,
            .is_source = str_ends_with(path, STR(".c")),
        };
        /* ".c" alone is hidden too */
        return (out->is_source || str_ends_with(path, STR(".o"))) && !is_hidden(out->name);
    }
    return false;
}

bool
script_path_is_needed(struct str path)
{
    struct script_path script;
    if (script_path_parse(path, &script))
        return true;
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        size_t len = folders[i].len;
        if (str_starts_with(path, folders[i]) && !is_hidden(str_skip(path, len)) &&
            str_find_char(str_skip(path, len), '.') == path.len - len)
            return true;
        /* ".tarn" and ".tarn/scripts" */
        if (path.len < len && folders[i].ptr[path.len] == '/' && str_starts_with(folders[i], path))
            return true;
    }
    return false;
}
