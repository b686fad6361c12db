"""HTTP/2 over TLS with real clients: curl, nghttp, h2load, Python's h2, Chromium."""

import re
import shutil
import signal
import subprocess

import pytest

from harness.client import HOST
from harness.h2client import H2Client
from harness.server import wait_until
from harness.site import pattern
from harness.tls import client_context, curl, refused, tls_connect

FILES = {
    "index.html": b"home",
    "small.txt": b"0123456789",
    "100k.bin": pattern(100 << 10, seed=3),
    "10m.bin": pattern(10 << 20, seed=4),
    "style.css": b"body { color: green }",
    "page.html": b"<!doctype html><title>page</title><link rel=stylesheet href=/style.css>"
    b"<img src=/100k.bin><p>hello</p>",
}


def h2_connect(server, name=HOST, **options):
    context = client_context(alpn=["h2"], **options)
    wire = tls_connect(server, name=name, context=context)
    assert wire.socket.selected_alpn_protocol() == "h2"
    return H2Client(wire.socket)


@pytest.mark.parametrize("name", ["small.txt", "100k.bin", "10m.bin"])
def test_files_to_curl(tls_either, name, ca):
    done = curl(tls_either, f"/{name}", "--http2", "-w", "%{stderr}%{http_version}", ca=ca.file)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b"2"
    assert done.stdout == FILES[name]


def test_curl_gets_what_it_asks_for(tls_server):
    for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
        shown = "%{http_version} %{http_code}"
        done = curl(tls_server, "/", option, "-o", "/dev/null", "-w", shown)
        assert done.stdout.decode() == f"{version} 200"


def test_many_files_over_one_connection(tls_server, tmp_path):
    """curl --parallel multiplexes."""
    port = tls_server.tls.address[1]
    urls = [f"https://{HOST}:{port}/{name}" for name in FILES for _ in range(5)]
    more = [word for url in urls for word in ("-o", "/dev/null", url)]
    done = curl(tls_server, "/100k.bin", "-o", "/dev/null", "--http2", "--parallel",
                "-w", "%{http_code} %{num_connects}\n", *more)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(urls) + 1
    assert all(line.startswith("200 ") for line in lines), lines


