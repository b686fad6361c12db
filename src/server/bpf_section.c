#include "server/bpf_section.h"

#include "bpf/name_text.h"

#include <stdio.h>

enum { NAMES_MAX = ERROR_TEXT_MAX / 2 };

/* Cut where there are too many for a line. */
static const char *
list_names(const struct bpf_object *object, char out[NAMES_MAX])
{
    char name[BPF_NAME_TEXT_MAX];
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < object->section_count && len < NAMES_MAX; i++)
        len += (size_t)snprintf(out + len, NAMES_MAX - len, "%s%s", i ? ", " : "",
                                bpf_name_text(name, object->sections[i].name));
    return out;
}

static const struct bpf_section *
find(const struct bpf_object *object, struct str name)
{
    for (uint32_t i = 0; i < object->section_count; i++)
        if (str_eq(object->sections[i].name, name))
            return &object->sections[i];
    return NULL;
}

const struct bpf_section *
bpf_section_find(const struct bpf_object *object, const char *name, struct error *error)
{
    const struct bpf_section *section = find(object, str_from_cstr(name));
    char names[NAMES_MAX];
    if (!section)
        error_set(error, "no section '%s' with code; there %s: %s", name,
                  object->section_count == 1 ? "is" : "are", list_names(object, names));
    return section;
}

/* The only one besides .text, in which functions for others stand; or .text, if it is alone. */
static const struct bpf_section *
find_only(const struct bpf_object *object)
{
    const struct bpf_section *only = NULL;
    for (uint32_t i = 0; i < object->section_count; i++) {
        const struct bpf_section *section = &object->sections[i];
        if (str_eq(section->name, STR(".text")) && object->section_count > 1)
            continue;
        if (only)
            return NULL;
        only = section;
    }
    return only;
}

const struct bpf_section *
bpf_section_to_run(const struct bpf_object *object, const char *name, struct error *error)
{
    const struct bpf_section *section;
    char names[NAMES_MAX];
    if (name)
        return bpf_section_find(object, name, error);
    section = find(object, STR("zeroserve.request"));
    if (!section)
        section = find(object, STR("tarn.request"));
    if (!section)
        section = find_only(object);
    if (!section)
        error_set(error, "no section zeroserve.request or tarn.request; --section takes one of %s",
                  list_names(object, names));
    return section;
}
