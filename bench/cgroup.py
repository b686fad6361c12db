"""A memory limit for one server, by a control group.

The benchmark never looks for a group by itself: it makes a child of the directory that the user
names with --memory-cgroup, one that was delegated to them, puts the server there, and removes it
again.
"""

import os
import time
from pathlib import Path


class CgroupError(Exception):
    """The named directory cannot limit memory."""


# (limit, highest use) of cgroup v2, then of v1.
_FILES = (
    ("memory.max", "memory.peak"),
    ("memory.limit_in_bytes", "memory.max_usage_in_bytes"),
)
REMOVE_SECONDS = 5


class MemoryGroup:
    """A child group with a limit; a context manager that removes it at the end."""

    def __init__(self, parent, limit):
        self.path = Path(parent) / f"tarn-bench-{os.getpid()}"
        self.limit = limit
        self.peak_file = None

    def __enter__(self):
        try:
            self.path.mkdir()
            self._set_limit()
        except OSError as error:
            self._remove()
            raise CgroupError(f"{self.path.parent}: cannot make a memory group: {error}") from error
        except CgroupError:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    def _set_limit(self):
        for limit_file, peak_file in _FILES:
            if (self.path / limit_file).exists():
                (self.path / limit_file).write_text(str(self.limit), encoding="ascii")
                self.peak_file = self.path / peak_file
                return
        raise CgroupError(f"{self.path.parent}: has no memory controller")

    def _remove(self):
        deadline = time.monotonic() + REMOVE_SECONDS
        while self.path.exists():
            try:
                self.path.rmdir()
            except OSError:
                # A process that has just ended stays a member for a moment.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def join(self):
        """Puts the calling process into the group; runs in the child, before exec."""
        (self.path / "cgroup.procs").write_text("0", encoding="ascii")

    def peak_bytes(self):
        """Highest use so far, or 0 when this kernel does not record it."""
        if self.peak_file is None or not self.peak_file.exists():
            return 0
        return int(self.peak_file.read_text(encoding="ascii"))
