/* Helpers that need nothing but their arguments: time, version, environment, memory, HTML. */
#include "base/html.h"
#include "base/version.h"
#include "script/helpers.h"
#include "script/task.h"

#include <stdlib.h>
#include <time.h>

enum { ENV_NAME_MAX = 256 };

SCRIPT_HELPER(zs_now_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

SCRIPT_HELPER(zs_version)
{
    return script_put_text(run, r1, r2, STR(TARN_VERSION));
}

/* --- environment --- */

/* Names, or prefixes that end in '*'. */
static bool
env_is_allowed(const struct script_config *config, struct str name)
{
    for (unsigned i = 0; i < config->env_name_count; i++) {
        struct str allowed = str_from_cstr(config->env_names[i]);
        if (str_ends_with(allowed, STR("*"))) {
            allowed.len--;
            if (str_starts_with(name, allowed))
                return true;
        } else if (str_eq(name, allowed)) {
            return true;
        }
    }
    return false;
}

/* Empty: there is none, or none that scripts may see. */
static struct str
env_value(const struct script_config *config, struct str name)
{
    char text[ENV_NAME_MAX];
    if (name.len == 0 || name.len >= sizeof text || memchr(name.ptr, '\0', name.len) ||
        memchr(name.ptr, '=', name.len) || !env_is_allowed(config, name))
        return (struct str){0};
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    struct str value = str_from_cstr(getenv(text));
    return str_is_utf8(value) ? value : (struct str){0};
}

SCRIPT_HELPER(zs_env_get)
{
    struct str name = script_trimmed(run, r1, r2, "zs_env_get: name");
    const struct script_config *config = &script_frame_of(run)->task->worker->shared->config;
    return script_put_text_apart(run, r3, r4, env_value(config, name), bpf_view(run, r1, r2));
}

/* --- memory --- */

SCRIPT_HELPER(zs_memcpy)
{
    struct str from = bpf_view(run, r2, r3);
    char *to = bpf_view_writable(run, r1, r3);
    bpf_views_apart(run, to, r3, from.ptr, from.len);
    if (r3)
        memcpy(to, from.ptr, r3);
    return r1;
}

SCRIPT_HELPER(zs_memset)
{
    char *to = bpf_view_writable(run, r1, r3);
    if (r3)
        memset(to, (int)(r2 & 0xff), r3);
    return r1;
}

SCRIPT_HELPER(zs_memcmp)
{
    struct str a = bpf_view(run, r1, r3), b = bpf_view(run, r2, r3);
    if (r3 == 0 || memcmp(a.ptr, b.ptr, r3) == 0)
        return 0;
    size_t at = 0;
    while (a.ptr[at] == b.ptr[at])
        at++;
    return (uint64_t)((int64_t)(unsigned char)a.ptr[at] - (unsigned char)b.ptr[at]);
}

/* --- HTML --- */

/* Writes what fits into out_len - 1 bytes, and a NUL. Returns the length of all of it. */
static uint64_t
escape(struct str text, char *out, uint64_t out_len)
{
    uint64_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        struct str piece = html_reference(text.ptr[i]);
        if (!piece.ptr)
            piece = str_make(text.ptr + i, 1);
        if (len < out_len - 1)
            memcpy(out + len, piece.ptr, str_first(piece, out_len - 1 - len).len);
        len += piece.len;
    }
    out[len < out_len ? len : out_len - 1] = '\0';
    return len;
}

SCRIPT_HELPER(zs_html_escape)
{
    struct str text = script_text(run, r1, r2, "zs_html_escape: text");
    if (r4 == 0)
        return 0;
    char *out = bpf_view_writable(run, r3, r4);
    bpf_views_apart(run, out, r4, text.ptr, text.len);
    uint64_t len = escape(text, out, r4);
    return len < r4 ? len : r4;
}

/* --- look-ups that are not built in --- */

SCRIPT_HELPER(zs_vici_eap_identity_by_ip)
{
    script_text(run, r1, r2, "zs_vici_eap_identity_by_ip: ip");
    return (uint64_t)-1;
}
