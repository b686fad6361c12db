/* The assembler takes the files in as they are; the Makefile knows that this object depends on
 * them. */
#include "script/sdk.h"

#define EMBED(symbol, path)                                                                \
    __asm__(".pushsection .rodata\n"           /* two labels around the file, and a NUL */ \
            #symbol ": .incbin \"" path "\"\n" /* from where make runs */                  \
            #symbol "_end: .byte 0\n"                                                      \
            ".popsection");                                                                \
    extern const char symbol[] __attribute__((visibility("hidden")));                      \
    extern const char symbol##_end[] __attribute__((visibility("hidden")))

EMBED(sdk_tarn_h, "sdk/tarn.h");
EMBED(sdk_zeroserve_h, "sdk/zeroserve.h");

struct str
script_sdk_tarn(void)
{
    return str_make(sdk_tarn_h, (size_t)(sdk_tarn_h_end - sdk_tarn_h));
}

struct str
script_sdk_zeroserve(void)
{
    return str_make(sdk_zeroserve_h, (size_t)(sdk_zeroserve_h_end - sdk_zeroserve_h));
}
