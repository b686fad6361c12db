/* cpus: how many CPUs this process may really use.
 *
 * The smaller of the affinity mask and the CPU quota of its control groups, because a container
 * with a quota of two CPUs on a machine with 64 still sees 64. Reads files; call it at start.
 */
#ifndef TARN_SERVER_CPUS_H
#define TARN_SERVER_CPUS_H

/* At least 1. */
unsigned cpus_usable(void);

/* The smallest quota on the way from the process's control group up to the root, in whole CPUs,
 * rounded up; 0 when there is none. Control groups of version 2 (`cpu.max`) and 1
 * (`cpu.cfs_quota_us`) alike. `root` is "" for the real system, or a directory with its own
 * proc/self/cgroup and sys/fs/cgroup, for tests. */
unsigned cpus_quota(const char *root);

#endif
