"""`tarn pack`: a plain tar that tar itself reads, reproducible, precompressed, fast to load."""

import io
import os
import pty
import random
import re
import signal
import subprocess
import tarfile
import time

import pytest

from harness.binary import TARN, clean_environment, run_tarn
from harness.server import Server, wait_until
from harness.site import MTIME, build_site, compress, decompress, pattern, tar_bytes

TEXT = b"".join(b"body { margin: %dpx }\n" % i for i in range(3000))
FILES = {
    "index.html": b"<p>" + TEXT,
    "style.css": TEXT,
    "tiny.txt": b"x",
    "photo.png": random.Random(1).randbytes(20000),
    "noise.txt": random.Random(2).randbytes(5000),
    "big.bin": pattern(3 << 20),
    "deep/" + "n" * 120 + "/" + "m" * 120 + ".html": b"<p>long name",
    "grün/ä b.txt": b"utf-8",
    "_headers": b"/*\n  X-Packed: yes\n",
    "_redirects": b"/old /index.html 301\n",
    ".well-known/x.txt": b"known",
    ".git/config": b"secret",
    ".env": b"secret",
}
PUBLIC = [n for n in FILES if not n.startswith((".git", ".env", "_"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("pack") / "site", FILES)


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "site.tar"
    done = run_tarn("pack", folder, "-o", target)
    assert done.returncode == 0, done.stderr
    return target


def names(path):
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_tar_lists_and_extracts_it(packed, folder, tmp_path):
    listed = subprocess.run(["tar", "tf", packed], capture_output=True, check=True)
    assert listed.stderr == b""
    subprocess.run(["tar", "xf", packed, "-C", tmp_path], check=True)
    for name in PUBLIC + ["_headers", "_redirects"]:
        assert (tmp_path / name).read_bytes() == FILES[name], name
        assert int((tmp_path / name).stat().st_mtime) == MTIME


def test_members(packed):
    with tarfile.open(packed) as archive:
        members = archive.getmembers()
    order = [m.name for m in members]
    assert order[0] == ".tarn/index"
    assert order[1:] == sorted(order[1:], key=lambda n: n.encode())
    assert len(set(order)) == len(order)
    for member in members:
        assert member.isreg()
        assert (member.uid, member.gid, member.mode & 0o7777) == (0, 0, 0o644)
    for secret in (".git/config", ".env"):
        assert secret not in order


def test_variants(packed):
    with tarfile.open(packed) as archive:
        present = set(archive.getnames())
        for name in ("index.html", "style.css"):
            for ending, coding in (("br", "br"), ("zst", "zstd"), ("gz", "gzip")):
                data = archive.extractfile(f"{name}.{ending}").read()
                assert decompress(coding, data) == FILES[name]
                assert len(data) < 0.95 * len(FILES[name])
    for name in ("tiny.txt", "photo.png", "big.bin.br", "noise.txt"):
        assert not any(n != name and n.startswith(name + ".") for n in present), name


def test_same_input_same_bytes(packed, tmp_path):
    shuffled = list(FILES.items())
    random.Random(7).shuffle(shuffled)
    again = build_site(tmp_path / "other-name", dict(shuffled))
    for path in again.rglob("*"):
        os.chmod(path, 0o755 if path.is_dir() else 0o600)
    for extra in ([], ["--threads", "1"]):
        done = run_tarn("pack", again, "-o", tmp_path / "again.tar", *extra)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_other_content_other_bytes(folder, packed, tmp_path):
    changed = build_site(tmp_path / "c", {**FILES, "tiny.txt": b"y"})
    assert run_tarn("pack", changed, "-o", tmp_path / "c.tar").returncode == 0
    assert (tmp_path / "c.tar").read_bytes() != packed.read_bytes()


@pytest.mark.parametrize("args", [["pack"], ["--pack"]], ids=" ".join)
def test_standard_output(folder, packed, args):
    done = run_tarn(*args, folder, text=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == packed.read_bytes()


def test_packing_a_tar(folder, packed, tmp_path):
    (tmp_path / "plain.tar").write_bytes(tar_bytes(FILES))
    assert run_tarn("pack", tmp_path / "plain.tar", "-o", tmp_path / "out.tar").returncode == 0
    assert (tmp_path / "out.tar").read_bytes() == packed.read_bytes()
    assert run_tarn("pack", packed, "-o", tmp_path / "twice.tar").returncode == 0
    assert (tmp_path / "twice.tar").read_bytes() == packed.read_bytes()


def test_no_compress(folder, tmp_path):
    done = run_tarn("pack", folder, "--no-compress", "-o", tmp_path / "raw.tar")
    assert done.returncode == 0, done.stderr
    assert sorted(names(tmp_path / "raw.tar")) == sorted(
        [".tarn/index", "_headers", "_redirects", *PUBLIC]
    )


def test_given_variants_are_kept(tmp_path):
    mine = compress("gzip", TEXT)
    folder = build_site(tmp_path / "s", {"a.css": TEXT, "a.css.gz": mine})
    assert run_tarn("pack", folder, "-o", tmp_path / "s.tar").returncode == 0
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert archive.extractfile("a.css.gz").read() == mine


def test_served_like_the_directory(launch, folder, packed):
    plain, indexed = launch(folder), launch(packed)
    for name in PUBLIC:
        path = "/" + "/".join(
            "%C3%A4%20b.txt" if p == "ä b.txt" else p.replace("ü", "%C3%BC")
            for p in name.split("/")
        )
        first, second = plain.get(path), indexed.get(path)
        assert second.status == 200, path
        assert second.body == FILES[name]
        # The packed site has variants, so it says Vary; all else is the same.
        drop = ("vary",)
        assert [
            h for h in second.stable_headers() if h[0].lower() not in drop
        ] == first.stable_headers()
    assert indexed.get("/old").status == 301
    assert indexed.get("/").get("X-Packed") == "yes"
    assert indexed.get("/.tarn/index").status == 404
    brotli = indexed.get("/style.css", "Accept-Encoding: br")
    assert brotli.get("Content-Encoding") == "br"
    assert decompress("br", brotli.body) == TEXT


def test_check_accepts_it(packed):
    assert run_tarn("check", packed).returncode == 0


def test_appended_members_are_served(launch, packed, tmp_path):
    """`tar rf` makes the index stale: the archive is then read in the ordinary way."""
    target = tmp_path / "site.tar"
    target.write_bytes(packed.read_bytes())
    build_site(tmp_path / "more", {"added.txt": "added", "tiny.txt": "replaced"})
    subprocess.run(
        ["tar", "rf", target, "-C", tmp_path / "more", "added.txt", "tiny.txt"], check=True
    )
    server = launch(target)
    assert server.get("/added.txt").text == "added"
    assert server.get("/tiny.txt").text == "replaced"
    assert server.get("/index.html").body == FILES["index.html"]


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_damaged_index_is_not_trusted(packed, tmp_path, where):
    data = bytearray(packed.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
        index = archive.getmember(".tarn/index")
    at = index.offset_data + {"start": 9, "middle": index.size // 2, "end": index.size - 1}[where]
    data[at] ^= 0x55
    (tmp_path / "bad.tar").write_bytes(data)
    done = run_tarn("check", tmp_path / "bad.tar")
    # Refused by name, or ignored in favour of the archive's own headers: both are sound.
    assert done.returncode in (0, 1)
    assert done.returncode == 0 or "index" in done.stderr


@pytest.mark.parametrize("name,text", [("_headers", b"broken\n"), ("_redirects", b"/x\n")])
def test_bad_rules_fail_at_pack_time(tmp_path, name, text):
    folder = build_site(tmp_path / "s", {"index.html": b"x", name: text})
    done = run_tarn("pack", folder, "-o", tmp_path / "out.tar")
    assert done.returncode == 1
    assert re.search(rf"{name}.*\b1\b", done.stderr)
    assert not (tmp_path / "out.tar").exists()
    assert os.listdir(tmp_path) == ["s"]


def test_failures_leave_the_target_alone(folder, tmp_path):
    target = tmp_path / "site.tar"
    target.write_bytes(b"old")
    assert run_tarn("pack", tmp_path / "missing", "-o", target).returncode == 1
    assert target.read_bytes() == b"old"
    assert run_tarn("pack", folder, "-o", tmp_path / "no" / "such" / "dir.tar").returncode == 1


def test_full_disk(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [TARN, "pack", folder],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            check=False,
        )
    assert done.returncode == 1
    assert b"space" in done.stderr.lower()


def test_repacking_under_a_running_server(launch, folder, tmp_path):
    """The target is replaced by a rename: a reload never sees half an archive."""
    source = build_site(tmp_path / "s", {"index.html": b"one"})
    target = tmp_path / "site.tar"
    assert run_tarn("pack", source, "-o", target).returncode == 0
    server = launch(target)
    inode = target.stat().st_ino
    (source / "index.html").write_bytes(b"two")
    assert run_tarn("pack", source, "-o", target).returncode == 0
    assert target.stat().st_ino != inode
    assert server.get("/").text == "one"
    server.send(signal.SIGHUP)
    wait_until(lambda: server.get("/").text == "two")


def on_a_terminal(*args, columns=60):
    """Runs tarn with a terminal as standard error; returns exit code and what it drew."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "24"], stdin=slave, check=True)
    process = subprocess.Popen(
        [TARN, *map(str, args)], stdout=subprocess.DEVNULL, stderr=slave, env=clean_environment()
    )
    os.close(slave)
    drawn = b""
    try:
        while True:
            drawn += os.read(master, 65536)
    except OSError:  # how a terminal ends
        pass
    os.close(master)
    return process.wait(20), drawn.decode()


def test_progress_bar(tmp_path):
    files = {f"{i}/page.html": TEXT + b"%d" % i for i in range(60)}
    folder = build_site(tmp_path / "s", files)
    code, drawn = on_a_terminal("pack", folder, "-o", tmp_path / "out.tar")
    assert code == 0
    drawn = drawn.replace("\r\n", "\n")  # what a terminal makes of a line's end
    assert "\r" in drawn and "%" in drawn
    assert re.search(r"100 ?%", drawn) or "\x1b[" in drawn
    for part in re.split(r"[\r\n]+", drawn[: drawn.rindex("\r")]):
        visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part)
        assert len(visible) <= 60, visible
    quiet = run_tarn("pack", folder, "-o", tmp_path / "out2.tar")
    assert "\r" not in quiet.stderr and "\x1b" not in quiet.stderr


COUNT = 100_000


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """A packed archive of 100,000 small files."""
    root = tmp_path_factory.mktemp("huge")
    with tarfile.open(root / "plain.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo()
        info.mtime, info.mode = MTIME, 0o644
        for i in range(COUNT):
            data = b"<p>page %d</p>\n" % i
            info.name, info.size = f"{i % 317}/{i}.html", len(data)
            archive.addfile(info, io.BytesIO(data))
    done = run_tarn(
        "pack", "--no-compress", root / "plain.tar", "-o", root / "packed.tar", timeout=90
    )
    assert done.returncode == 0, done.stderr
    return root / "packed.tar"


def test_a_hundred_thousand_files_load_within_a_second(huge, request, slowness):
    start = time.monotonic()
    server = Server(["--addr", "127.0.0.1:0", huge])
    request.addfinalizer(server.stop)
    server.ready()
    took = time.monotonic() - start
    for i in (0, 1, 4711, COUNT - 1):
        assert server.get(f"/{i % 317}/{i}.html").body == b"<p>page %d</p>\n" % i
    assert server.get("/0/1.html").status == 404
    assert took < slowness, f"{took:.2f} s to load {COUNT} files"
