"""`tarn cache ls`, `get`, `purge` and `stats`: what people and scripts make of a cache by hand."""

import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.binary import REPORT, TARN, clean_environment, run_tarn
from harness.cache import FETCH, PROXY_VARIABLES, closed_port, new_folder
from harness.origin import Origin, Raw, Serve
from harness.server import wait_until
from harness.site import build_site, pattern

BODY = pattern(300_000, seed=61)
TOKEN = "a-token-that-nobody-guesses"
NO_PROXY = {name: "" for name in (*PROXY_VARIABLES, *map(str.upper, PROXY_VARIABLES))}


def place(cache):
    return cache if isinstance(cache, str) else cache.main.url


def environment(cache, env=None):
    return {**NO_PROXY, "TARN_CACHE_URL": place(cache), **(env or {})}


def ask(cache, *args, env=None, **options):
    """Runs `tarn cache ARGS` against a running cache, or a URL."""
    return run_tarn("cache", *args, env=environment(cache, env), **options)


def good(cache, *args, **options):
    done = ask(cache, *args, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(cache, *args, code=1, **options):
    """The one line that says why."""
    done = ask(cache, *args, **options)
    assert done.returncode == code, done
    assert not done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tarn: "), done.stderr
    return lines[0].removeprefix("tarn: ").removeprefix(f"error: cache {args[0]}: ")


def start(cache, *args, **options):
    """The same in the background."""
    return subprocess.Popen(
        [TARN, "cache", *map(str, args)],
        env=clean_environment(environment(cache)),
        stderr=subprocess.PIPE,
        **options,
    )


def end(process, timeout=20):
    """Waits; the exit code and what it said."""
    stderr = process.communicate(timeout=timeout)[1].decode()
    assert not REPORT.search(stderr), stderr
    return process.returncode, stderr


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module("--purge-token", TOKEN, "--download-retry-time", "0")


@pytest.fixture
def fake():
    """A server that is no cache, or one that says what a test tells it to."""
    with Origin() as started:
        yield started


def base(origin):
    return origin.url("")


# ls.


@pytest.fixture(scope="module")
def filled(launch_cache_module, origin):
    """A cache with three resources: {name: URL} as `filled.urls`."""
    cache = launch_cache_module()
    sizes = {"small": 10, "middle": 2048, "large": 300_000}
    cache.urls = {
        name: origin.put(f"/ls/{name}.bin", Serve(BODY[:size], etag='"v"'))
        for name, size in sizes.items()
    }
    for number, (name, url) in enumerate(cache.urls.items()):
        for _ in range(number + 1):
            assert cache.fetch(url, ttl="2h").status == 200
            cache.wait_idle()
    wait_until(lambda: {e["uses"] for e in listed(cache)} == {1, 2, 3}, 15, "the uses")
    return cache


def listed(cache, *args, **options):
    return json.loads(good(cache, "ls", "--json", *args, **options))


def names(cache, *args):
    return [entry["url"].split("/")[-1].split(".")[0] for entry in listed(cache, *args)]


def test_ls(filled):
    head, *rows = [line.split() for line in good(filled, "ls").splitlines()]
    assert head == ["SIZE", "USES", "AGE", "EXPIRES", "URL"]
    assert [row[-1] for row in rows] == sorted(filled.urls.values())
    assert [row[0] for row in rows] == ["293.0KiB", "2.0KiB", "10B"]
    assert [row[1] for row in rows] == ["3", "2", "1"]
    assert all(re.fullmatch(r"\d+[sm]", row[2]) for row in rows)
    assert all(row[3] in ("119m", "118m", "2h") for row in rows)


def test_ls_json(filled):
    entries = listed(filled)
    for entry, name in zip(entries, ["large", "middle", "small"]):
        length = {"small": 10, "middle": 2048, "large": 300_000}[name]
        assert entry["url"] == filled.urls[name]
        assert entry["size"] == length
        assert entry["etag"] == '"v"'
        assert entry["sha256"] == hashlib.sha256(BODY[:length]).hexdigest()
        assert entry["expires"] - entry["created"] == 7200
        assert abs(entry["created"] - time.time()) < 60


def test_ls_order(filled):
    assert names(filled) == ["large", "middle", "small"]
    assert names(filled, "--reverse") == ["small", "middle", "large"]
    assert names(filled, "--sort", "size") == ["large", "middle", "small"]
    assert names(filled, "--sort", "uses", "--reverse") == ["small", "middle", "large"]
    assert names(filled, "--sort", "size", "-n", "1") == ["large"]
    assert names(filled, "--sort", "size", "--reverse", "-n", "2") == ["small", "middle"]
    assert names(filled, "--search", "MIDDLE") == ["middle"]
    assert names(filled, "--search", "no&such=%") == []


def test_ls_of_a_directory_says_the_same(filled):
    for args in ([], ["--sort", "used"], ["--sort", "created"], ["--search", "AL", "-n", "5"]):
        assert listed(filled, *args) == listed(filled, *args, "--cache-dir", filled.folder)
    stopped = good("http://127.0.0.1:1", "ls", "--cache-dir", filled.folder)
    assert stopped.splitlines()[0].split()[0] == "SIZE"


def test_ls_of_nothing(launch_cache, tmp_path):
    cache = launch_cache()
    done = ask(cache, "ls")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "tarn: the cache is empty\n")
    done = ask(cache, "ls", "--search", "x")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "tarn: nothing like that is in the cache\n"
    assert listed(cache) == []
    assert "no-such" in refused(cache, "ls", "--cache-dir", tmp_path / "no-such")


