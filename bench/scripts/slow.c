/* /slow never ends; everything else is let through. */
#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    char path[16];
    zs_req_path(path, sizeof path);
    if (zs_strcmp(path, "/slow") == 0)
        for (volatile zs_u64 i = 0;; i++)
            ;
    return 0;
}
