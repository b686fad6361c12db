#include "bpf/cage.h"

#include "base/limits.h"
#include "base/must.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* A reservation is one mapping without access rights, in which what a script may reach is then
 * opened or mapped over. The kernel keeps up to 8 areas for it: four that are open (native stack
 * and run; script stack and arguments; constants; data) and what is closed between them. That, not
 * memory, bounds how many slots a process can have (BPF_SLOTS_MAX).
 *
 * Short data is copied anew for each run. Long data is a private mapping of the image file, so that
 * giving its pages back makes them new again, and a run pays for those that it touched. Measured on
 * a virtual machine: 64 KiB are copied in 1.2 us and 1 MiB in 22 us; giving back takes 0.6 us, and
 * each page that is touched again 1.2 us. BPF_DATA_COPY_MAX is where the two meet when a run
 * touches a page or two, and what an idle or waiting slot may hold in memory that it never needed.
 */
enum {
    LOW_LEN = BPF_CAGE_GUARD + BPF_NATIVE_STACK_LEN + BPF_RUN_BACK, /* below the base */
    OPEN_AT_FIRST = BPF_STACK_TOP - BPF_FRAME_LEN,
};
static_assert(BPF_ARGS == BPF_STACK_TOP, "one area");
static_assert(BPF_MEMORY_MAX <= BPF_CAGE_SMALL_LEN, "a script's data is in any cage");

/* --- length --- */

/* Address space in one piece that says that there is enough: with 39 bits (512 GiB in all), or a
 * limit, cages of 4 GiB would soon use up what there is. */
#define ENOUGH ((uint64_t)1 << 39)

_Atomic uint64_t bpf_cage_len_decided;

static bool
is_limited(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           limit.rlim_cur < (rlim_t)BPF_SLOTS_MAX * BPF_CAGE_LEN;
}