def test_ls_of_many(launch_cache, origin):
    """More than one document can hold."""
    cache = launch_cache()
    url = origin.add(Serve(b"x"))
    with cache.connect() as wire:
        for number in range(600):
            assert wire.fetch(f"{FETCH}?url={url}?{number:03}").status == 200
    wait_until(lambda: cache.figures()["resources_successes"] == 600, 15, "all of them")
    urls = [entry["url"] for entry in listed(cache)]
    assert urls == [f"{url}?{number:03}" for number in range(600)]
    assert len(listed(cache, "-n", "300", "--reverse")) == 300
    assert listed(cache) == listed(cache, "--cache-dir", cache.folder)


def test_ls_of_a_mounted_cache(launch_cache, origin, tmp_path):
    site = build_site(tmp_path / "site", {"index.html": "home"})
    cache = launch_cache("--cache-path", "/deep/cache", site=site)
    url = origin.add(Serve(BODY))
    for prefix in ("/deep/cache", "/deep/cache/"):
        assert good(cache.main.url + prefix, "get", url, text=False) == BODY
        wait_until(lambda: listed(cache.main.url + prefix), 5, "the entry")
        assert good(cache.main.url + prefix, "stats").startswith("Cache ")
    assert "404" in refused(cache, "ls")


HOSTILE = {
    "url": "http://a/\x1b[31mred\u009b\u202e\n",
    "content_type": "text/\x07",
    "etag": '"\x1b"',
    "size": 1,
    "uses": 1,
    "created": 1,
    "last_used": 1,
    "expires": 2,
    "sha256": "00" * 32,
}


def page(*entries, pages=1, **more):
    text = {"timestamp": 100, "match_count": len(entries), "page_count": pages, **more}
    return json.dumps({**text, "resources": entries}).encode()


def serve_json(fake, path, *bodies):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    fake.put(path, *(Serve(body, headers=headers, conditional=False) for body in bodies))


def test_ls_lets_nothing_through_to_the_terminal(fake):
    serve_json(fake, "/resources/successes/", page(HOSTILE))
    for args in ([], ["--json"]):
        out = ask(base(fake), "ls", *args, text=False).stdout
        assert b"red" in out
        assert not re.search(rb"[^\x20-\x7e\n]", out), out
    assert listed(base(fake))[0]["url"] == HOSTILE["url"]


def test_ls_of_a_cache_that_changes_meanwhile(fake):
    """What comes twice is listed once; a page that is empty is the last."""
    entries = [{**HOSTILE, "url": f"http://a/{number}"} for number in range(5)]
    bodies = [page(*entries[:3], pages=9), page(*entries[2:], pages=9), page(pages=9)]
    serve_json(fake, "/resources/successes/", *bodies)
    assert [entry["url"] for entry in listed(base(fake))] == [e["url"] for e in entries]
    assert fake.count("/resources/successes/") == 3


def test_ls_says_what_it_cannot_list(fake):
    serve_json(fake, "/resources/successes/", page(HOSTILE, match_count=30_000))
    done = ask(base(fake), "ls")
    assert done.returncode == 0
    assert "warning: the cache lists 1 of 30000 resources" in done.stderr
    assert ask(base(fake), "ls", "-n", "1").stderr == ""


