"""`tarn cache`: a full disk is a full cache, and not the end; a damaged one is noticed."""

import os
import shutil
import sqlite3
import threading
import time

import pytest

from harness.binary import run_tarn
from harness.cache import check_folder, content_files, in_index, usage
from harness.origin import Serve
from harness.server import wait_until
from harness.site import pattern
from harness.smalldisk import SmallDisk

MIB = 1 << 20
BODY = pattern(MIB, seed=61)
BIG = pattern(5 * MIB, seed=62)


@pytest.fixture
def disk(tmp_path):
    made = SmallDisk(tmp_path / "disk", 24)
    yield made
    made.close()


@pytest.fixture
def launch_on(disk, launch_cache):
    """Starts a cache on the small disk."""

    def launch_on(*args, **options):
        cache = launch_cache(
            *("--quota", "0", "--download-retry-time", "0", *args),
            folder=disk.inside / "cache", command=disk.command, **options,
        )  # fmt: skip
        cache.folder = disk.path / "cache"
        return cache

    return launch_on


def stored(cache, url, body):
    assert cache.fetch(url).body == body
    cache.wait_idle()


def test_a_full_disk_makes_room_as_a_quota_does(launch_on, origin):
    cache = launch_on()
    urls = [origin.add(Serve(BIG)) for _ in range(8)]
    for url in urls:
        stored(cache, url, BIG)
    cache.wait_account()
    assert 5 * MIB <= cache.figures()["disk_usage"] == usage(cache.folder) <= 24 * MIB
    assert cache.fetch(urls[-1]).x_cache == "hit"
    assert origin.count(urls[-1]) == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_larger_than_the_disk(launch_on, origin, framing):
    cache = launch_on()
    body = pattern(32 * MIB, seed=63)
    stream = cache.open(origin.add(Serve(body, framing=framing)))
    if stream.status == 200:
        assert framing != "length"
        assert body.startswith(stream.until_broken())
    else:
        assert stream.status == 507
    cache.wait_account()
    assert not [path for path in content_files(cache.folder) if path.endswith(".part")]
    stored(cache, origin.add(Serve(BODY)), BODY)


def test_somebody_else_fills_the_disk_and_leaves(launch_on, origin, disk):
    """What is there is served all the while; nothing new is; then everything is as before."""
    cache = launch_on()
    large = pattern(12 * MIB, seed=64)
    kept = origin.add(Serve(large))
    stored(cache, kept, large)
    reader = cache.open(kept)  # in use, and more than sockets hold: it cannot go
    new = [origin.add(Serve(pattern(3 * MIB, seed=i), framing=framing))
           for i, framing in enumerate(["length", "chunked", "close"])]  # fmt: skip
    gate = threading.Event()
    growing = origin.add(Serve(BIG, framing="chunked", gates={MIB: gate}))
    caught = cache.open(growing)
    caught.read(MIB)
    disk.fill()
    gate.set()
    assert BIG[MIB:].startswith(caught.until_broken())
    disk.fill(name="foreign2")
    assert cache.fetch(kept, "Range: bytes=0-99").body == large[:100]
    for url in new:
        stream = cache.open(url)
        if stream.status == 200:
            stream.until_broken()
        else:
            assert stream.status == 507, stream.response
    assert cache.get("/api/v1/health/").status == 200
    assert reader.rest() == large
    disk.empty()
    disk.empty("foreign2")
    cache.wait_idle()
    for i, url in enumerate(new):
        wait_until(lambda url=url: cache.fetch(url).status == 200, 10, "recovery")
        stored(cache, url, pattern(3 * MIB, seed=i))
    cache.wait_account()
    cache.stop()
    known = check_folder(cache.folder)
    assert set(new) <= set(known)


def test_the_index_without_room(launch_on, origin, disk):
    """Small things still fit where its pages do not: what was served then is either kept with its
    row or gone after the end, and nothing is mixed up."""
    cache = launch_on()
    disk.fill(leave=200 << 10)
    contents = {origin.add(Serve(b"%d" % i * 300)): b"%d" % i * 300 for i in range(100)}
    for url, body in contents.items():
        answer = cache.fetch(url)
        assert answer.status in (200, 507)
        assert answer.status == 507 or answer.body == body
    cache.stop(check=False)
    disk.empty()
    cache = launch_on()
    cache.wait_account()
    for url, body in contents.items():
        assert cache.fetch(url).body == body
    cache.wait_idle()


def test_killed_and_started_on_a_full_disk(launch_on, origin, disk):
    cache = launch_on()
    kept = origin.add(Serve(BODY))
    stored(cache, kept, BODY)
    held = origin.add(Serve(BIG, gates={MIB: threading.Event()}))
    cache.open(held).read(MIB)
    disk.fill()
    cache.kill()
    disk.fill(name="foreign2")
    cache = launch_on()
    assert cache.get("/api/v1/health/").status == 200
    answer = cache.fetch(kept)
    assert answer.status == 507 or answer.body == BODY
    disk.empty()
    disk.empty("foreign2")
    wait_until(lambda: cache.fetch(kept).status == 200, 10, "recovery")
    cache.wait_idle()


# Damage.


def entry_file(cache):
    (path,) = content_files(cache.folder)
    return cache.folder / path


