/* What is shared, as Prometheus text. */
#include "script/shared.h"

static uint64_t
load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
single(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    family(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* Names come from archives. What cannot stand in a label becomes '?'. */
static void
append_name(struct buf *out, struct str name)
{
    bool is_utf8 = str_is_utf8(name);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c == '"' || c == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : (char)c);
    }
}

static void
append_labelled(struct buf *out, const char *name, const struct script_counters *counters)
{
    buf_printf(out, "%s{script=\"", name);
    append_name(out, str_make(counters->name, counters->name_len));
    buf_append_char(out, '"');
}

/* One counter of each script; `offset` is where it lies. */
static void
render_counter(struct script_shared *shared, struct buf *out, const char *name, const char *help,
               size_t offset)
{
    family(out, name, "counter", help);
    for (const struct script_counters *at = atomic_load(&shared->counters); at; at = at->next) {
        const _Atomic uint64_t *counter =
            (const void *)((const char *)at + offset); /* of those in the struct */
        append_labelled(out, name, at);
        buf_printf(out, "} %llu\n", (unsigned long long)load(counter));
    }
}

static void
render_cpu(struct script_shared *shared, struct buf *out)
{
    const char *name = "tarn_script_cpu_seconds_total";
    family(out, name, "counter", "CPU time of runs that were long enough to be measured.");
    for (const struct script_counters *at = atomic_load(&shared->counters); at; at = at->next) {
        uint64_t us = load(&at->cpu_ns) / 1000;
        append_labelled(out, name, at);
        buf_printf(out, "} %llu.%06u\n", (unsigned long long)(us / 1000000),
                   (unsigned)(us % 1000000));
    }
}

/* Only kinds that have happened: most scripts have none. */
static void
render_errors(struct script_shared *shared, struct buf *out)
{
    static const char *const kinds[BPF_TRAP_COUNT] = {
        [BPF_TRAP_ACCESS] = "access", [BPF_TRAP_CALLS] = "calls",     [BPF_TRAP_HELPER] = "helper",
        [BPF_TRAP_CPU] = "cpu",       [BPF_TRAP_UNKNOWN] = "unknown",
    };
    const char *name = "tarn_script_errors_total";
    family(out, name, "counter", "Runs that were ended, by what.");
    for (const struct script_counters *at = atomic_load(&shared->counters); at; at = at->next)
        for (unsigned i = 0; i < BPF_TRAP_COUNT; i++) {
            uint64_t count = load(&at->traps[i]);
            if (count == 0)
                continue;
            append_labelled(out, name, at);
            buf_printf(out, ",kind=\"%s\"} %llu\n", kinds[i], (unsigned long long)count);
        }
}

static void
render_tables(struct script_shared *shared, struct buf *out)
{
    struct kv_stats stats = kv_stats(shared->kv);
    single(out, "tarn_kv_entries", "gauge", "Entries of the key-value store of scripts.",
           stats.count);
    single(out, "tarn_kv_bytes", "gauge", "Bytes that they take.", stats.used);
    single(out, "tarn_kv_bytes_max", "gauge", "Bytes that they may take.", stats.max);
    single(out, "tarn_kv_evictions_total", "counter",
           "Entries that went for others before they had expired.", stats.evictions);
    single(out, "tarn_rate_limit_keys", "gauge", "Keys of rate limits that are held.",
           rate_limit_key_count(shared->rate_limit));
    single(out, "tarn_rate_limit_keys_max", "gauge", "Keys of rate limits that may be held.",
           shared->config.rate_buckets_max);
}

void
script_render_metrics(struct script_shared *shared, struct buf *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"tarn_script_runs_total", "Runs of scripts that have ended.",
         offsetof(struct script_counters, runs)},
        {"tarn_script_yields_total", "Times that a script gave way to others.",
         offsetof(struct script_counters, yields)},
        {"tarn_script_throttles_total", "Times that a script had to pause.",
         offsetof(struct script_counters, throttles)},
        {"tarn_script_log_lines_total", "Lines that scripts have logged.",
         offsetof(struct script_counters, log_lines)},
    };
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        render_counter(shared, out, counters[i].name, counters[i].help, counters[i].offset);
    render_errors(shared, out);
    render_cpu(shared, out);
    render_tables(shared, out);
}
