/* The helper that verifies JSON Web Tokens. */
#include "script/helpers.h"
#include "script/jwt.h"
#include "script/task.h"

#include <time.h>

/* A handle of the claims, or -1: for whatever reason the token is not to be believed. */
SCRIPT_HELPER(zs_jwt_verify)
{
    char claims[JWT_CLAIMS_MAX];
    size_t len;
    struct str token = bpf_view(run, r1, r2), keys = bpf_view(run, r3, r4);
    if (jwt_verify(token, keys, time(NULL), claims, &len) != JWT_OK)
        return (uint64_t)-1;
    return (uint64_t)script_json_parse(script_frame_of(run), str_make(claims, len));
}