NO_PAGES = {
    "a page for people": Serve(b"<html>", headers={"Content-Type": "text/html"}),
    "not JSON": Serve(b"{", headers={"Content-Type": "application/json"}),
    "other JSON": Serve(b'{"a": 1}', headers={"Content-Type": "application/json"}),
    "not found": Serve(b"no", 404),
    "no HTTP": Raw(b"220 smtp.example ESMTP\r\n"),
    "an end": Raw(b""),
    "half an answer": Serve(page(HOSTILE), cut=20, headers={"Content-Type": "application/json"}),
}


@pytest.mark.parametrize("case", NO_PAGES)
@pytest.mark.parametrize("command", ["ls", "stats"])
def test_who_is_no_cache(fake, command, case):
    fake.put("/resources/successes/", NO_PAGES[case])
    fake.put("/api/v1/status/", NO_PAGES[case])
    assert f"127.0.0.1:{fake.port}" in refused(base(fake), command)


def test_answers_without_an_end(fake):
    """Nobody fills this process with what it does not want."""

    def endless(status, kind):
        def step(exchange):
            exchange.head(status, {"Content-Type": kind, "Transfer-Encoding": "chunked"}, None)
            while True:
                exchange.content(b" " * 65536, True)

        return step

    fake.put("/api/v1/status/", endless(200, "application/json"))
    fake.put("/api/v1/fetch", endless(500, "text/plain"))
    assert "longer than 16 MiB" in refused(base(fake), "stats")
    assert refused(base(fake), "get", "http://a/").startswith("500: ")


# Where the cache is.


def test_nobody_is_there():
    port = closed_port()
    for args in (["ls"], ["stats"], ["get", "http://a/"]):
        said = refused(f"http://127.0.0.1:{port}", *args)
        assert said.startswith(f"127.0.0.1:{port}: connection refused")


def test_no_address_given():
    done = ask("", "ls", "--connect-timeout", "2s")
    if done.returncode:  # nobody serves port 8080 here
        assert "127.0.0.1:8080" in done.stderr and "--cache-url" in done.stderr


def test_the_flag_beats_the_environment(cache):
    nobody = f"127.0.0.1:{closed_port()}"
    assert good(nobody, "stats", "--cache-url", cache.main.url)
    assert good(cache, "stats", env={"TARN_CACHE_DIR": "/no/such"})
    refused(cache, "stats", "--url", nobody)


def test_over_https(launch_cache, origin, ca, pair):
    cache = launch_cache("--tls-addr", "127.0.0.1:0", *pair.options, addr=False)
    url = origin.add(Serve(BODY))
    secure = f"https://localhost:{cache.main.address[1]}"
    for trust in (["--upstream-ca", ca.file], ["--cacert", ca.file]):
        assert good(secure, "get", *trust, url, text=False) == BODY
    assert good(secure, "stats", "--upstream-ca", ca.file)
    assert "certificate" in refused(secure, "stats")
    done = ask(secure, "ls", "--insecure")
    assert done.returncode == 0 and "--upstream-insecure" in done.stderr


def test_a_redirect_to_https_says_where(launch_cache, pair):
    tls = ["--tls-addr", "127.0.0.1:0", *pair.options, "--redirect-http"]
    cache = launch_cache(*tls, listener_count=2)
    for args in (["stats"], ["get", "http://a/"]):
        said = refused(cache.plain.url, *args)
        assert "308: the cache is not here, but at https://127.0.0.1:" in said


# get.


@pytest.fixture
def url(origin):
    return origin.add(Serve(BODY, etag='"v1"'))


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_get_to_standard_output(cache, url):
    done = ask(cache, "get", url, text=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, BODY, "")
    assert ask(cache, "get", "-o", "-", url, text=False).stdout == BODY


def test_get_to_a_file(cache, url, work):
    (work / "f").write_bytes(b"old")
    done = ask(cache, "get", "-o", "f", url, cwd=work)
    assert done.returncode == 0 and done.stdout == ""
    expected = r"tarn: \S*f: 293.0 KiB in \d+\.\d s, .*/s, miss\n"
    assert re.fullmatch(expected, done.stderr), done.stderr
    cache.wait_idle()
    again = ask(cache, "get", "-o", work / "f", url, "--log-level", "warn")
    assert again.stderr == ""
    assert (work / "f").read_bytes() == BODY
    assert files(work) == ["f"]


def test_get_into_a_directory(cache, origin, work):
    url = origin.put("/images/{}.tar.xz", Serve(BODY))
    good(cache, "get", "-o", ".", url + "?v=1", cwd=work)
    assert (work / url.split("/")[-1]).read_bytes() == BODY
    said = refused(cache, "get", "-o", work, base(origin))
    assert "no name for a file" in said


