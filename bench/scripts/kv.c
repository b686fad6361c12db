/* Counts, and answers with the count modulo ten, so that all answers are of one length. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    char text[2];
    zs_s64 count = zs_kv_incr(ZS_STR("hits"), 1, 0);
    text[0] = (char)('0' + (zs_u64)count % 10);
    text[1] = '\n';
    zs_meta_set(ZS_STR("zs.response.header.Content-Type"), ZS_STR("text/plain"));
    zs_respond(200, text, sizeof text);
    return 0;
}
