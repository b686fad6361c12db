#include "server/cpus.h"

#include "base/str.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* /proc/self/cgroup names the groups of this process, one line for each hierarchy:
 *
 *     0::/system.slice/tarn.service        version 2, mounted at /sys/fs/cgroup
 *     4:cpu,cpuacct:/docker/0123           version 1, mounted at /sys/fs/cgroup/cpu,cpuacct or
 *                                          /sys/fs/cgroup/cpu
 *
 * A limit of a parent holds for its children, so every level counts up to the mount point. In a
 * container the path may name a group outside of what is mounted; then the levels are missing until
 * the mount point itself, which is the container's own group. Missing files are no limit. */

/* A /proc or control file is read in one go; what does not fit is not one we understand. */
enum { FILE_TEXT_MAX = 8192 };

static struct str
read_file(const char *path, char text[FILE_TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return (struct str){0};
    size_t len = 0;
    while (len < FILE_TEXT_MAX) {
        ssize_t got = read(fd, text + len, FILE_TEXT_MAX - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    return str_make(text, len);
}

/* quota / period in whole CPUs, rounded up; 0 when either is not a positive number ("max", -1). */
static unsigned
quota_cpus(struct str quota, struct str period)
{
    uint64_t quota_us, period_us;
    if (!str_to_u64(quota, &quota_us) || !str_to_u64(period, &period_us))
        return 0;
    if (quota_us == 0 || period_us == 0)
        return 0;
    uint64_t cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

static struct str
first_line(struct str text)
{
    return str_cut(&text, '\n');
}

static unsigned
read_quota_v2(const char *group)
{
    char path[PATH_MAX], text[FILE_TEXT_MAX];
    if (snprintf(path, sizeof path, "%s/cpu.max", group) >= (int)sizeof path)
        return 0;
    struct str line = first_line(read_file(path, text));
    struct str quota = str_cut(&line, ' ');
    return quota_cpus(quota, line);
}

static unsigned
read_quota_v1(const char *group)
{
    char path[PATH_MAX], quota[FILE_TEXT_MAX], period[FILE_TEXT_MAX];
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group) >= (int)sizeof path)
        return 0;
    struct str period_us = first_line(read_file(path, period));
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    return quota_cpus(first_line(read_file(path, quota)), period_us);
}

static unsigned
smaller_limit(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a ? a : b;
    return a < b ? a : b;
}

/* The smallest quota from mount/group up to mount. */
static unsigned
walk_up(const char *mount, struct str group, unsigned (*read_quota)(const char *))
{
    char path[PATH_MAX];
    unsigned limit = 0;
    /* With control group namespaces the path may climb out of the mount; only the mount is ours. */
    if (!str_starts_with(group, STR("/")) || str_find(group, STR("/..")) < group.len)
        group = (struct str){0};
    for (;;) {
        while (group.len && group.ptr[group.len - 1] == '/')
            group.len--;
        int len = snprintf(path, sizeof path, "%s%.*s", mount, STR_ARG(group));
        if (len < (int)sizeof path)
            limit = smaller_limit(limit, read_quota(path));
        if (group.len == 0)
            return limit;
        group = str_first(group, str_find_last_char(group, '/'));
    }
}

static bool
names_cpu(struct str controllers)
{
    while (controllers.len)
        if (str_eq(str_cut(&controllers, ','), STR("cpu")))
            return true;
    return false;
}

/* The quota of one line of /proc/self/cgroup. */
static unsigned
line_quota(const char *root, struct str line)
{
    char mount[PATH_MAX];
    str_cut(&line, ':');
    struct str controllers = str_cut(&line, ':');
    struct str group = line;
    if (controllers.len == 0) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return walk_up(mount, group, read_quota_v2);
    }
    if (!names_cpu(controllers))
        return 0;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%.*s", root, STR_ARG(controllers));
    if (access(mount, F_OK) != 0)
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
    return walk_up(mount, group, read_quota_v1);
}

unsigned
cpus_quota(const char *root)
{
    char path[PATH_MAX], text[FILE_TEXT_MAX];
    unsigned limit = 0;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return 0;
    struct str lines = read_file(path, text);
    while (lines.len)
        limit = smaller_limit(limit, line_quota(root, str_cut(&lines, '\n')));
    return limit;
}

/* 0 when the kernel does not say. A mask larger than cpu_set_t would fail; sizes double until the
 * kernel's fits. */
static unsigned
affinity_count(void)
{
    for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t len = CPU_ALLOC_SIZE((size_t)cpus);
        if (!set)
            return 0;
        int result = sched_getaffinity(0, len, set);
        unsigned count = result == 0 ? (unsigned)CPU_COUNT_S(len, set) : 0;
        CPU_FREE(set);
        if (count)
            return count;
    }
    return 0;
}

unsigned
cpus_usable(void)
{
    unsigned limit = smaller_limit(affinity_count(), cpus_quota(""));
    return limit ? limit : 1;
}
