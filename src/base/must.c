#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void
must_fail(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "tarn: bug: %s:%d: %s: '%s' does not hold\n", file, line, func, cond);
    abort();
}
