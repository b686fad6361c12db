/* Helpers for base64 and hexadecimal. With out_len 0, the encoders say how much they need. */
#include "base/base64.h"
#include "base/hex.h"
#include "script/helpers.h"
#include "script/task.h"

/* Where an encoder writes to; traps when it needs more than there is. */
static char *
encoder_output(struct bpf_run *run, uint64_t out, uint64_t out_len, uint64_t needed_len,
               struct str data, const char *helper)
{
    if (out_len < needed_len)
        bpf_trap(run, "%s: out_len is %llu, expected at least %llu", helper,
                 (unsigned long long)out_len, (unsigned long long)needed_len);
    char *to = bpf_view_writable(run, out, out_len);
    bpf_views_apart(run, to, out_len, data.ptr, data.len);
    return to;
}

SCRIPT_HELPER(zs_base64_encode)
{
    if (r5 >= BASE64_FORM_COUNT)
        bpf_trap(run, "zs_base64_encode: encoding is %llu, expected 0 to %d",
                 (unsigned long long)r5, BASE64_FORM_COUNT - 1);
    enum base64_form form = (enum base64_form)r5;
    struct str data = bpf_view(run, r1, r2);
    uint64_t len = base64_encoded_len(form, data.len);
    if (r4 == 0)
        return len;
    base64_encode(form, data, encoder_output(run, r3, r4, len, data, "zs_base64_encode"));
    return len;
}

SCRIPT_HELPER(zs_base64_decode_in_place)
{
    size_t len;
    char *text = bpf_view_writable(run, r1, r2);
    if (r2 == 0)
        return 0;
    if (r3 >= BASE64_FORM_COUNT)
        return (uint64_t)-1;
    enum base64_form form = (enum base64_form)r3;
    if (!base64_decoded_len(form, str_make(text, r2), &len) ||
        !base64_decode_form(form, str_make(text, r2), text))
        return (uint64_t)-1;
    return len;
}

SCRIPT_HELPER(zs_hex_encode)
{
    struct str data = bpf_view(run, r1, r2);
    uint64_t len = 2 * (uint64_t)data.len;
    if (r4 == 0)
        return len;
    if (r5 > 1)
        bpf_trap(run, "zs_hex_encode: case is %llu, expected 0 or 1", (unsigned long long)r5);
    hex_encode(data, r5 == 1, encoder_output(run, r3, r4, len, data, "zs_hex_encode"));
    return len;
}

SCRIPT_HELPER(zs_hex_decode_in_place)
{
    char *text = bpf_view_writable(run, r1, r2);
    if (r2 % 2)
        return (uint64_t)-1;
    for (size_t i = 0; i < r2 / 2; i++) {
        int byte = hex_byte(str_make(text + 2 * i, 2));
        if (byte < 0)
            return (uint64_t)-1;
        text[i] = (char)byte;
    }
    return r2 / 2;
}
