#include "bpf/worker.h"

#include "base/must.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* All ends of a run that are not its own. What is said depends on the script alone, not on the
 * engine.
 */
enum { NS_PER_MS = 1000 * 1000 };

static _Noreturn void
end(struct bpf_run *run, enum bpf_trap_kind kind)
{
    must(run == bpf_run_current);
    run->trap_kind = kind;
    run->outcome = BPF_TRAPPED;
    bpf_fiber_end(&run->fiber);
}

static void say(struct bpf_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct bpf_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->trap_text, sizeof run->trap_text, format, args);
    va_end(args);
}

_Noreturn void
bpf_trap(struct bpf_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->trap_text, sizeof run->trap_text, format, args);
    va_end(args);
    end(run, BPF_TRAP_HELPER);
}

_Noreturn void
bpf_run_trap_calls(struct bpf_run *run)
{
    say(run, "more than %d functions open", BPF_FRAME_COUNT);
    end(run, BPF_TRAP_CALLS);
}

_Noreturn void
bpf_run_trap_unknown(struct bpf_run *run)
{
    say(run, "call of a helper that is not there");
    end(run, BPF_TRAP_UNKNOWN);
}

_Noreturn void
bpf_run_trap_cpu(struct bpf_run *run)
{
    const struct bpf_budget *budget = &run->pool->budget;
    if (budget->fuel)
        say(run, "used up its fuel");
    else
        say(run, "used up its CPU time of %" PRIu64 " ms", budget->cpu_limit_ns / NS_PER_MS);
    end(run, BPF_TRAP_CPU);
}

/* Why the `len` bytes at `addr` cannot be had. */
static const char *
reason(const struct bpf_run *run, int64_t addr, unsigned len, bool write)
{
    const struct bpf_cage *cage = &run->cage;
    int64_t ro_end = BPF_RO_BASE + (int64_t)bpf_page_up(run->program->object.layout.ro_len);
    if (addr >= 0 && addr < BPF_STACK_LOW)
        return "null page";
    if (addr >= BPF_STACK_LOW && addr < cage->stack_open)
        return "the system has no memory for the stack";
    if (addr >= cage->stack_open && addr + len > cage->args_open &&
        addr + len <= bpf_cage_args_end())
        return "the system has no memory for the arguments";
    if (write && addr >= BPF_RO_BASE && addr < ro_end)
        return "constants are read-only";
    return "outside of the script's memory";
}

_Noreturn void
bpf_run_trap_access(struct bpf_run *run, int64_t addr, unsigned len, bool write)
{
    uint64_t distance = addr < 0 ? 0 - (uint64_t)addr : (uint64_t)addr;
    say(run, "%s of %u byte%s at %s0x%" PRIx64 ": %s", write ? "write" : "read", len,
        len == 1 ? "" : "s", addr < 0 ? "-" : "", distance, reason(run, addr, len, write));
    end(run, BPF_TRAP_ACCESS);
}

struct bpf_trap_info
bpf_run_trap(const struct bpf_run *run)
{
    return (struct bpf_trap_info){
        .kind = run->trap_kind,
        .insn = run->insn,
        .text = run->trap_text,
    };
}

void
bpf_run_describe_trap(const struct bpf_run *run, char *out, size_t len)
{
    const struct bpf_object *object = &run->program->object;
    const struct bpf_section *section = bpf_object_section(object, run->insn);
    const struct bpf_line *line = bpf_object_line(object, run->insn);
    char place[BPF_TRAP_TEXT_MAX] = "";
    if (line)
        snprintf(place, sizeof place, " (%.*s:%" PRIu32 ")", STR_ARG(line->file), line->line);
    snprintf(out, len, "section %.*s failed at insn %" PRIu32 "%s: %s", STR_ARG(section->name),
             run->insn - section->first, place, run->trap_text);
}
