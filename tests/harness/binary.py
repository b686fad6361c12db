"""The program under test: where it is, how it was built, what the kernel lets it do."""

import ctypes
import errno
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARN = os.environ.get("TARN_BIN", str(ROOT / "build" / "tarn"))

# What a sanitizer, or an assertion of the program itself, leaves on standard error.
REPORT = re.compile(
    r"(Address|Thread|Memory|Leak|UndefinedBehavior)Sanitizer|runtime error:" r"|tarn: bug:"
)

# Settings of the surroundings must not leak into the program under test.
OWN_VARIABLES = re.compile(r"^(TARN_|KISS_)|^(PORT|HOST|FILE|BIND_IP|STATIC_DIR)$")

SYS_IO_URING_SETUP = 425


def clean_environment(extra=None):
    """The environment of a program under test: this one without its own settings, plus `extra`."""
    env = {k: v for k, v in os.environ.items() if not OWN_VARIABLES.search(k)}
    env.update(extra or {})
    return env


def is_sanitized():
    """Whether the binary was built with a sanitizer: then it is slow, and times mean little."""
    data = Path(TARN).read_bytes()
    return any(mark in data for mark in (b"__asan_init", b"__tsan_init", b"__msan_init"))


def kernel_refuses_uring():
    """The reason why io_uring cannot be used here at all, or None. Asks the kernel, not tarn."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(SYS_IO_URING_SETUP, 4, params)
    if fd >= 0:
        os.close(fd)
        return None
    return errno.errorcode.get(ctypes.get_errno(), "unknown")


def run_tarn(*args, env=None, stdin=b"", timeout=30, text=True, cwd=None, command=()):
    """Runs tarn to its end, for commands that end by themselves. `command` goes before it."""
    done = subprocess.run(
        [*command, TARN, *map(str, args)],
        input=stdin,
        capture_output=True,
        env=clean_environment(env),
        timeout=timeout,
        cwd=cwd,
        check=False,
    )
    stderr = done.stderr.decode("utf-8", "replace")
    assert not REPORT.search(stderr), stderr
    assert done.returncode >= 0, f"ended by signal {-done.returncode}:\n{stderr}"
    done.stderr = stderr
    if text:
        done.stdout = done.stdout.decode("utf-8")
    return done
