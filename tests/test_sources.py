"""Where a site may come from, and what is said when it cannot."""

import gzip
import os
import socket
import subprocess
import tarfile

import pytest

from conftest import start_server
from harness.binary import run_tarn
from harness.client import assert_error
from harness.site import (
    HardLink,
    Link,
    build_site,
    compress,
    decompress,
    pattern,
    tar_bytes,
    write_tar,
)

SITE = {
    "index.html": "<h1>home</h1>\n",
    "a.txt": "plain a\n",
    "deep/er/page.html": "<p>deep</p>\n",
    "binary.bin": bytes(range(256)) * 64,
    "big.bin": pattern(3 << 20),  # above --preload-max: served by range
    "empty.css": b"",
    ".well-known/security.txt": "Contact: mailto:s@site.test\n",
}


def check_site(server, files=None):
    """Every file is there, byte for byte; the directories have their index."""
    with server.connect() as wire:
        for name, expected in (files or SITE).items():
            response = wire.fetch("/" + name)
            assert response.status == 200, (name, response)
            body = expected.encode() if isinstance(expected, str) else expected
            assert response.body == body, name
            assert response.get("ETag").startswith('"') and len(response.get("ETag")) == 34
            assert response.get("Last-Modified")
            assert response.get("Cache-Control")


def refuse(*args, **options):
    """The start fails: exit 1, one line on standard error. Returns the line."""
    done = run_tarn("--addr", "127.0.0.1:0", *args, **options)
    assert done.returncode == 1, done
    lines = [l for l in done.stderr.splitlines() if l]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_directory(launch, site):
    check_site(launch(site(SITE)))


@pytest.mark.parametrize(
    "form",
    [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT],
    ids="pax gnu ustar".split(),
)
def test_tar(launch, tmp_path, form):
    check_site(launch(write_tar(tmp_path / "site.tar", SITE, form)))


@pytest.mark.parametrize("ending", ["tar.gz", "tar.zst", "tgz"])
def test_compressed_tar(launch, tmp_path, ending):
    path = tmp_path / f"site.{ending}"
    data = tar_bytes(SITE)
    path.write_bytes(compress("zstd", data) if ending.endswith("zst") else gzip.compress(data))
    check_site(launch(path))


def test_tar_made_by_tar_itself(launch, site, tmp_path):
    files = {**SITE, "n" * 120 + "/" + "m" * 90 + ".txt": "long\n", "grün/ä b.txt": "utf-8\n"}
    folder = site(files)
    subprocess.run(["tar", "cf", tmp_path / "x.tar", "-C", folder, "."], check=True)
    server = launch(tmp_path / "x.tar")
    check_site(server)
    assert server.get(f"/{'n' * 120}/{'m' * 90}.txt").text == "long\n"
    assert server.get("/gr%C3%BCn/%C3%A4%20b.txt").text == "utf-8\n"


def test_tar_duplicates_links_and_prefixes(launch, tmp_path):
    data = tar_bytes(
        [
            ("./twice.txt", "old"),
            ("./original.txt", "content"),
            ("twice.txt", "new"),
            ("soft.txt", Link("original.txt")),
            ("sub/up.txt", Link("../original.txt")),
            ("hard.txt", HardLink("./original.txt")),
            ("out.txt", Link("../../etc/passwd")),
            ("circle", Link("circle")),
        ]
    )
    (tmp_path / "site.tar").write_bytes(data)
    server = launch(tmp_path / "site.tar")
    assert server.get("/twice.txt").text == "new"
    for name in ("soft.txt", "sub/up.txt", "hard.txt"):
        assert server.get("/" + name).text == "content", name
    assert server.get("/out.txt").status == 404
    assert server.get("/circle").status == 404


def test_tar_is_never_unpacked(launch, tmp_path):
    path = write_tar(tmp_path / "only.tar", SITE)
    before = sorted(os.listdir(tmp_path))
    check_site(launch(path))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/abs.txt"])
