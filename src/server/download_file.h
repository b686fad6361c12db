/* download_file: where a download goes: a file that is there only when it is whole, standard
 * output, or a device.
 *
 * A file FILE is written as FILE.part, and renamed when it is complete. Beside that, FILE.part.from
 * says of which URL and which version (a strong entity tag) it is a part, so that another process
 * can go on with it. Both stay when a download breaks off. A lock on the part keeps a second
 * download of the same FILE out. Thread rule: the main thread's.
 */
#ifndef TARN_SERVER_DOWNLOAD_FILE_H
#define TARN_SERVER_DOWNLOAD_FILE_H

#include "base/buf.h"
#include "base/error.h"
#include "tls/digest.h"

struct download_file {
    int fd;
    char *target, *part, *from; /* heap; NULL: standard output, or what cannot be replaced */
    uint64_t len;               /* of the part */
    bool guards_terminal;       /* only text may go out */
    char last_byte;
    bool is_ours; /* the part is locked */
    bool complete;
};

/* `path` NULL: standard output, and when that is a terminal only text; "-": standard output. A
 * directory: a file in it with the last segment of the URL as its name. A link is kept: the file
 * that it stands for is replaced. `url` is valid. download_file_close also after a failure. */
int download_file_open(struct download_file *file, const char *path, struct str url,
                       struct error *error) MUST_USE;
/* Keeps an unfinished part unless it is empty. */
void download_file_close(struct download_file *file);

/* Whether something of this URL is there that can be gone on with; *etag is then its version. */
bool download_file_can_resume(const struct download_file *file, struct str url, struct buf *etag);
/* Feeds all that is there to the digest. */
int download_file_digest(const struct download_file *file, struct digest *digest,
                         struct error *error) MUST_USE;

/* What comes now is the whole of that version; an `etag` that is empty or weak makes a part that
 * cannot be gone on with. Forgets what was there. */
int download_file_restart(struct download_file *file, struct str url, struct str etag,
                          struct error *error) MUST_USE;
/* At the end of what is there. */
int download_file_write(struct download_file *file, struct str bytes, struct error *error) MUST_USE;

/* It is whole: gives the file its name, and makes it last. */
int download_file_commit(struct download_file *file, struct error *error) MUST_USE;
/* It is wrong: removes it. */
void download_file_discard(struct download_file *file);

#endif
