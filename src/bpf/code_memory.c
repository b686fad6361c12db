/* Executable memory that is never writable while it is executable.
 *
 *     guard page | code, filled up with int3 | guard page
 *
 * The usual way is a private mapping that is written, then made executable. Hardened systems refuse
 * that (SELinux's execmem, PR_SET_MDWE, systemd's MemoryDenyWriteExecute): there the code goes into
 * a memory file, which is sealed against changes and then mapped executable.
 */
#include "bpf/jit.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC /* Linux 6.3 */
#define MFD_EXEC 0x10u
#endif

enum { INT3 = 0xcc };

static uint64_t
page_len(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The middle of the mapping. */
static uint64_t
text_len(const struct bpf_code *code)
{
    return code->map_len - 2 * page_len();
}

/* Reserves the guards with what is between; nothing can be accessed yet. Errno or 0. */
static int
reserve(struct bpf_code *code, uint64_t len)
{
    uint64_t page = page_len();
    code->map_len = (len + page - 1) / page * page + 2 * page;
    char *map = mmap(NULL, code->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return errno;
    code->text = map + page;
    code->len = len;
    return 0;
}

static int
write_in_place(struct bpf_code *code, const char *bytes)
{
    if (mprotect(code->text, text_len(code), PROT_READ | PROT_WRITE) < 0)
        return errno;
    memcpy(code->text, bytes, code->len);
    memset(code->text + code->len, INT3, text_len(code) - code->len);
    return mprotect(code->text, text_len(code), PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

static int
memory_file(void)
{
    int fd = memfd_create("tarn script", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("tarn script", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

static int
fill_file(int fd, const struct bpf_code *code, const char *bytes)
{
    uint64_t len = text_len(code);
    if (ftruncate(fd, (off_t)len) < 0)
        return errno;
    char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return errno;
    memcpy(map, bytes, code->len);
    memset(map + code->len, INT3, len - code->len);
    munmap(map, len);
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? errno : 0;
}

static int
map_file(struct bpf_code *code, const char *bytes)
{
    int fd = memory_file();
    if (fd < 0)
        return errno;
    int result = fill_file(fd, code, bytes);
    if (result == 0 && mmap(code->text, text_len(code), PROT_READ | PROT_EXEC,
                            MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        result = errno;
    close(fd);
    return result;
}

int
bpf_code_map(struct bpf_code *code, const char *bytes, uint64_t len, struct error *error)
{
    must(len > 0);
    *code = (struct bpf_code){0};
    int result = reserve(code, len);
    if (result != 0) {
        *code = (struct bpf_code){0};
        return error_set_errno(error, result, "cannot map %llu bytes of machine code",
                               (unsigned long long)len);
    }
    result = write_in_place(code, bytes);
    if (result == EACCES || result == EPERM)
        result = map_file(code, bytes);
    if (result != 0) {
        bpf_code_deinit(code);
        return error_set_errno(error, result, "the system gives no executable memory");
    }
    return 0;
}

void
bpf_code_deinit(struct bpf_code *code)
{
    if (code->text)
        munmap(code->text - page_len(), code->map_len);
    free(code->starts);
    *code = (struct bpf_code){0};
}

/* The last one that starts at or before it: of several at one place, those before have no code. */
int64_t
bpf_code_insn(const struct bpf_code *code, uint32_t insn_count, uint64_t address)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)code->text;
    if (code->len == 0 || offset < code->starts[0] || offset >= code->starts[insn_count])
        return -1;
    uint32_t low = 0, high = insn_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (code->starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}
