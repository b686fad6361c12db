#include "site/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* since Linux 6.3, younger than Debian 12's headers */
#endif

int
memory_file_open(struct error *error)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    /* Where vm.memfd_noexec is 2 the plain call is refused; older kernels do not know the flag. */
    int fd = memfd_create("tarn", flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("tarn", flags);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot make a memory file");
    return fd;
}

int
memory_file_seal(int fd, struct error *error)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return error_set_errno(error, errno, "cannot seal the memory file");
    return 0;
}

const char *
memory_file_map(int fd, uint64_t len, struct error *error)
{
    /* Private, since kernels before 6.7 refuse a shared mapping of a sealed file; without a write
     * it shows the very pages of the file all the same. */
    void *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) {
        error_set_errno(error, errno, "cannot map the memory file");
        return NULL;
    }
    return map;
}
