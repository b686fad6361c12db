#include "site/memory_file.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* since Linux 6.3, younger than Debian 12's headers */
#endif

int
memory_file_open(struct error *error)
{
    /* Where vm.memfd_noexec is 2 the plain call is refused; older kernels do not know the flag. */
    int fd = memfd_create("tarn", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("tarn", MFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot make a memory file");
    return fd;
}