def test_tar_entry_that_leaves_the_root_is_named(tmp_path, name):
    (tmp_path / "evil.tar").write_bytes(tar_bytes([("ok.txt", "ok"), (name, "evil")]))
    assert name in refuse(tmp_path / "evil.tar")


def test_broken_archives_are_errors(tmp_path):
    whole = tar_bytes({"a.txt": "a" * 5000})
    for name, data in {
        "cut.tar": whole[:3000],
        "checksum.tar": whole[:100] + b"7777777" + whole[107:],
        "cut.tar.gz": gzip.compress(whole)[:-20],
        "cut.tar.zst": compress("zstd", whole)[:-9],
        "text.tar": b"this is no archive\n",
    }.items():
        (tmp_path / name).write_bytes(data)
        assert name in refuse(tmp_path / name), name


def test_one_file_answers_every_path(launch, tmp_path):
    (tmp_path / "page.html").write_text("<p>only</p>")
    server = launch(tmp_path / "page.html")
    for path in ("/", "/page.html", "/any/thing?x=1", "/deep/er/"):
        response = server.get(path)
        assert (response.status, response.text) == (200, "<p>only</p>"), path
        assert response.get("Content-Type") == "text/html; charset=utf-8"
    assert server.get("/../x").status == 400


def test_one_file_at_one_path(launch, tmp_path):
    (tmp_path / "mta-sts.txt").write_text("version: STSv1\n")
    server = launch(tmp_path / "mta-sts.txt", "--path", "/.well-known/mta-sts.txt")
    response = server.get("/.well-known/mta-sts.txt")
    assert response.text == "version: STSv1\n"
    assert response.get("Content-Type") == "text/plain; charset=utf-8"
    for path in ("/", "/mta-sts.txt", "/.well-known/", "/.well-known/mta-sts.txt/x"):
        assert_error(server.get(path), 404, close=None)


def test_one_file_with_its_type_given(launch, tmp_path):
    (tmp_path / "data").write_bytes(b"\x00\x01\xff")
    server = launch(tmp_path / "data", "--content-type", "application/x-thing")
    response = server.get("/")
    assert response.get("Content-Type") == "application/x-thing"
    assert response.body == b"\x00\x01\xff"


def test_file_alias(loop, launch, tmp_path):
    (tmp_path / "one.txt").write_text("one")
    assert launch(None, "--file", tmp_path / "one.txt").get("/").text == "one"
    assert launch(None, env={"FILE": str(tmp_path / "one.txt")}).get("/").text == "one"


def test_big_single_file(launch, tmp_path):
    data = pattern(5 << 20, seed=3)
    (tmp_path / "big.iso").write_bytes(data)
    assert launch(tmp_path / "big.iso").get("/").body == data


def test_gzip_that_holds_no_tar_is_a_file(launch, tmp_path):
    data = gzip.compress(b"not a tar")
    (tmp_path / "notes.gz").write_bytes(data)
    response = launch(tmp_path / "notes.gz").get("/notes.gz")
    assert response.body == data
    assert response.get("Content-Encoding") is None


def serve_stdin(launch, data, *args):
    read_end, write_end = os.pipe()
    server_side = {"stdin": read_end}
    pid = os.fork()
    if pid == 0:  # feeds the pipe, so that content larger than a pipe holds works
        os.close(read_end)
        with os.fdopen(write_end, "wb") as out:
            out.write(data)
        os._exit(0)
    os.close(write_end)
    try:
        return launch("-", *args, **server_side)
    finally:
        os.close(read_end)
        os.waitpid(pid, 0)


def test_standard_input_as_a_file(launch):
    data = pattern(2 << 20)
    server = serve_stdin(launch, data)
    assert server.get("/").body == data
    assert server.get("/some/where").body == data


def test_standard_input_as_a_tar(launch):
    check_site(serve_stdin(launch, tar_bytes(SITE)))


