/* page_store: memory that is filled once while a site is loaded, and only read from then on.
 *
 * Private anonymous memory, not a file: its pages can be lent to a socket (vmsplice(2)) at half the
 * cost of sending pages of a memory file. A page that was lent is read by the network until the
 * peer has it, so none is written again after page_store_seal, which makes the kernel see to that.
 * Freeing while pages are lent is fine: whoever borrowed them keeps them.
 *
 * Places do not move. What has 4096 bytes or more begins on a page, smaller things at 16 bytes.
 * Thread rule: one thread until sealed, then any. Bounds: the caller's.
 */
#ifndef TARN_SITE_PAGE_STORE_H
#define TARN_SITE_PAGE_STORE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct page_run {
    char *base; /* NULL: nothing of it is left */
    size_t len, used;
};

/* Empty when zeroed. */
struct page_store {
    struct page_run *runs; /* heap */
    unsigned count;
};

/* Unmaps everything; harmless twice. */
void page_store_deinit(struct page_store *store);

/* Where something of `len` bytes ends that is kept next behind `end`, counted from the start of a
 * run: to add up what page_store_expect is to be told. */
uint64_t page_store_end(uint64_t end, uint64_t len);

/* Says that `len` bytes, with all padding, will be kept next. Nothing has to be said, but then
 * there are no huge pages, and nothing has to come true, but what stays empty in front of the last
 * byte kept may cost memory. -1 when there is no room in the address space. */
int page_store_expect(struct page_store *store, uint64_t len, struct error *error) MUST_USE;

/* A place for `len` bytes (more than 0) at the end, to be written and then kept; what is not kept
 * is given away again by the next reserve. NULL and a reason when there is no memory. */
char *page_store_reserve(struct page_store *store, uint64_t len, struct error *error) MUST_USE;
void page_store_keep(struct page_store *store, const char *place, uint64_t len);

/* Gives back what was not filled and makes the rest read-only. */
int page_store_seal(struct page_store *store, struct error *error) MUST_USE;

#endif
