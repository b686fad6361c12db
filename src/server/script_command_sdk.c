#include "base/log.h"
#include "script/sdk.h"
#include "server/script_command.h"

#include <stdio.h>

int
script_command_sdk(const struct options *options)
{
    struct str header = options->sdk_zeroserve ? script_sdk_zeroserve() : script_sdk_tarn();
    if (fwrite(header.ptr, 1, header.len, stdout) == header.len && fflush(stdout) == 0)
        return 0;
    log_error("sdk: cannot write to standard output");
    return 1;
}
