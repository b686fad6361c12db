/* zeroserve.h: the name under which scripts written for zeroserve include the script header of
 * tarn. All of it is in tarn.h.
 */
#ifndef ZEROSERVE_H
#define ZEROSERVE_H

#include <tarn.h>

#endif
