/* Two headers on a static file. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    zs_meta_set(ZS_STR("zs.response.header.X-Frame-Options"), ZS_STR("DENY"));
    zs_meta_set(ZS_STR("zs.response.header.X-Request-Handled"), ZS_STR("yes"));
    return 0;
}
