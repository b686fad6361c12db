/* Loading: every source is read, checked and translated; names and entry points are looked up
 * once, so that a request finds a script by its place in the chain, and zs_call by binary search.
 */
#include "base/limits.h"
#include "script/helpers.h"
#include "script/task.h"

#include <stdlib.h>

enum { OPCODE_CALL = 0x85 };

static const char *const request_sections[] = {"zeroserve.request", "tarn.request"};
static const char *const call_prefixes[] = {"zeroserve.call.", "tarn.call."};

static int
fail(struct error *error, const struct script_source *source, const char *why)
{
    return error_set(error, "%.*s: script %.*s: %s", STR_ARG(source->from), STR_ARG(source->name),
                     why);
}

/* --- what a program has --- */

/* The NAME of a section "zeroserve.call.NAME"; empty: it is none. */
static struct str
call_name(struct str section)
{
    for (unsigned i = 0; i < 2; i++) {
        struct str prefix = str_from_cstr(call_prefixes[i]);
        if (str_starts_with(section, prefix))
            return str_skip(section, prefix.len);
    }
    return (struct str){0};
}

static int
name_cmp(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int
find_calls(struct script *script, const struct script_source *source, struct error *error)
{
    const struct bpf_object *object = bpf_program_object(script->program);
    script->call_names = calloc(object->section_count, sizeof *script->call_names);
    if (!script->call_names)
        return fail(error, source, "no memory");
    for (uint32_t i = 0; i < object->section_count; i++) {
        struct str name = call_name(object->sections[i].name);
        if (name.len)
            script->call_names[script->call_count++] = name;
    }
    qsort(script->call_names, script->call_count, sizeof *script->call_names, name_cmp);
    for (unsigned i = 1; i < script->call_count; i++)
        if (str_eq(script->call_names[i], script->call_names[i - 1]))
            return fail(error, source, "a zeroserve.call and a tarn.call section have one name");
    return 0;
}

static int
find_request(struct script *script, const struct script_source *source, struct error *error)
{
    script->request_entry = -1;
    for (unsigned i = 0; i < 2; i++) {
        int64_t entry = bpf_program_entry(script->program, str_from_cstr(request_sections[i]));
        if (entry >= 0 && script->request_entry >= 0)
            return fail(error, source, "has both zeroserve.request and tarn.request");
        if (entry >= 0)
            script->request_entry = entry;
    }
    return 0;
}

static int
refuse_tls_sections(const struct script *script, const struct script_source *source,
                    struct error *error)
{
    const struct bpf_object *object = bpf_program_object(script->program);
    for (uint32_t i = 0; i < object->section_count; i++) {
        struct str name = object->sections[i].name;
        if (str_starts_with(name, STR("zeroserve.tls")) || str_starts_with(name, STR("tarn.tls")))
            return fail(error, source, "has a section for TLS handshakes, which is not supported");
    }
    return 0;
}

static bool
calls_helper(const struct script *script, const char *name)
{
    const struct bpf_object *object = bpf_program_object(script->program);
    int64_t number = bpf_helper_find(&script_helpers, str_from_cstr(name));
    for (uint32_t i = 0; i < object->insn_count; i++) {
        const struct bpf_insn *insn = &object->insns[i];
        if (insn->opcode == OPCODE_CALL && insn->src == BPF_CALL_HELPER && insn->imm == number)
            return true;
    }
    return false;
}

static int
load_script(struct script *script, struct script_shared *shared, const struct script_source *source,
            struct error *error)
{
    const struct bpf_program_config config = {
        .helpers = &script_helpers,
        .engine = shared->config.engine,
        .code_len_max = shared->config.code_len_max,
    };
    struct error why;
    char *text = malloc(source->name.len + source->from.len + 2);
    if (!text)
        return fail(error, source, "no memory");
    memcpy(text, source->name.ptr, source->name.len);
    text[source->name.len] = '\0';
    script->name = str_make(text, source->name.len);
    text += source->name.len + 1;
    memcpy(text, source->from.ptr, source->from.len);
    text[source->from.len] = '\0';
    script->from = str_make(text, source->from.len);
    if (bpf_program_load(&script->program, source->bytes, &config, &why) < 0)
        return fail(error, source, why.text);
    if (refuse_tls_sections(script, source, error) < 0 || find_request(script, source, error) < 0 ||
        find_calls(script, source, error) < 0)
        return -1;
    if (script->request_entry < 0 && script->call_count == 0)
        return fail(error, source,
                    "has neither a zeroserve.request section nor one for calls (ZS_ENTRY, "
                    "ZS_CALL_ENTRY)");
    script->object_len = source->bytes.len;
    script->reads_body =
        calls_helper(script, "zs_req_body") || calls_helper(script, "zs_req_body_json");
    script->fetches = calls_helper(script, "zs_fetch");
    script->counters = script_shared_counters(shared, script->name);
    return script->counters ? 0 : fail(error, source, "no memory, or too many names of scripts");
}

/* --- the set --- */

static void
destroy(struct script_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        struct script *script = &set->list[i];
        if (script->program)
            bpf_program_unref(script->program);
        free(script->call_names);
        free((char *)script->name.ptr);
    }
    free(set->by_name);
    free(set);
}

