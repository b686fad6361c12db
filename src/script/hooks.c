#include "script/answer.h"

#include "base/limits.h"

#include <stdlib.h>

enum { TEXT_KEPT = 16 << 10 };

void
script_hooks_clear(struct script_hooks *hooks)
{
    hooks->count = hooks->next = 0;
    if (hooks->text.cap > TEXT_KEPT)
        buf_deinit(&hooks->text);
    if (hooks->text.max)
        buf_clear(&hooks->text);
}

void
script_hooks_deinit(struct script_hooks *hooks)
{
    free(hooks->list);
    buf_deinit(&hooks->text);
    *hooks = (struct script_hooks){0};
}

struct buf *
script_hooks_text(struct script_hooks *hooks)
{
    const struct script_hook *last = hooks->count ? &hooks->list[hooks->count - 1] : NULL;
    if (hooks->text.max == 0)
        buf_init(&hooks->text, SCRIPT_HOOK_TEXT_MAX);
    /* What a helper that trapped has left behind is dropped. */
    hooks->text.len = last ? last->argument_off + last->argument_len : 0;
    hooks->text.overflowed = false;
    return &hooks->text;
}

bool
script_hooks_add(struct script_hooks *hooks, const struct script *script, int64_t entry)
{
    const struct script_hook *last = hooks->count ? &hooks->list[hooks->count - 1] : NULL;
    uint32_t argument_off = last ? last->argument_off + last->argument_len : 0;
    if (hooks->count == SCRIPT_HOOKS_MAX || buf_overflowed(&hooks->text))
        return false;
    if (hooks->count == hooks->cap) {
        uint32_t cap = hooks->cap ? 2 * hooks->cap : 4;
        struct script_hook *list = realloc(hooks->list, cap * sizeof *list);
        if (!list)
            return false;
        hooks->list = list;
        hooks->cap = cap;
    }
    hooks->list[hooks->count++] = (struct script_hook){
        .script = script,
        .entry = entry,
        .argument_off = argument_off,
        .argument_len = (uint32_t)hooks->text.len - argument_off,
    };
    return true;
}
