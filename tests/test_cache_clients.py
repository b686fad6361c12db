"""`tarn cache` and the programs that people fetch things with."""

import hashlib
import os
import shutil
import subprocess
import threading

import pytest

from harness.cache import FETCH, target
from harness.origin import Serve
from harness.site import MTIME, pattern

BODY = pattern(400_000, seed=71)
HALF = 200_000


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module()


def needed(tool):
    found = shutil.which(tool)
    assert found, f"the tests need {tool}"
    return found


def run(*argv, check=True, **options):
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, timeout=60, check=False, **options
    )
    assert not check or done.returncode == 0, (argv, done.returncode, done.stdout, done.stderr)
    return done


RESUMING = {
    "curl": ["curl", "-sS", "--fail", "-C", "-", "-o"],
    "wget": ["wget", "-q", "-c", "--tries=1", "-O"],
}


@pytest.mark.parametrize("tool", RESUMING)
@pytest.mark.parametrize("state", ["whole", "growing"])
def test_downloads_that_are_continued(cache, origin, tmp_path, tool, state):
    needed(tool)
    gate = threading.Event()
    url = origin.add(Serve(BODY, etag='"1"', modified=MTIME, gates={HALF: gate}))
    cache.open(url).read(HALF)
    if state == "whole":
        gate.set()
        cache.wait_idle()
    out = tmp_path / "out"
    out.write_bytes(BODY[:150_000])
    command = [*RESUMING[tool], str(out), cache.url(target(url))]
    with subprocess.Popen(command) as client:
        gate.set()
        assert client.wait(30) == 0
    assert out.read_bytes() == BODY
    assert origin.count(url) == 1


def test_curl_saves_under_the_name(cache, origin, tmp_path):
    url = origin.add(Serve(BODY))
    run("curl", "-sSfOJ", cache.url(target(url, f"{FETCH}/kernel%20image.gz")), cwd=tmp_path)
    assert (tmp_path / "kernel image.gz").read_bytes() == BODY


def test_wget_saves_under_the_name(cache, origin, tmp_path):
    needed("wget")
    url = origin.add(Serve(BODY))
    where = cache.url(target(url, f"{FETCH}/vmlinuz"))
    run("wget", "-q", "--content-disposition", where, cwd=tmp_path)
    assert (tmp_path / "vmlinuz").read_bytes() == BODY


def test_curl_asks_only_for_what_is_new(cache, origin, tmp_path):
    """--etag-save and --etag-compare, --time-cond."""
    url = origin.add(Serve(BODY, etag='"tag"', modified=MTIME))
    where, out, tag = cache.url(target(url)), tmp_path / "out", tmp_path / "tag"
    run("curl", "-sSf", "--remote-time", "--etag-save", tag, "-o", out, where)
    assert tag.read_text().strip() == '"tag"'
    assert os.stat(out).st_mtime == MTIME
    for condition in (["--etag-compare", tag], ["--time-cond", out]):
        again = tmp_path / "again"
        say = ["--write-out", "%{http_code}"]
        assert run("curl", "-sSf", *condition, *say, "-o", again, where).stdout == b"304"
        assert not again.exists() or again.read_bytes() == b""


def test_python(cache, origin):
    """urllib, as scripts use it."""
    script = (
        "import sys, hashlib, urllib.request as u;"
        "print(hashlib.sha256(u.urlopen(sys.argv[1]).read()).hexdigest())"
    )
    url = origin.add(Serve(BODY, framing="chunked"))
    for _ in range(2):
        done = run("/usr/bin/python3", "-c", script, cache.url(target(url)))
        assert done.stdout.decode().strip() == hashlib.sha256(BODY).hexdigest()


# git.


def serve_tree(origin, prefix, folder):
    """All files of a folder as resources of the origin."""
    for path in folder.rglob("*"):
        if path.is_file():
            origin.put(f"{prefix}/{path.relative_to(folder)}", Serve(path.read_bytes()))


