#include "server/cpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ftw.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

/* Writes a file below the fake root, with the folders it needs. */
static void
put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int
make_root(void **state)
{
    strcpy(root, "/tmp/cpus_test_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

static int
remove_root(void **state)
{
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
test_nothing_known_is_no_limit(void **state)
{
    assert_int_equal(cpus_quota(root), 0);
    put("proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(cpus_quota(root), 0);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpus_quota(root), 0);
}

static void
test_version_2_takes_the_smallest_level(void **state)
{
    put("proc/self/cgroup", "0::/a/b/c\n");
    put("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    assert_int_equal(cpus_quota(root), 8);
    put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    assert_int_equal(cpus_quota(root), 3);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpus_quota(root), 3);
    put("sys/fs/cgroup/cpu.max", "1000 100000\n");
    assert_int_equal(cpus_quota(root), 1);
}

static void
test_a_whole_number_is_not_rounded_up(void **state)
{
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(cpus_quota(root), 2);
    put("sys/fs/cgroup/cpu.max", "200001 100000\n");
    assert_int_equal(cpus_quota(root), 3);
}

static void
test_a_group_outside_of_the_mount_uses_the_mount(void **state)
{
    put("proc/self/cgroup", "0::/../../other\n");
    put("sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("other/cpu.max", "100000 100000\n");
    assert_int_equal(cpus_quota(root), 4);
    put("proc/self/cgroup", "0::/docker/not-mounted-here\n");
    assert_int_equal(cpus_quota(root), 4);
}

static void
test_version_1_reads_quota_and_period(void **state)
{
    put("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/s\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_quota(root), 2);
}

static void
test_version_1_may_be_mounted_as_cpu(void **state)
{
    put("proc/self/cgroup", "4:cpuacct,cpu:/\n0::/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "500000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_quota(root), 5);
}

static void
test_garbage_is_no_limit(void **state)
{
    put("proc/self/cgroup", "garbage\n0::\n::::\n0::/x\n");
    put("sys/fs/cgroup/x/cpu.max", "0 0\n");
    put("sys/fs/cgroup/cpu.max", "12x 100000");
    assert_int_equal(cpus_quota(root), 0);
    put("sys/fs/cgroup/cpu.max", "300000 100000");
    assert_int_equal(cpus_quota(root), 3);
}

static void
test_the_affinity_mask_counts(void **state)
{
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    unsigned count = cpus_usable();
    assert_in_range(count, 1, (uintmax_t)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpus_usable(), 1);
    sched_setaffinity(0, sizeof before, &before);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_nothing_known_is_no_limit),
        WITH_ROOT(test_version_2_takes_the_smallest_level),
        WITH_ROOT(test_a_whole_number_is_not_rounded_up),
        WITH_ROOT(test_a_group_outside_of_the_mount_uses_the_mount),
        WITH_ROOT(test_version_1_reads_quota_and_period),
        WITH_ROOT(test_version_1_may_be_mounted_as_cpu),
        WITH_ROOT(test_garbage_is_no_limit),
        cmocka_unit_test(test_the_affinity_mask_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
