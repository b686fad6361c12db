#include "conn/h2_flood.h"

#include "base/must.h"

enum { SECOND_NS = 1000000000 };

static const struct {
    const char *name;
    uint32_t burst, per_second;
} kinds[] = {
#define X(name, text, burst, per_second) {text, burst, per_second},
    H2_FLOOD_TABLE(X)
#undef X
};

const char *
h2_flood_name(enum h2_flood_kind kind)
{
    must(kind < H2_FLOOD_KIND_COUNT);
    return kinds[kind].name;
}

bool
h2_flood_allows(struct h2_flood *flood, enum h2_flood_kind kind, uint64_t now_ns)
{
    must(kinds[kind].per_second > 0);
    uint64_t each_ns = SECOND_NS / kinds[kind].per_second;
    uint64_t full_ns = flood->full_ns[kind] > now_ns ? flood->full_ns[kind] : now_ns;
    if (full_ns - now_ns > (kinds[kind].burst - 1) * each_ns)
        return false;
    flood->full_ns[kind] = full_ns + each_ns;
    return true;
}

void
h2_flood_credit(struct h2_flood *flood, enum h2_flood_kind kind, unsigned count)
{
    uint64_t back_ns = count * (SECOND_NS / (uint64_t)kinds[kind].per_second);
    uint64_t *full_ns = &flood->full_ns[kind];
    *full_ns = *full_ns > back_ns ? *full_ns - back_ns : 0;
}