def test_standard_input_as_a_compressed_tar(launch):
    check_site(serve_stdin(launch, gzip.compress(tar_bytes(SITE))))


def test_standard_input_with_path_and_type(launch):
    server = serve_stdin(launch, b"{}", "--path", "/x.json", "--content-type", "application/json")
    assert server.get("/x.json").get("Content-Type") == "application/json"
    assert server.get("/").status == 404


def test_empty_standard_input_is_an_error():
    assert "empty" in refuse("-", stdin=b"")


def test_silent_standard_input_times_out():
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb"):
        server = start_server("epoll", "-", "--stdin-timeout", "300ms", stdin=read_end)
        os.close(read_end)
        assert server.wait_exit(10) == 1
    assert len(server.stderr.strip().splitlines()) == 1
    assert "stdin" in server.stderr or "standard input" in server.stderr


def test_empty_file_is_an_error(tmp_path):
    (tmp_path / "void.html").write_bytes(b"")
    line = refuse(tmp_path / "void.html")
    assert "void.html" in line and "empty" in line


def test_missing_site_names_what_was_looked_for(tmp_path):
    assert "no-such-site" in refuse(tmp_path / "no-such-site")


@pytest.mark.parametrize(
    "files", [{}, {".hidden": "x"}, {"sub": None}], ids="none hidden dir".split()
)
def test_empty_directory_is_an_error(tmp_path, files):
    folder = build_site(tmp_path / "hollow", files)
    line = refuse(folder)
    assert "hollow" in line
    assert "empty" in line.lower() or "no file" in line.lower()


def test_allow_empty(launch, tmp_path):
    (tmp_path / "hollow").mkdir()
    for source in (tmp_path / "hollow", tmp_path / "missing"):
        server = launch(source, "--allow-empty")
        assert_error(server.get("/"), 404)
        assert server.get("/health").status == 200


def config_map(root, stamp, files):
    """The layout of a Kubernetes ConfigMap volume: names → ..data/name, ..data → ..stamp."""
    folder = build_site(root / f"..{stamp}", files)
    fresh = root / "..data_tmp"
    fresh.symlink_to(folder.name)
    os.replace(fresh, root / "..data")
    for name in files:
        top = name.split("/")[0]
        if not (root / top).is_symlink():
            (root / top).symlink_to(f"..data/{top}")


def test_config_map(launch, tmp_path):
    root = tmp_path / "mount"
    config_map(root, "2024_01", {"index.html": "first", "sub/page.html": "page"})
    server = launch(root)
    assert server.get("/").text == "first"
    assert server.get("/sub/page.html").text == "page"
    assert server.get("/..data/index.html").status == 404
    assert server.get("/..2024_01/index.html").status == 404


def test_links_that_leave_the_directory_are_skipped(launch, tmp_path, site):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site-private").mkdir()
    (tmp_path / "site-private" / "x.txt").write_text("secret")
    folder = site(
        {
            "index.html": "home",
            "inside.html": Link("index.html"),
            "out.txt": Link("../secret.txt"),
            "sibling": Link("../site-private"),
            "absolute.txt": Link("/etc/hostname"),
            "loop": Link("loop"),
            "dangling": Link("nothing"),
            "self": Link("."),
        }
    )
    server = launch(folder)
    assert server.get("/inside.html").text == "home"
    for name in ("out.txt", "sibling/x.txt", "absolute.txt", "loop", "dangling"):
        assert server.get("/" + name).status == 404, name
    server.wait_line("out.txt", timeout=1)  # the warning names it