def test_get_of_an_empty_resource(cache, origin, work):
    url = origin.add(Serve(b""))
    assert good(cache, "get", url) == ""
    good(cache, "get", "-o", work / "f", url)
    assert (work / "f").read_bytes() == b""


def test_get_passes_the_url_unchanged(cache, origin):
    url = origin.put("/q{}", Serve(BODY)) + "?a=1&b=%2F%20+x&&=;'()#fragment"
    assert good(cache, "get", url, text=False) == BODY
    (request,) = origin.requests(url)
    assert request.target == url.split(f":{origin.port}")[1].split("#")[0]


def test_get_with_a_ttl(cache, url):
    good(cache, "get", "--ttl", "90m", url)
    cache.wait_idle()
    (entry,) = listed(cache, "--search", url)
    assert entry["expires"] - entry["created"] == 5400


def test_get_with_a_digest(cache, url, work):
    right, wrong = hashlib.sha256(BODY).hexdigest(), "ab" * 32
    good(cache, "get", "--sha256", right.upper(), "-o", work / "f", url)
    assert (work / "f").read_bytes() == BODY
    assert refused(cache, "get", "--sha256", wrong, "-o", work / "g", url).startswith("502: ")
    assert files(work) == ["f"]


def test_a_cache_that_does_not_check_the_digest(fake, work):
    fake.put(FETCH, Serve(BODY, etag='"v1"'))
    said = refused(base(fake), "get", "--sha256", "ab" * 32, "-o", work / "f", "http://a/")
    assert "SHA-256" in said
    assert files(work) == []


def test_get_says_why_not(cache, origin, launch_cache, work):
    missing = origin.add(Serve(b"no", 404))
    (work / "f").write_bytes(b"old")
    said = refused(cache, "get", "-o", work / "f", missing)
    assert said.startswith("404: upstream answered 404")
    assert files(work) == ["f"] and (work / "f").read_bytes() == b"old"
    closed = launch_cache("--allow-networks", "192.0.2.0/24")
    assert refused(closed, "get", missing) == "403: your address may not use this cache"


def test_get_shows_no_control_characters(fake):
    said = b"5\x1b[31m\xc2\x9b\x07\nmore"
    fake.put(FETCH, Serve(said, 502, headers={"Content-Type": "text/plain"}))
    assert refused(base(fake), "get", "http://a/") == "502: 5?[31m???"


FRAMINGS = ["length", "chunked"]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_transfer_that_breaks_is_a_failure(fake, work, framing, reset):
    fake.put(FETCH, Serve(BODY, cut=200_000, framing=framing, reset=reset, etag='"v1"'))
    (work / "f").write_bytes(b"old")
    said = refused(base(fake), "get", "-o", work / "f", "http://a/")
    assert "of the body; " in said and "-C goes on from there" in said
    assert (work / "f").read_bytes() == b"old"
    part = (work / "f.part").read_bytes()
    assert BODY.startswith(part) and (reset or len(part) == 200_000)
    done = ask(base(fake), "get", "http://a/", text=False)
    assert done.returncode == 1 and BODY.startswith(done.stdout)


def test_a_break_of_the_upstream_comes_through(cache, origin, work):
    url = origin.add(Serve(BODY, cut=200_000))
    refused(cache, "get", "-o", work / "f", url)
    assert "f" not in files(work)


def test_an_answer_without_an_end_is_refused(fake, work):
    """Nobody can know whether it is whole; but with a digest everybody can."""
    fake.put(FETCH, Serve(BODY, framing="close"))
    said = refused(base(fake), "get", "-o", work / "f", "http://a/")
    assert "does not say where it ends" in said
    right = hashlib.sha256(BODY).hexdigest()
    assert good(base(fake), "get", "--sha256", right, "http://a/", text=False) == BODY


def test_a_silent_cache_is_given_up(fake):
    gate = threading.Event()
    fake.put(FETCH, Serve(BODY, head_gate=gate), Serve(BODY, gates={1000: gate}))
    said = refused(base(fake), "get", "--timeout", "300ms", "http://a/")
    assert "no answer within 0.3 s" in said
    done = ask(base(fake), "get", "--timeout", "300ms", "http://a/", text=False)
    assert done.returncode == 1 and done.stdout == BODY[:1000]


