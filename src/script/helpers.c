#include "script/helpers.h"

static const struct bpf_helper rows[] = {
#define X(name, argument_count) {#name, name},
    SCRIPT_HELPER_TABLE(X)
#undef X
        {"memcpy", zs_memcpy},
    {"memset", zs_memset},
};

static const unsigned char argument_counts[] = {
#define X(name, argument_count) argument_count,
    SCRIPT_HELPER_TABLE(X)
#undef X
        3,
    3,
};

const struct bpf_helper_table script_helpers = {rows, sizeof rows / sizeof *rows};

unsigned
script_helper_argument_count(uint32_t number)
{
    return argument_counts[number];
}
