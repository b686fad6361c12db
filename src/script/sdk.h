/* sdk: the script headers, tarn.h and zeroserve.h, as they were when the program was built.
 *
 * `tarn sdk` prints them, and scripts are compiled with them. Constant.
 */
#ifndef TARN_SCRIPT_SDK_H
#define TARN_SCRIPT_SDK_H

#include "base/str.h"

/* tarn.h, which stands alone. */
struct str script_sdk_tarn(void);
/* zeroserve.h, which includes it. */
struct str script_sdk_zeroserve(void);

#endif
