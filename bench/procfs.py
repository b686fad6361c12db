"""What the kernel says about a server's processes: CPU time, memory, and how busy its core was."""

import os
import time

CPUCLOCK_SCHED = 2  # the third kind of a process CPU clock: the scheduler's own sum, in nanoseconds


def _read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def parent_of(pid):
    """Parent's pid, or 0 when the process is gone."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return 0
    # The command name is in parentheses and may itself contain any character.
    return int(stat[stat.rindex(")") + 2:].split()[1])


def tree_of(root):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(parent_of(int(entry)), []).append(int(entry))
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        tree.append(pid)
        todo += children.get(pid, [])
    return sorted(tree)


def threads_cpu_ns(pid):
    """CPU time of the threads alive now, from the scheduler's accounting."""
    return sum(int(_read(f"/proc/{pid}/task/{tid}/schedstat").split()[0])
               for tid in os.listdir(f"/proc/{pid}/task"))


def process_cpu_ns(pid):
    """CPU time of a process: the schedstat figures of its threads, plus those of threads that have
    ended (kernel workers of io_uring come and go), which task/*/schedstat would lose. It is the
    same scheduler counter, read through the process's CPU clock."""
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


def cpu_ns(pids):
    return sum(process_cpu_ns(pid) for pid in pids)


def _field_kib(path, field):
    for line in _read(path).splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise OSError(f"no {field} in {path}")


def pss_kib(pids):
    """Resident memory, pages shared between processes divided among them."""
    return sum(_field_kib(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids)


def peak_rss_kib(pids):
    """Sum of each process's highest resident size; shared pages count in each."""
    return sum(_field_kib(f"/proc/{pid}/status", "VmHWM") for pid in pids)


def core_busy_ns(cpu):
    """Time the core was not idle, time stolen by the hypervisor included (to one clock tick)."""
    for line in _read("/proc/stat").splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
            ticks = user + nice + system + irq + softirq + steal
            return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    raise OSError(f"no cpu{cpu} in /proc/stat")


def cpu_model():
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