static int
script_cmp(const void *a, const void *b)
{
    const struct script *left = *(struct script *const *)a, *right = *(struct script *const *)b;
    int order = str_cmp(left->name, right->name);
    return order ? order : (int)left->index - (int)right->index;
}

static int
sort_names(struct script_set *set, struct error *error)
{
    set->by_name = calloc(set->count ? set->count : 1, sizeof(struct script *));
    if (!set->by_name)
        return error_set(error, "no memory for scripts");
    for (unsigned i = 0; i < set->count; i++)
        set->by_name[i] = &set->list[i];
    qsort(set->by_name, set->count, sizeof *set->by_name, script_cmp);
    for (unsigned i = 0; i < set->count; i++) {
        struct script **last = &set->by_name[set->name_count];
        if (set->name_count && str_eq(last[-1]->name, set->by_name[i]->name))
            last[-1] = set->by_name[i];
        else {
            *last = set->by_name[i];
            set->name_count++;
        }
    }
    return 0;
}

int
script_set_new(struct script_set **out, struct script_shared *shared,
               const struct script_source *sources, unsigned count, struct error *error)
{
    if (count > SCRIPTS_MAX)
        return error_set(error, "%u scripts, at most %d", count, SCRIPTS_MAX);
    struct script_set *set = calloc(1, sizeof *set + count * sizeof set->list[0]);
    if (!set)
        return error_set(error, "no memory for scripts");
    set->shared = shared;
    set->ref_count = 1;
    for (unsigned i = 0; i < count; i++) {
        struct script *script = &set->list[set->count++];
        script->index = i;
        if (load_script(script, shared, &sources[i], error) < 0) {
            destroy(set);
            return -1;
        }
        set->reads_body |= script->reads_body;
        set->fetches |= script->fetches;
    }
    if (sort_names(set, error) < 0) {
        destroy(set);
        return -1;
    }
    *out = set;
    return 0;
}

struct script_set *
script_set_ref(struct script_set *set)
{
    __atomic_fetch_add(&set->ref_count, 1, __ATOMIC_RELAXED);
    return set;
}

void
script_set_unref(struct script_set *set)
{
    if (set && __atomic_sub_fetch(&set->ref_count, 1, __ATOMIC_ACQ_REL) == 0)
        destroy(set);
}

unsigned
script_set_count(const struct script_set *set)
{
    return set->count;
}

struct script_shared *
script_set_shared(const struct script_set *set)
{
    return set->shared;
}

bool
script_set_fetches(const struct script_set *set)
{
    return set->fetches;
}

const struct script *
script_set_find(const struct script_set *set, struct str name)
{
    char text[BPF_NAME_MAX + 3];
    if (!str_ends_with(name, STR(".o"))) {
        if (name.len > BPF_NAME_MAX)
            return NULL;
        memcpy(text, name.ptr, name.len);
        memcpy(text + name.len, ".o", 2);
        name = str_make(text, name.len + 2);
    }
    unsigned low = 0, high = set->name_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = str_cmp(set->by_name[middle]->name, name);
        if (order == 0)
            return set->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int64_t
script_call_entry(const struct script *script, struct str func)
{
    char section[BPF_NAME_MAX + 1];
    for (unsigned i = 0; i < 2; i++) {
        struct str prefix = str_from_cstr(call_prefixes[i]);
        if (func.len > BPF_NAME_MAX - prefix.len)
            return -1;
        memcpy(section, prefix.ptr, prefix.len);
        memcpy(section + prefix.len, func.ptr, func.len);
        int64_t entry =
            bpf_program_entry(script->program, str_make(section, prefix.len + func.len));
        if (entry >= 0)
            return entry;
    }
    return -1;
}

void
script_set_facts(const struct script_set *set, unsigned index, struct script_facts *facts)
{
    const struct script *script = &set->list[index];
    *facts = (struct script_facts){
        .name = script->name,
        .from = script->from,
        .object_len = script->object_len,
        .insn_count = bpf_program_object(script->program)->insn_count,
        .code_len = bpf_program_code_len(script->program),
        .no_jit_reason = bpf_program_no_jit_reason(script->program),
        .has_request = script->request_entry >= 0,
        .call_count = script->call_count,
    };
}

struct str
script_set_call_name(const struct script_set *set, unsigned index, unsigned at)
{
    return set->list[index].call_names[at];
}