def test_dot_files_are_not_served(launch, tmp_path):
    files = {
        "index.html": "home",
        ".env": "secret",
        ".git/config": "secret",
        "sub/.htpasswd": "secret",
        ".well-known/.hidden": "secret",
        ".well-known/ok.txt": "fine",
        "sub/.well-known/x.txt": "secret",
        ".tarn/index": "secret",
        ".zeroserve/main.c": "secret",
    }
    for source in (build_site(tmp_path / "d", files), write_tar(tmp_path / "t.tar", files)):
        server = launch(source)
        assert server.get("/.well-known/ok.txt").text == "fine"
        for name in files:
            if name not in ("index.html", ".well-known/ok.txt"):
                assert server.get("/" + name).status == 404, name
                assert server.get("/" + name.replace(".", "%2e")).status == 404, name


def test_unreadable_names_do_not_stop_the_load(launch, site):
    folder = site({"index.html": "home", "Case.TXT": "upper"})
    os.mkfifo(folder / "pipe")
    with open(os.fsencode(folder) + b"/bad-\xff.txt", "wb") as out:
        out.write(b"x")
    server = launch(folder)
    assert server.get("/").text == "home"
    assert server.get("/pipe").status == 404
    assert server.get("/case.txt").status == 404


def test_several_addresses(launch, site):
    server = launch(site({"index.html": "home"}), "--addr", "127.0.0.1:0", listener_count=2)
    assert len({l.address for l in server.listeners}) == 2
    for listener in server.listeners:
        assert server.get("/", listener=listener).text == "home"


def test_ipv6(launch, site):
    server = launch(site({"index.html": "home"}), addr="[::1]:0")
    assert server.main.url.startswith("http://[::1]:")
    assert server.get("/").text == "home"


def test_unix_socket(launch, site, tmp_path):
    path = tmp_path / "web.sock"
    folder = site({"index.html": "home"})
    for _ in range(2):  # the second start finds the socket file of the first
        server = launch(folder, addr=f"unix:{path}")
        assert server.get("/").text == "home"
        server.stop()


def test_unix_socket_through_curl(launch, site, tmp_path):
    server = launch(site({"index.html": "home"}), addr=f"unix:{tmp_path}/s")
    assert server.main.address == f"{tmp_path}/s"
    done = subprocess.run(
        ["curl", "-sf", "--unix-socket", f"{tmp_path}/s", "http://any/"], capture_output=True
    )
    assert done.stdout == b"home"


def test_inherited_socket(launch, site):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        server = launch(site({"index.html": "home"}), addr=f"fd:{fd}", pass_fds=(fd,))
        port = listening.getsockname()[1]
        assert server.main.address == ("127.0.0.1", port)
    for _ in range(20):
        assert server.get("/").text == "home"


def test_port_in_use_is_one_clear_line(site):
    folder = site({"index.html": "x"})
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        done = run_tarn("--addr", address, folder)
    assert done.returncode == 1
    assert address in done.stderr and "in use" in done.stderr.lower()


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no.such.host.invalid:80", "fd:x", "::::"])
def test_bad_address(site, address):
    done = run_tarn("--addr", address, site({"index.html": "x"}))
    assert done.returncode in (1, 2)
    assert address in done.stderr


def test_workers_share_a_free_port(launch, site):
    server = launch(site({"index.html": "home"}), "--threads", "4")
    assert sum("listening on" in l for l in server.lines) == 1
    assert all(server.get("/").text == "home" for _ in range(40))


def test_start_summary_names_files_and_bytes(launch, site):
    server = launch(site({"index.html": "12345", "b.txt": "678"}))
    line = server.wait_line(r"\b2 files\b.*").string
    assert "8 B" in line or "8 bytes" in line, line
    assert any(unit in line for unit in (" ms", " s", " us", " µs")), line


def test_curl_downloads_everything(launch, site):
    server = launch(site(SITE))
    for name, expected in SITE.items():
        done = subprocess.run(
            ["curl", "-sSf", "--compressed", server.url("/" + name)],
            capture_output=True,
            check=True,
        )
        body = expected.encode() if isinstance(expected, str) else expected
        assert done.stdout == decompress(None, body)