static void *
reserve(uint64_t len)
{
    void *memory = MAP_FAILED;
    if (len <= SIZE_MAX)
        memory =
            mmap(NULL, (size_t)len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory;
}

static bool
has_enough(void)
{
    if (is_limited())
        return false;
    void *memory = reserve(ENOUGH);
    return memory != MAP_FAILED && munmap(memory, (size_t)ENOUGH) == 0;
}

/* Two threads may both look; the first one's answer is everybody's. */
uint64_t
bpf_cage_len_decide(void)
{
    uint64_t undecided = 0, len = has_enough() ? BPF_CAGE_LEN : BPF_CAGE_SMALL_LEN;
    bool first = atomic_compare_exchange_strong(&bpf_cage_len_decided, &undecided, len);
    return first ? len : undecided;
}

void
bpf_cage_set_small(void)
{
    atomic_store(&bpf_cage_len_decided, BPF_CAGE_SMALL_LEN);
}

/* --- image --- */

static uint32_t
data_span(const struct bpf_layout *layout)
{
    return bpf_layout_end(layout) - layout->data_off;
}

static bool
is_data_mapped(const struct bpf_layout *layout)
{
    return data_span(layout) > BPF_DATA_COPY_MAX;
}

static uint32_t
image_data_len(const struct bpf_layout *layout)
{
    return is_data_mapped(layout) ? layout->data_len : 0;
}

static int
write_all(int fd, const char *bytes, size_t len, off_t at)
{
    while (len) {
        ssize_t written = pwrite(fd, bytes, len, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        bytes += written;
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

static int
fill_image(int fd, const struct bpf_layout *layout, const char *ro, const char *data)
{
    uint32_t ro_pages = bpf_page_up(layout->ro_len), data_len = image_data_len(layout);
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (ftruncate(fd, (off_t)ro_pages + bpf_page_up(data_len)) < 0 ||
        write_all(fd, ro, layout->ro_len, 0) < 0 || write_all(fd, data, data_len, ro_pages) < 0)
        return -1;
    return fcntl(fd, F_ADD_SEALS, seals);
}

int
bpf_cage_image_new(int *fd, const struct bpf_layout *layout, const char *ro, const char *data,
                   struct error *error)
{
    *fd = -1;
    if (layout->ro_len == 0 && image_data_len(layout) == 0)
        return 0;
    int file = memfd_create("tarn-script", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return error_set_errno(error, errno, "cannot make a memory file for a script's data");
    if (fill_image(file, layout, ro, data) < 0) {
        int code = errno;
        close(file);
        return error_set_errno(error, code, "cannot fill the memory file of a script's data");
    }
    *fd = file;
    return 0;
}

/* --- mapping --- */

static uint64_t
reservation_len(void)
{
    return LOW_LEN + bpf_cage_len() + BPF_CAGE_GUARD;
}

static uint32_t
page_down(uint32_t addr)
{
    uint32_t up = bpf_page_up(addr);
    return up == addr ? addr : up - bpf_page_up(1);
}

/* The first page with nothing but arguments. */
static uint32_t
args_page(void)
{
    return bpf_page_up(BPF_ARGS);
}

/* Makes [from, to) readable and writable; offsets from the base. */
static int
open_area(char *base, int64_t from, int64_t to)
{
    if (from == to)
        return 0;
    return mprotect(base + from, (size_t)(to - from), PROT_READ | PROT_WRITE);
}

static int
map_image(char *to, uint32_t len, int access, int image, uint32_t from)
{
    if (len == 0)
        return 0;
    void *mapped = mmap(to, bpf_page_up(len), access, MAP_PRIVATE | MAP_FIXED, image, (off_t)from);
    return mapped == MAP_FAILED ? -1 : 0;
}

static int
map_data(char *base, const struct bpf_layout *layout, int image)
{
    uint32_t end = layout->data_off + bpf_page_up(data_span(layout));
    if (open_area(base, layout->data_off, end) < 0)
        return -1;
    return map_image(base + layout->data_off, image_data_len(layout), PROT_READ | PROT_WRITE, image,
                     bpf_page_up(layout->ro_len));
}

static int
map_areas(char *base, const struct bpf_layout *layout, int image)
{
    int64_t native_low = -(int64_t)(BPF_RUN_BACK + BPF_NATIVE_STACK_LEN);
    if (open_area(base, native_low, -(int64_t)BPF_CAGE_GUARD) < 0 ||
        open_area(base, page_down(OPEN_AT_FIRST), args_page()) < 0 ||
        map_image(base + BPF_RO_BASE, layout->ro_len, PROT_READ, image, 0) < 0)
        return -1;
    return map_data(base, layout, image);
}

int
bpf_cage_map(struct bpf_cage *cage, const struct bpf_layout *layout, const char *data, int image)
{
    char *reservation = reserve(reservation_len());
    if (reservation == MAP_FAILED)
        return -1;
    cage->base = reservation + LOW_LEN;
    cage->stack_open = page_down(OPEN_AT_FIRST);
    cage->args_open = args_page();
    if (map_areas(cage->base, layout, image) < 0) {
        int code = errno;
        bpf_cage_unmap(cage);
        errno = code;
        return -1;
    }
    if (!is_data_mapped(layout) && layout->data_len)
        memcpy(cage->base + layout->data_off, data, layout->data_len);
    return 0;
}

void
bpf_cage_unmap(struct bpf_cage *cage)
{
    must(munmap(cage->base - LOW_LEN, (size_t)reservation_len()) == 0);
}

bool
bpf_cage_open_stack(struct bpf_cage *cage, uint32_t addr)
{
    uint32_t low = page_down(addr);
    if (open_area(cage->base, low, cage->stack_open) < 0)
        return false;
    cage->stack_open = low;
    return true;
}

bool
bpf_cage_open_args(struct bpf_cage *cage)
{
    uint32_t end = bpf_cage_args_end();
    if (open_area(cage->base, cage->args_open, end) < 0)
        return false;
    cage->args_open = end;
    return true;
}

/* --- cleaning --- */

static void
copy_data(char *to, const struct bpf_layout *layout, const char *data)
{
    uint32_t data_len = layout->data_len, mapped = bpf_page_up(data_span(layout));
    if (data_len)
        memcpy(to, data, data_len);
    memset(to + data_len, 0, mapped - data_len);
}

void
bpf_cage_reset_data(struct bpf_cage *cage, const struct bpf_layout *layout, const char *data)
{
    char *to = cage->base + layout->data_off;
    uint32_t span = data_span(layout);
    if (span == 0)
        return;
    /* Memory that is locked cannot be given back. */
    if (is_data_mapped(layout) && madvise(to, bpf_page_up(span), MADV_DONTNEED) == 0)
        return;
    copy_data(to, layout, data);
}
