/* The assembler takes the files in as they are; the Makefile knows that this object depends on
 * them. Paths are from where make runs. */
#include "script/sdk.h"

#define EMBED(symbol, path)                                             \
    __asm__(".pushsection .rodata\n" #symbol ": .incbin \"" path "\"\n" \
            "1: .balign 8\n" #symbol "_len: .quad 1b - " #symbol "\n"   \
            ".popsection");                                             \
    extern const char symbol[] __attribute__((visibility("hidden")));   \
    extern const uint64_t symbol##_len __attribute__((visibility("hidden")))

EMBED(sdk_tarn_h, "sdk/tarn.h");
EMBED(sdk_zeroserve_h, "sdk/zeroserve.h");

struct str
script_sdk_tarn(void)
{
    return str_make(sdk_tarn_h, sdk_tarn_h_len);
}

struct str
script_sdk_zeroserve(void)
{
    return str_make(sdk_zeroserve_h, sdk_zeroserve_h_len);
}