def make_repository(folder, packed):
    """A bare repository with two commits, ready for clients that only read files."""
    work, bare = folder / "work", folder / "bare.git"
    me = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **os.environ}
    git = ["git", "-c", "user.name=Me", "-c", "user.email=me@site.test"]
    run("git", "init", "-q", "-b", "main", work, env=me)
    for i in range(2):
        (work / f"file{i}").write_text(f"content {i}\n" * 100)
        run(*git, "-C", work, "add", ".", env=me)
        run(*git, "-C", work, "commit", "-q", "-m", f"commit {i}", env=me)
    run("git", "clone", "-q", "--bare", work, bare, env=me)
    if packed:
        run("git", "-C", bare, "gc", "-q", env=me)
    run("git", "-C", bare, "update-server-info", env=me)
    return work, bare


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "loose"])
def test_git_clone(cache, origin, tmp_path, packed):
    """Over plain files ("dumb"): git puts what it wants behind the URL, which ends up in `url`."""
    needed("git")
    work, bare = make_repository(tmp_path, packed)
    prefix = f"/{tmp_path.name}.git"
    serve_tree(origin, prefix, bare)
    where = f"{cache.url(FETCH)}?url={origin.url(prefix)}"
    for i in range(2):
        copy = tmp_path / f"copy{i}"
        run("git", "clone", "-q", where, copy)
        assert (copy / "file1").read_bytes() == (work / "file1").read_bytes()
        assert run("git", "-C", copy, "fsck", "--full").returncode == 0
        heads = [run("git", "-C", at, "rev-parse", "HEAD").stdout for at in (copy, work)]
        assert heads[0] == heads[1]
    asked = [r.path for r in origin.requests() if r.path.startswith(prefix)]
    assert len(asked) == len(set(asked)), "something was downloaded twice"


# apt.

PACKAGE = """Package: hello-tarn
Version: 1.0
Architecture: all
Maintainer: Me <me@site.test>
Description: a package for a test
"""


def make_apt_repository(folder):
    """A flat repository with one package."""
    build = folder / "build"
    (build / "DEBIAN").mkdir(parents=True)
    (build / "DEBIAN" / "control").write_text(PACKAGE)
    (build / "usr/share/hello").mkdir(parents=True)
    (build / "usr/share/hello/data").write_bytes(BODY)
    repository = folder / "repository"
    repository.mkdir()
    run("dpkg-deb", "--build", "--root-owner-group", "-Znone", build, repository / "hello.deb")
    data = (repository / "hello.deb").read_bytes()
    entry = PACKAGE + (
        f"Filename: ./hello.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )
    (repository / "Packages").write_text(entry)
    digest = hashlib.sha256(entry.encode()).hexdigest()
    (repository / "Release").write_text(
        f"Origin: test\nSHA256:\n {digest} {len(entry)} Packages\n"
    )
    return repository


def apt_options(folder):
    """apt with all its state in a folder."""
    for name in ("lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True)
    (folder / "status").write_text("")
    settings = {
        "Dir::Etc": folder / "etc",
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::Archives": folder / "archives",
        "APT::Sandbox::User": "root",
        "Acquire::http::Proxy": "DIRECT",
        "Acquire::Languages": "none",
        "Acquire::Retries": "0",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def test_apt_helper(cache, origin, tmp_path):
    """One file with its digest, through apt's own http method."""
    helper = "/usr/lib/apt/apt-helper"
    assert os.access(helper, os.X_OK), "the tests need apt"
    url = origin.add(Serve(BODY))
    digest = hashlib.sha256(BODY).hexdigest()
    options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::http::Proxy=DIRECT"]
    where = cache.url(target(url))
    run(helper, *options, "download-file", where, tmp_path / "out", f"SHA256:{digest}")
    assert (tmp_path / "out").read_bytes() == BODY


def test_apt_source(cache, origin, tmp_path):
    """A line of sources.list that leads through the cache: apt puts its paths behind the URL."""
    needed("dpkg-deb")
    base = f"/{tmp_path.name}"
    serve_tree(origin, f"{base}/.", make_apt_repository(tmp_path))
    apt = tmp_path / "apt"
    options = apt_options(apt)
    where = f"{cache.url(FETCH)}?url={origin.url(base)}"
    (apt / "sources.list").write_text(f"deb [trusted=yes] {where} ./\n")
    run("apt-get", *options, "update")
    run("apt-get", *options, "download", "hello-tarn", cwd=tmp_path)
    (package,) = tmp_path.glob("hello-tarn*.deb")
    assert package.read_bytes() == (tmp_path / "repository" / "hello.deb").read_bytes()
