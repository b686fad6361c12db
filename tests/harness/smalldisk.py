"""A disk of a few megabytes that can be full, for the directory of a cache.

A tmpfs where the tests may mount one; else a tmpfs in a mount namespace of their own, which the
program enters.
"""

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """`inside`: the directory as the program is told of it, which is started with `command` before
    it. `path`: the same as the tests see it."""

    def __init__(self, folder, megabytes):
        self.inside = Path(folder)
        self.inside.mkdir(parents=True, exist_ok=True)
        self.command, self.holder = [], None
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tarn-test", str(self.inside)]
        done = subprocess.run(mount, capture_output=True, timeout=20, check=False)
        self.path = self.inside
        if done.returncode != 0:
            self._hold(mount)

    def _hold(self, mount):
        script = ' '.join(["exec 3>&1;", *mount, "&& echo mounted >&3 && exec sleep 1000"])
        self.holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
            stdout=subprocess.PIPE,
        )
        line = self.holder.stdout.readline()
        assert line == b"mounted\n", "no way to have a small disk here"
        pid = self.holder.pid
        self.command = ["nsenter", "-t", str(pid), "-U", "-m", "--preserve-credentials"]
        self.path = Path(f"/proc/{pid}/root{self.inside}")

    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave=0, name="foreign"):
        """Somebody else takes all the space but `leave` bytes."""
        with open(self.path / name, "wb") as file:
            try:
                while (room := self.free() - leave) > 0:
                    file.write(bytes(min(room, 1 << 16)))
                    file.flush()
            except OSError:
                pass

    def empty(self, name="foreign"):
        (self.path / name).unlink()

    def close(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()
            self.holder.stdout.close()
            return
        done = subprocess.run(["umount", self.inside], capture_output=True, check=False)
        if done.returncode != 0:
            subprocess.run(["umount", "--lazy", self.inside], check=True)
            raise AssertionError(f"somebody still uses {self.inside}: {done.stderr}")