@pytest.fixture
def one(launch_cache, origin):
    """(a cache that has one resource, its URL)"""
    cache = launch_cache()
    url = origin.add(Serve(BODY), Serve(b"anew"))
    stored(cache, url, BODY)
    wait_until(lambda: in_index(cache.folder, "SELECT id FROM entry"), 10, "its row")
    return cache, url


def test_a_file_that_is_gone(one, origin):
    cache, url = one
    entry_file(cache).unlink()
    assert cache.fetch(url).body in (BODY, b"anew")  # a file that is open is still there
    cache.kill()


def test_a_file_that_is_gone_at_the_start(one, launch_cache):
    cache, url = one
    cache.kill()
    entry_file(cache).unlink()
    cache = launch_cache(folder=cache.folder)
    assert cache.figures()["disk_usage"] == 0
    assert cache.fetch(url).body == b"anew"
    cache.wait_idle()


@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_a_file_of_another_length(one, launch_cache, change):
    cache, url = one
    cache.kill()
    with open(entry_file(cache), "r+b") as file:
        file.truncate(len(BODY) // 2 if change == "shorter" else len(BODY) * 2)
    cache = launch_cache(folder=cache.folder)
    stream = cache.open(url)
    assert stream.rest() == b"anew"
    cache.wait_idle()


def test_files_that_nobody_knows(one, launch_cache):
    """Those named as ours go; what is somebody else's is left alone."""
    cache, url = one
    mine = entry_file(cache)
    cache.kill()
    strays = [mine.with_name(mine.name[:-1] + "f"), mine.with_name(mine.name + ".part")]
    other = cache.folder / "00" / "11" / ("0011" + "a" * 60 + ".00000000000000ff")
    other.parent.mkdir(parents=True)
    strays.append(other)
    for stray in strays:
        stray.write_bytes(b"left over")
    foreign = cache.folder / "README"
    foreign.write_bytes(b"not ours")
    cache = launch_cache(folder=cache.folder)
    assert not any(stray.exists() for stray in strays)
    assert foreign.exists() and mine.exists()
    foreign.unlink()
    assert cache.fetch(url).x_cache == "hit"
    assert cache.figures()["disk_usage"] == len(BODY) == usage(cache.folder)


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty", "gone"])
def test_a_damaged_index(one, launch_cache, damage):
    """Everything may be forgotten; nothing wrong is served, and no file is left behind."""
    cache, url = one
    cache.kill()
    for name in ("index.db-wal", "index.db-shm"):
        (cache.folder / name).unlink(missing_ok=True)
    index = cache.folder / "index.db"
    if damage == "gone":
        index.unlink()
    elif damage == "garbage":
        data = bytearray(index.read_bytes())
        data[100:] = os.urandom(len(data) - 100)
        index.write_bytes(data)
    else:
        os.truncate(index, 0 if damage == "empty" else index.stat().st_size // 2)
    cache = launch_cache(folder=cache.folder)
    assert cache.fetch(url).body in (BODY, b"anew")
    cache.wait_idle()
    assert cache.figures()["disk_usage"] == usage_of_content(cache.folder)
    for aside in cache.folder.glob("index.db.*"):
        aside.unlink()


def usage_of_content(folder):
    return sum(size for path, size in content_files(folder).items() if "/" in path)


def test_nobody_waits_for_the_index(one, launch_cache, origin):
    """Another program holds it: hits and misses go on, and the rows come later."""
    cache, url = one
    other = origin.add(Serve(BODY))
    database = sqlite3.connect(f"{cache.folder}/index.db", isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        for _ in range(50):
            assert cache.fetch(url).x_cache == "hit"
        stored(cache, other, BODY)
        assert cache.fetch(other).x_cache == "hit"
        assert time.monotonic() - start < 5
        database.execute("ROLLBACK")
    finally:
        database.close()
    cache.stop()
    assert set(check_folder(cache.folder)) == {url, other}


def test_a_second_process_is_refused(one, loop):
    cache, url = one
    done = run_tarn("cache", "--io", loop, "--addr", "127.0.0.1:0", "--cache-dir", cache.folder)
    assert done.returncode != 0
    assert str(cache.pid) in done.stderr and str(cache.folder) in done.stderr
    assert cache.fetch(url).x_cache == "hit"


def test_the_directory_is_free_after_a_kill(one, launch_cache):
    cache, url = one
    cache.kill()
    assert launch_cache(folder=cache.folder).get("/api/v1/health/").status == 200


def test_a_directory_that_cannot_be_had(tmp_path, loop):
    file = tmp_path / "file"
    file.write_text("no directory")
    for folder in (file, tmp_path / "a" / "b"):
        done = run_tarn("cache", "--io", loop, "--addr", "127.0.0.1:0", "--cache-dir", folder)
        assert done.returncode != 0 and str(folder) in done.stderr


def test_a_directory_that_is_taken_away(one, launch_cache, tmp_path):
    """Under a running cache: no crash; errors, until it is started anew."""
    cache, url = one
    moved = tmp_path / "moved"
    shutil.move(cache.folder, moved)
    assert cache.fetch(url).status in (200, 500, 502, 503)
    assert cache.get("/api/v1/health/").status == 200
    cache.stop()
    assert launch_cache(folder=moved).fetch(url).status == 200
