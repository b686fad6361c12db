#include "server/script_check.h"

/* Nothing runs here: only what loading looks at is of matter. */
static int
make_shared(struct script_check *check, struct error *error)
{
    const struct script_config config = {
        .slice_ns = 1000 * 1000,
        .engine = BPF_ENGINE_INTERP,
        .rate_buckets_max = 1,
        .kv_max = 64 << 10,
    };
    return check->shared ? 0 : script_shared_new(&check->shared, &config, error);
}

int
script_check_object(struct script_check *check, const struct script_source *source,
                    struct error *error)
{
    struct script_set *set;
    if (make_shared(check, error) < 0 || script_set_new(&set, check->shared, source, 1, error) < 0)
        return -1;
    script_set_unref(set);
    return 0;
}

void
script_check_deinit(struct script_check *check)
{
    if (check->shared)
        script_shared_free(check->shared);
    check->shared = NULL;
}
