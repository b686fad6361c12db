#include <tarn.h>

ZS_ENTRY
zs_u64
entry(void)
{
    return 0;
}
