"""Sites with request scripts, compiled once for a whole run of tests."""

import functools
import subprocess
import tempfile
from pathlib import Path

from harness.binary import ROOT
from harness.bpf import CLANG
from harness.site import build_site

INCLUDE = "#include <tarn.h>\n#line 1\n"


@functools.lru_cache(maxsize=None)
def compiled(source, name="script.c"):
    """The object file's bytes; `source` needs no #include, and its lines count from 1 in `name`."""
    with tempfile.TemporaryDirectory() as folder:
        name = Path(name).name
        (Path(folder) / name).write_text(INCLUDE + source)
        subprocess.run(
            [*CLANG, "-Wall", "-Werror", "-I", f"{ROOT}/sdk", "-o", "out.o", name],
            cwd=folder,
            check=True,
        )
        return (Path(folder) / "out.o").read_bytes()


def script_site(root, scripts, files=None):
    """A directory site: `scripts` by name without suffix, in any order; `files` as build_site."""
    members = {f".tarn/scripts/{name}.o": compiled(text, f"{name}.c") for name, text in scripts.items()}
    return build_site(root, {**(files or {}), **members})


def request(body):
    """A script whose request section is this body."""
    return f"ZS_ENTRY zs_u64 entry(void)\n{{\n{body}\n    return 0;\n}}\n"