def test_a_slow_reader_is_no_silence(fake):
    """The time in which nobody reads does not count; also not when the cache pauses after it."""
    body, gate = pattern(8_000_000, seed=3), threading.Event()
    fake.put(FETCH, Serve(body, gates={100_000: gate}))
    process = start(base(fake), "get", "--timeout", "600ms", "http://a/", stdout=subprocess.PIPE)
    data = os.read(process.stdout.fileno(), 1000)
    time.sleep(1.5)
    while len(data) < 100_000:
        data += os.read(process.stdout.fileno(), 1 << 20)
    time.sleep(0.2)
    gate.set()
    while piece := os.read(process.stdout.fileno(), 1 << 20):
        data += piece
    assert end(process) == (0, "")
    assert data == body


def test_where_it_cannot_be_written(cache, url, work):
    with open("/dev/full", "wb") as full:
        process = start(cache, "get", url, stdout=full)
        code, said = end(process)
    assert code == 1 and "cannot write to standard output: No space left" in said
    assert "cannot create" in refused(cache, "get", "-o", work / "missing" / "f", url)
    assert good(cache, "get", "-o", "/dev/null", url) == ""


# get, to be continued.


class Broken:
    """A download that was killed in its middle: `part` bytes are there."""

    def __init__(self, cache, origin, folder, size=8_000_000, **more):
        self.body = pattern(size, seed=67)
        self.gate = threading.Event()
        self.step = Serve(self.body, etag='"v1"', gates={size // 2: self.gate}, **more)
        self.url = origin.add(self.step)
        self.file = folder / "f"
        process = start(cache, "get", "-o", self.file, self.url)
        part = folder / "f.part"
        wait_until(lambda: part.exists() and part.stat().st_size == size // 2, 15, "half of it")
        process.send_signal(signal.SIGKILL)
        end(process)
        self.part = part


def test_a_download_is_gone_on_with(cache, origin, work):
    broken = Broken(cache, origin, work)
    assert files(work) == ["f.part", "f.part.from"]
    broken.gate.set()
    cache.wait_idle()
    before = cache.figures()["statistics_upload"]
    done = ask(cache, "get", "-C", "-o", broken.file, broken.url)
    assert done.returncode == 0, done.stderr
    assert "7.6 MiB, of which 3.8 MiB came now" in done.stderr
    assert broken.file.read_bytes() == broken.body
    assert files(work) == ["f"]
    cache.wait_figure("statistics_upload", before + len(broken.body) // 2)


@pytest.mark.parametrize("way", ["without -C", "another URL", "no note"])
def test_a_part_that_is_not_gone_on_with_begins_anew(cache, origin, work, way):
    broken = Broken(cache, origin, work)
    broken.gate.set()
    cache.wait_idle()
    url = broken.url
    if way == "another URL":
        url = origin.add(Serve(broken.body, etag='"v1"'))
    if way == "no note":
        (work / "f.part.from").unlink()
    args = [] if way == "without -C" else ["-C"]
    done = ask(cache, "get", *args, "-o", broken.file, url)
    assert done.returncode == 0 and "came now" not in done.stderr
    assert broken.file.read_bytes() == broken.body


def test_another_version_begins_anew(cache, origin, work):
    broken = Broken(cache, origin, work)
    broken.gate.set()
    cache.wait_idle()
    assert cache.purge(broken.url, TOKEN).status == 200
    other = pattern(5_000_000, seed=71)
    origin.change(broken.url, Serve(other, etag='"v2"'))
    good(cache, "get", "-C", "-o", broken.file, broken.url)
    assert broken.file.read_bytes() == other
    assert files(work) == ["f"]


@pytest.mark.parametrize("damaged", [False, True])
def test_going_on_with_a_digest(cache, origin, work, damaged):
    broken = Broken(cache, origin, work)
    broken.gate.set()
    cache.wait_idle()
    get = ["get", "-C", "--sha256", hashlib.sha256(broken.body).hexdigest(), "-o", broken.file]
    if damaged:
        part = broken.part.read_bytes()
        broken.part.write_bytes(b"X" + part[1:])
        assert "SHA-256" in refused(cache, *get, broken.url)
        assert files(work) == []
    done = ask(cache, *get, broken.url)
    assert done.returncode == 0 and ("came now" in done.stderr) != damaged
    assert broken.file.read_bytes() == broken.body


def make_part(folder, url, part, etag='"v1"'):
    (folder / "f.part").write_bytes(part)
    (folder / "f.part.from").write_text(f"{etag}\n{url}\n")


def test_a_part_that_is_the_whole(cache, url, work):
    make_part(work, url, BODY)
    done = ask(cache, "get", "-C", "-o", work / "f", url)
    assert done.returncode == 0 and "were there already" in done.stderr
    assert (work / "f").read_bytes() == BODY
    assert files(work) == ["f"]


def test_a_part_that_is_longer_than_the_whole(cache, url, work):
    make_part(work, url, BODY + b"more")
    good(cache, "get", "-C", "-o", work / "f", url)
    assert (work / "f").read_bytes() == BODY


@pytest.mark.parametrize("ranges", ["shifted", "unsaid", "total", "multipart"])
def test_a_wrong_part_is_not_taken(fake, work, ranges):
    fake.put(FETCH, Serve(BODY, etag='"v1"', ranges=ranges))
    make_part(work, "http://a/", BODY[:1000])
    said = refused(base(fake), "get", "-C", "-o", work / "f", "http://a/")
    assert "not the part that was asked for" in said
    assert (work / "f.part").read_bytes() == BODY[:1000]


def test_a_part_of_another_version_is_not_taken(fake, work):
    def step(exchange):
        headers = {"ETag": '"v2"', "Content-Range": "bytes 1000-1999/2000"}
        exchange.head(206, headers, 1000)
        exchange.content(b"x" * 1000)

    fake.put(FETCH, step)
    make_part(work, "http://a/", BODY[:1000])
    assert "not the part" in refused(base(fake), "get", "-C", "-o", work / "f", "http://a/")


def test_what_is_asked_for_when_going_on(fake, work):
    fake.put(FETCH, Serve(BODY, etag='"v1"'))
    make_part(work, "http://a/", BODY[:1000])
    good(base(fake), "get", "-C", "-o", work / "f", "http://a/")
    (request,) = fake.requests(FETCH)
    assert request.headers["range"] == "bytes=1000-"
    assert request.headers["if-range"] == '"v1"'
    assert request.headers["user-agent"].startswith("tarn/")
    assert (work / "f").read_bytes() == BODY


def test_two_downloads_to_one_file(cache, origin, work):
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={1000: gate}))
    process = start(cache, "get", "-o", work / "f", url)
    wait_until(lambda: (work / "f.part").exists(), 10, "the first")
    origin.wait_count(url, 1)
    assert "another download is writing" in refused(cache, "get", "-o", work / "f", url)
    assert (work / "f.part").exists()
    gate.set()
    assert end(process)[0] == 0
    assert (work / "f").read_bytes() == BODY


# On a terminal.


def on_a_terminal(cache, *args, columns=80, stdout=None, opened=None):
    """Runs the command with a terminal as standard error, and as standard output unless it goes
    elsewhere. `opened` is called once something has been drawn. Exit code and what was drawn."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "24"], stdin=slave, check=True)
    process = subprocess.Popen(
        [TARN, "cache", *map(str, args)],
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        env=clean_environment(environment(cache)),
    )
    os.close(slave)
    drawn = b""
    try:
        while True:
            drawn += os.read(master, 65536)
            if opened and opened(drawn):
                opened = None
    except OSError:  # how a terminal ends
        pass
    os.close(master)
    text = drawn.decode().replace("\r\n", "\n")
    assert not REPORT.search(text), text
    return process.wait(20), text


def visible(drawn):
    """The lines as they stood there, one after the other."""
    parts = [re.sub(r"\x1b\[K", "", part) for part in re.split(r"[\r\n]", drawn)]
    return [part for part in parts if part]


def test_a_bar_is_drawn(cache, origin, work):
    head, middle = threading.Event(), threading.Event()
    url = origin.put("/images/{}-rootfs.img", Serve(BODY, head_gate=head, gates={150_000: middle}))

    def opened(drawn):
        if b"waiting for the cache" in drawn:
            head.set()
        if b" 50%" in drawn:
            middle.set()
        return middle.is_set()

    code, drawn = on_a_terminal(cache, "get", "-o", work / "f", url, columns=100, opened=opened)
    lines = visible(drawn)
    assert code == 0 and (work / "f").read_bytes() == BODY
    assert any(re.match(r"waiting for the cache  0:0\d  \d+-rootfs.img", line) for line in lines)
    assert any(re.match(r"\[#{12}\.{12}\]  50%  146.5 KiB of 293.0 KiB ", line) for line in lines)
    assert re.match(r"tarn: .*f: 293.0 KiB in ", lines[-1]), lines[-1]
    assert all(len(line) < 100 for line in lines[:-1])


def test_no_bar_where_nobody_sees_one(fake, work):
    fake.put(FETCH, Serve(BODY, rate=600_000))
    get = ["get", "-o", work / "f", "http://a/"]
    assert "\r" not in ask(base(fake), *get).stderr
    assert "%" in ask(base(fake), *get, "--progress", "on").stderr
    with open(work / "g", "wb") as out:
        code, drawn = on_a_terminal(
            base(fake), "get", "--progress", "off", "http://a/", stdout=out
        )
        assert (code, drawn) == (0, "")
        code, drawn = on_a_terminal(base(fake), "get", "http://a/", stdout=out)
        assert code == 0 and "%" in drawn


def test_a_terminal_gets_text_only(cache, origin):
    text = origin.add(Serve(b"SHA256 (f) = 0\tcaf\xc3\xa9\n"))
    assert on_a_terminal(cache, "get", text) == (0, "SHA256 (f) = 0\tcafé\n")
    binary = origin.add(Serve(b"text at first\x1b]0;title\x07"))
    code, drawn = on_a_terminal(cache, "get", binary)
    assert code == 1 and "\x1b" not in drawn
    assert "this is not text: name a file with -o" in drawn.replace("\n", " ")
    code, drawn = on_a_terminal(cache, "get", "-o", "-", binary)
    assert code == 0 and drawn.startswith("text at first\x1b]0;title\x07")


def test_ls_fits_the_terminal(filled, launch_cache, origin):
    cache = launch_cache()
    url = origin.put("/{}/" + "x" * 200 + "/rootfs.img.xz", Serve(b"x"))
    assert cache.fetch(url).status == 200
    wait_until(lambda: listed(cache), 5, "the entry")
    for columns in (80, 120):
        code, drawn = on_a_terminal(cache, "ls", columns=columns)
        head, row = visible(drawn)
        assert code == 0 and head.split()[-1] == "URL"
        assert len(row) == columns
        assert re.search(r"http://12.*\.\.\..*/rootfs\.img\.xz$", row)
    assert url in good(cache, "ls")


# purge.


def test_purge(cache, origin):
    urls = [origin.add(Serve(BODY)) for _ in range(3)]
    for url in urls:
        good(cache, "get", url)
    cache.wait_idle()
    out = good(cache, "purge", urls[0], urls[1], env={"TARN_PURGE_TOKEN": TOKEN})
    assert out == f"purged {urls[0]}\npurged {urls[1]}\n"
    left = [entry["url"] for entry in listed(cache)]
    assert urls[2] in left and urls[0] not in left and urls[1] not in left


def test_purge_tries_all(cache, origin):
    url = origin.add(Serve(BODY))
    good(cache, "get", url)
    cache.wait_idle()
    missing = origin.url("/never")
    done = ask(cache, "purge", "--purge-token", TOKEN, missing, url)
    assert done.returncode == 1
    assert done.stdout == f"purged {url}\n"
    assert done.stderr == f"tarn: error: cache purge: {missing}: 404: not in the cache\n"


def test_purge_with_a_wrong_token(cache, launch_cache, url):
    good(cache, "get", url)
    cache.wait_idle()
    said = refused(cache, "purge", "--purge-token", "wrong", url)
    assert said == f"{url}: 401: a purge needs the token"
    assert listed(cache, "--search", url)
    said = refused(launch_cache(), "purge", "--purge-token", TOKEN, url)
    assert said == f"{url}: 403: purging is not enabled (--purge-token)"


def test_the_token_goes_nowhere_else(fake):
    """Not behind a redirect, and not with other requests."""
    fake.put(FETCH, Serve(b"", 307, {"Location": fake.url("/elsewhere")}, conditional=False))
    assert "307" in refused(base(fake), "purge", "--purge-token", TOKEN, "http://a/")
    (request,) = fake.requests(FETCH)
    assert (request.method, request.headers["authorization"]) == ("DELETE", f"Bearer {TOKEN}")
    assert fake.count("/elsewhere") == 0
    ask(base(fake), "stats", env={"TARN_PURGE_TOKEN": TOKEN})
    assert "authorization" not in fake.requests("/api/v1/status/")[0].headers


# stats.


def test_stats(launch_cache, origin):
    cache = launch_cache("--quota", "100M")
    url = origin.add(Serve(pattern(1_000_000, seed=5)))
    for _ in range(4):
        good(cache, "get", url)
        cache.wait_idle()
    lines = dict(line.split(maxsplit=1) for line in good(cache, "stats").splitlines())
    assert lines["Cache"].startswith(f"{cache.main.url} (")
    assert lines["Disk"] == "976.6 KiB of 100.0 MiB, 1 %"
    assert lines["Resources"] == "1 ready, 0 downloading, 0 waiting, 0 failed"
    assert lines["Requests"].split(",")[0] == "4"
    assert lines["Downloaded"] == "976.6 KiB in 1 download, 0 failed"
    assert lines["Served"] == "3.8 MiB"
    assert lines["Saved"] == "2.9 MiB, 75 %"
    figures, said = cache.figures(), json.loads(good(cache, "stats", "--json"))
    for name, value in said.items():
        if name != "timestamp":
            assert figures[name] == value, name
    assert said["disk_quota"] == 100 << 20


def test_stats_of_a_directory(launch_cache, origin):
    cache = launch_cache()
    url = origin.add(Serve(BODY))
    for _ in range(2):
        good(cache, "get", url)
        cache.wait_idle()
    cache.stop()
    said = json.loads(good(cache, "stats", "--json", "--cache-dir", cache.folder))
    assert said["resources_successes"] == 1 and said["disk_usage"] == len(BODY)
    assert (said["statistics_requests"], said["statistics_hits"]) == (2, 1)
    assert said["statistics_upload"] == 2 * len(BODY)
    assert "disk_quota" not in said
    lines = good(cache, "stats", "--cache-dir", cache.folder).splitlines()
    assert lines[0].split() == ["Cache", str(cache.folder)]
    assert lines[3] == "Requests   2, of which hits 1, 50 %"


def test_stats_lets_nothing_through_to_the_terminal(fake):
    status = {"disk_usage": 1, "instance": "a\x1b[31m\u009b", "version": "\x07"}
    serve_json(fake, "/api/v1/status/", json.dumps(status).encode())
    for args in ([], ["--json"]):
        out = ask(base(fake), "stats", *args, text=False).stdout
        assert out and not re.search(rb"[^\x20-\x7e\n]", out), out


# The command line.


@pytest.mark.parametrize("command", ["ls", "get", "purge", "stats"])
def test_help(command):
    pages = [
        run_tarn("cache", command, "--help"),
        run_tarn("help", "cache", command),
        run_tarn("help", f"cache {command}"),
    ]
    assert {done.stdout for done in pages} == {pages[0].stdout}
    assert pages[0].stdout.startswith(f"Usage: tarn cache {command} ")
    assert f"  tarn cache {command} " in run_tarn("cache", "--help").stdout
    assert f"  tarn cache {command} " in run_tarn("--help").stdout
    for done in pages:
        assert done.returncode == 0
        assert all(len(line) <= 80 for line in done.stdout.splitlines())


USAGE = {
    "a verb that is none": (["lst"], "did you mean 'tarn cache ls'?"),
    "no URL": (["get"], "no URL"),
    "two URLs": (["get", "http://a/", "http://b/"], "one URL is enough"),
    "no http": (["get", "ftp://a/"], "no URL that a cache can fetch"),
    "no digest": (["get", "--sha256", "12", "http://a/"], "--sha256 wants 64"),
    "nothing to go on with": (["get", "-C", "http://a/"], "--continue needs --output"),
    "no token": (["purge", "http://a/"], "no --purge-token"),
    "no order": (["ls", "--sort", "name"], "--sort wants url, size, uses, created or used"),
    "two places": (["ls", "--url", "a", "--cache-dir", "b"], "exclude each other"),
    "no address": (["ls", "--url", "ftp://a"], "--cache-url wants http"),
    "a server's option": (["stats", "--quota", "1"], "--quota belongs to 'tarn cache'"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(case):
    args, expected = USAGE[case]
    done = run_tarn("cache", *args, env=NO_PROXY)
    assert done.returncode == 2 and done.stdout == ""
    assert expected in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["ls", "stats", "ls --json", "stats --json"])
def test_output_that_cannot_be_written(filled, command):
    with open("/dev/full", "wb") as full:
        code, said = end(start(filled, *command.split(), stdout=full))
    assert code == 1 and "cannot write to standard output" in said


def test_a_proxy_of_the_environment_is_used(cache, url):
    """As for curl; no_proxy leads around it."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        nobody.close()
        said = refused(cache, "stats", env={"http_proxy": proxy})
        assert "connection refused" in said
        assert good(cache, "stats", env={"http_proxy": proxy, "no_proxy": "127.0.0.1"})


def test_a_directory_that_is_none(tmp_path):
    folder = new_folder(tmp_path)
    said = refused("http://127.0.0.1:1", "stats", "--cache-dir", folder)
    assert str(folder) in said
