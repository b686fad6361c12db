"""Sites to serve: directories and archives from a dict of path to content."""

import functools
import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

MTIME = 1_704_164_645  # Tue, 02 Jan 2024 03:04:05 GMT
MTIME_TEXT = "Tue, 02 Jan 2024 03:04:05 GMT"


class Link(str):
    """A symbolic link instead of a file."""


class HardLink(str):
    """A hard link to another member (archives only)."""


def content(value):
    return value.encode() if isinstance(value, str) else value


def build_site(root, files):
    """Writes the files below `root`, all with the same time; a None value makes a directory."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if value is None:
            path.mkdir(exist_ok=True)
        elif isinstance(value, Link):
            path.symlink_to(str(value))
        else:
            path.write_bytes(content(value))
            os.utime(path, (MTIME, MTIME))
    return root


def add_member(archive, name, value):
    info = tarfile.TarInfo(name)
    info.mtime = MTIME
    info.mode = 0o644
    if value is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif isinstance(value, (Link, HardLink)):
        info.type = tarfile.SYMTYPE if isinstance(value, Link) else tarfile.LNKTYPE
        info.linkname = str(value)
        archive.addfile(info)
    else:
        data = content(value)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def tar_bytes(files, form=tarfile.PAX_FORMAT):
    """`files` is a dict, or a list of pairs where a name may come twice."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, value in files.items() if isinstance(files, dict) else files:
            add_member(archive, name, value)
    return out.getvalue()


def write_tar(path, files, form=tarfile.PAX_FORMAT):
    """A tar; names ending in .gz or .zst are compressed."""
    path = Path(path)
    data = tar_bytes(files, form)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = compress("zstd", data)
    path.write_bytes(data)
    return path


def replace_atomically(path, data):
    """As deployments do: written beside it, then renamed over it."""
    path = Path(path)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    os.replace(fresh, path)


TOOLS = {
    "br": (["brotli", "-c", "-q", "5"], ["brotli", "-d", "-c"]),
    "zstd": (["zstd", "-q", "-c"], ["zstd", "-q", "-d", "-c"]),
    "gzip": (["gzip", "-n", "-c"], ["gzip", "-d", "-c"]),
}


def _filter(command, data):
    assert shutil.which(command[0]), f"the tests need {command[0]}"
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def compress(coding, data):
    return _filter(TOOLS[coding][0], data)


def decompress(coding, data):
    """Through the coding's own tool, not a library that tarn might share."""
    return data if coding in (None, "identity") else _filter(TOOLS[coding][1], data)


@functools.lru_cache
def _block(seed):
    return b"".join(b"%08x" % (i * 2654435761 + seed & 0xFFFFFFFF) for i in range(1 << 15))


def pattern(size, seed=0):
    """Bytes in which every position shows: a wrong offset cannot go unnoticed."""
    block = _block(seed)
    unit = b"".join(b"%07d:" % i + block for i in range(size // (len(block) + 8) + 1))
    return unit[:size]
