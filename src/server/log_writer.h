/* log_writer: lines from many workers to one descriptor, without ever making a worker wait.
 *
 * Each worker puts lines into a ring of its own; one thread takes them out and writes. A ring that
 * is full because the disk is full or the reader slow loses the line and counts it. The ring is a
 * single-producer single-consumer queue: the worker moves `head`, the writer `tail`, each reads the
 * other's with acquire order. Lines of one worker keep their order; lines are never cut by a drop.
 *
 * Bounds: LOG_RING_LEN bytes a ring. Thread rule: log_ring_* by the ring's worker, the rest by the
 * main thread.
 */
#ifndef TARN_SERVER_LOG_WRITER_H
#define TARN_SERVER_LOG_WRITER_H

#include "base/error.h"
#include "base/str.h"

struct log_writer;
struct log_ring;

/* Starts a writer for a descriptor (borrowed: standard error) or, with path, for a file that is
 * opened for appending. */
int log_writer_new(struct log_writer **out, const char *path, int fd, struct error *error) MUST_USE;

/* A ring for one more worker; NULL without memory. Before the worker starts. Owned by the writer.
 */
struct log_ring *log_writer_add_ring(struct log_writer *writer);

/* Opens the path anew, so that a renamed file can be let go. The old one stays when that fails. */
int log_writer_reopen(struct log_writer *writer, struct error *error) MUST_USE;

uint64_t log_writer_dropped(const struct log_writer *writer);

/* Writes what is still there, waiting at most a second for a slow reader, and ends the thread;
 * lines put later are lost. False: it still hangs in a write. Rings may still be in use. */
bool log_writer_stop(struct log_writer *writer);

/* Stops it and frees all. No worker
 * may use its ring any more. NULL is harmless. */
void log_writer_free(struct log_writer *writer);

/* Puts a line (with its newline). False: dropped. */
bool log_ring_put(struct log_ring *ring, struct str line);
/* Wakes the writer when there is something new; once a turn. */
void log_ring_flush(struct log_ring *ring);

#endif
