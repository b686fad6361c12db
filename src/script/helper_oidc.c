/* Helpers: logins by OpenID Connect. This version has no client for them: whoever asks for one gets
 * 501, so that a site that is behind a login is not open without it. */
#include "script/helpers.h"
#include "script/task.h"

#include <stdio.h>

static uint64_t
refuse(struct bpf_run *run, const char *helper)
{
    char text[SCRIPT_LOG_LEN];
    struct script_frame *frame = script_frame_of(run);
    script_want_request(frame, helper);
    int len =
        snprintf(text, sizeof text, "%s: this version has no OpenID Connect; answered 501", helper);
    if (!script_answer_respond(&frame->task->answer, 501, STR("text/plain; charset=utf-8"),
                               STR("501 Not Implemented\n")))
        bpf_trap(run, "%s: no memory", helper);
    script_log_line(frame, str_make(text, (size_t)len));
    return (uint64_t)-1;
}

SCRIPT_HELPER(zs_oidc_begin_login)
{
    return refuse(run, "zs_oidc_begin_login");
}

SCRIPT_HELPER(zs_oidc_handle_callback)
{
    return refuse(run, "zs_oidc_handle_callback");
}

SCRIPT_HELPER(zs_oidc_session_verify)
{
    return refuse(run, "zs_oidc_session_verify");
}

SCRIPT_HELPER(zs_oidc_logout)
{
    return refuse(run, "zs_oidc_logout");
}