def test_nghttp(tls_server):
    if not shutil.which("nghttp"):
        pytest.skip("nghttp is not installed (Debian package nghttp2-client)")
    port = tls_server.tls.address[1]
    done = subprocess.run(
        ["nghttp", "--no-verify-peer", "-H", f":authority: {HOST}", "-nv",
         f"https://localhost:{port}/small.txt"],
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    said = done.stdout.decode()
    assert done.returncode == 0 and ":status: 200" in said, said
    assert "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):128" in said, said


def test_h2load(tls_server):
    if not shutil.which("h2load"):
        pytest.skip("h2load is not installed (Debian package nghttp2-client)")
    port = tls_server.tls.address[1]
    done = subprocess.run(
        ["h2load", "-n", "2000", "-c", "10", "-m", "20", f"https://localhost:{port}/100k.bin"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout.decode()
    assert "Application protocol: h2" in said, said
    assert re.search(r"2000 succeeded, 0 failed, 0 errored, 0 timeout", said), said
    assert "2000 2xx, 0 3xx, 0 4xx, 0 5xx" in said
    assert f"({2000 * (100 << 10)}) data" in said


def test_streams_in_parallel(tls_server):
    client = h2_connect(tls_server)
    names = ["10m.bin", "small.txt", "100k.bin", "index.html"] * 4
    streams = [(client.request(f"/{name}"), name) for name in names]
    for stream, name in streams:
        answer = client.wait(stream)
        assert answer.status == 200 and answer.body == FILES[name], name


def test_a_stalled_stream_does_not_block_another(tls_server):
    """The window of one stream is never opened; others go on."""
    client = h2_connect(tls_server)
    stalled = client.request("/10m.bin")
    raw = client.h2.acknowledge_received_data

    def acknowledge(size, stream):
        if stream == stalled:
            client.h2.increment_flow_control_window(size)  # of the connection only
        else:
            raw(size, stream)

    client.h2.acknowledge_received_data = acknowledge
    for name in ["100k.bin", "small.txt"] * 10:
        assert client.fetch(f"/{name}").body == FILES[name]
    assert not client.answers[stalled].ended
    assert 0 < len(client.answers[stalled].body) <= 65535


def test_head_ranges_and_conditions(tls_server):
    client = h2_connect(tls_server)
    head = client.fetch("/100k.bin", method="HEAD")
    assert head.status == 200 and head.headers["content-length"] == str(100 << 10)
    assert head.body == b""
    part = client.fetch("/100k.bin", ("range", "bytes=100-70000"))
    assert part.status == 206 and part.body == FILES["100k.bin"][100:70001]
    same = client.fetch("/100k.bin", ("if-none-match", head.headers["etag"]))
    assert same.status == 304 and same.body == b""
    assert client.fetch("/none").status == 404
    assert client.fetch("/", method="POST", body=b"x" * 1000).status == 405
    assert head.headers["x-content-type-options"] == "nosniff"
    assert "connection" not in head.headers


def test_misdirected_request(tls_server):
    """A browser may try to reuse the connection for another host: 421, and it goes on."""
    client = h2_connect(tls_server)
    assert client.fetch("/", host=HOST).status == 200
    assert client.fetch("/", host="other.test").status == 421
    assert client.fetch("/", host="localhost").status == 200


def test_alpn_without_anything_in_common(tls_server):
    assert "NO_APPLICATION_PROTOCOL" in refused(tls_server, context=client_context(alpn=["spdy/3"]))


def test_prior_knowledge_on_the_plain_port(launch, folder):
    server = launch(folder)
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{stderr}%{http_version}",
         server.url("/100k.bin")],
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stdout == FILES["100k.bin"] and done.stderr == b"2"


def test_goaway_and_finished_streams_on_sigterm(launch_tls, folder):
    server = launch_tls(folder)
    client = h2_connect(server)
    stream = client.request("/10m.bin")
    while not client.answers[stream].body:
        client.pump()
    server.send(signal.SIGTERM)
    answer = client.wait(stream)
    assert answer.body == FILES["10m.bin"]
    client.read_to_end()
    assert client.went_away == 0
    assert server.wait_exit(5) == 0


def test_reload_keeps_connections(launch_tls, folder):
    server = launch_tls(folder)
    client = h2_connect(server)
    assert client.fetch("/").body == b"home"
    after = len(server.lines)
    server.send(signal.SIGHUP)
    server.wait_line("reloaded", after=after)
    for _ in range(3):
        assert client.fetch("/").body == b"home"
    assert client.went_away is None


def test_access_log(launch_tls, folder, tmp_path):
    log = tmp_path / "access.log"
    server = launch_tls(folder, "--access-log", log)
    h2_connect(server).fetch("/small.txt")
    wait_until(lambda: log.exists() and "/small.txt" in log.read_text())
    assert re.search(r'"GET /small.txt HTTP/2(\.0)?" 200 10 ', log.read_text()), log.read_text()


# --- Chromium ---


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium is not installed (Debian packages chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("acceptInsecureCerts", True)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 "--ignore-certificate-errors", "--disable-background-networking",
                 f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
                 f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):  # fmt: skip
        options.add_argument(flag)
    service = webdriver.chrome.service.Service(driver)
    running = webdriver.Chrome(service=service, options=options)
    running.set_page_load_timeout(30)
    yield running
    running.quit()


PROTOCOLS = """
return performance.getEntries().filter(e => e.nextHopProtocol !== undefined)
    .map(e => [new URL(e.name, location).pathname, e.nextHopProtocol]);
"""


def test_chromium_speaks_h2(tls_server, browser):
    browser.get(f"https://{HOST}:{tls_server.tls.address[1]}/page.html")
    assert browser.title == "page"
    used = dict(map(tuple, browser.execute_script(PROTOCOLS)))
    assert used["/page.html"] == "h2" and used["/style.css"] == "h2", used
    colour = browser.execute_script("return getComputedStyle(document.body).color")
    assert colour == "rgb(0, 128, 0)"
