/* wait: how a helper waits for something without blocking the loop. Not for other folders.
 *
 * A helper that has to wait starts what it waits for, puts a struct script_wait into the task, and
 * calls script_wait, which comes back when somebody on the worker's thread has called
 * script_wait_done. The helper may never go on, also after that: the client leaves, the script is
 * stopped. Then `cancel` is called, and neither the helper nor its stack is seen again. So a struct
 * script_wait must not lie on the helper's stack unless cancel makes sure that nobody touches it
 * any more; a heap object that cancel frees is the usual way.
 */
#ifndef TARN_SCRIPT_WAIT_H
#define TARN_SCRIPT_WAIT_H

#include "script/task.h"

struct script_wait {
    void (*cancel)(struct script_wait *wait); /* the script will not go on */
};

/* From within a helper of `frame`. */
void script_wait(struct script_frame *frame, struct script_wait *wait);
/* The helper goes on, soon, in a later turn of the loop. Harmless when it goes on already. */
void script_wait_done(struct script_task *task);

#endif
