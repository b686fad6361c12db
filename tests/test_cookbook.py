"""The recipes in examples/: each is served as it is, and shown to work and to refuse.

docs/scripting.md has a section for each; a recipe without a test or without a section fails here.
"""

import base64
import hashlib
import hmac
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from harness import mmdb
from harness.bpf import CLANG
from harness.binary import ROOT, run_tarn
from harness.origin import Origin, Raw, Serve

EXAMPLES = ROOT / "examples"
RECIPES = sorted(p.parent.parent.name for p in EXAMPLES.glob("*/.tarn/scripts"))


SECRETS = {
    f"TARN_SCRIPT_{name}": "a-secret-of-at-least-32-bytes-for-tests"
    for name in ("URL_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY", "JWT_SECRET", "WEBHOOK_SECRET")
}


@pytest.fixture
def serve(launch, tmp_path):
    """serve(recipe, *options) → Server of a copy, which is `server.folder`."""

    def start(recipe, *options, **more):
        folder = tmp_path / recipe
        shutil.copytree(EXAMPLES / recipe, folder)
        server = launch(folder, *options, **more)
        server.folder = folder
        return server

    return start


def ask(server, target, *headers, method="GET", body=None, source=None, host="site.test"):
    """One request on a connection of its own; `source`: the address that it comes from."""
    if body is not None:
        headers = (*headers, f"Content-Length: {len(body)}")
    with server.connect(source=source) as wire:
        return wire.fetch(target, *headers, method=method, host=host, body=body or b"")


def reload(server):
    seen = len(server.lines)
    server.send(signal.SIGHUP)
    server.wait_line(r"reload", after=seen)


def hmac_hex(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def cookie_of(response):
    """NAME=VALUE of the cookie that an answer sets."""
    return response.get("Set-Cookie").split(";")[0]


# --- all of them ---


def scripts(recipe):
    return sorted((EXAMPLES / recipe / ".tarn" / "scripts").glob("*.c"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_a_test_and_a_section(recipe):
    assert f'serve("{recipe}"' in Path(__file__).read_text("utf-8"), "no test serves it"
    manual = (ROOT / "docs" / "scripting.md").read_text("utf-8")
    sections = manual.split("## Cookbook\n")[1].split("\n### ")[1:]
    for script in scripts(recipe):
        link = f"](../{script.relative_to(ROOT)})"
        assert sum(link in section for section in sections) == 1, f"no section, or two: {link}"


def test_every_folder_of_examples_is_a_recipe_or_the_site():
    folders = {p.name for p in EXAMPLES.iterdir() if p.is_dir()}
    assert folders - set(RECIPES) == {"site"}
    assert len(RECIPES) >= 22


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_compile_without_a_warning(recipe, tmp_path):
    for script in scripts(recipe):
        strict = ["-Wall", "-Wextra", "-Werror", "-I", ROOT / "sdk"]
        subprocess.run([*CLANG, *strict, "-o", tmp_path / "out.o", script], check=True)


@pytest.mark.skipif(not shutil.which("clang-format"), reason="there is no clang-format")
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_formatted(recipe):
    subprocess.run(["clang-format", "--dry-run", "-Werror", *scripts(recipe)], check=True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_found_to_be_right(recipe):
    done = run_tarn("check", EXAMPLES / recipe)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    for script in scripts(recipe):
        assert script.with_suffix(".o").name in done.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_recipes_keep_below_tarn_is_not_served(serve, recipe):
    server = serve(recipe)
    for path in [*scripts(recipe), *(EXAMPLES / recipe / ".tarn").glob("*.json")]:
        name = path.relative_to(EXAMPLES / recipe)
        for form in (f"/{name}", f"/{str(name).replace('.tarn', '%2etarn')}", f"/x/../{name}"):
            answer = ask(server, form)
            assert path.read_bytes() not in answer.body, form
            assert b"TARN_ENTRY" not in answer.body and answer.status >= 300, form


NASTY = ["", "\xff\xfe", "a\xff", "%FF", "%00", "%", "'\"<>&\\", "x" * 100, "x" * 7000, "1e999", "-1", "9" * 30, "..", "/", ";=;",
         "{", "\t \t", "%C3", "a,b;q=,", "Basic =", "Bearer .."]  # fmt: skip


def words_of(recipe, pattern):
    """What the scripts of a recipe ask for, or compare with."""
    text = "".join(script.read_text("utf-8") for script in scripts(recipe))
    return sorted(set(re.findall(pattern, text)))


def abuses(recipe):
    """(target, headers, body) of requests that nobody should send, made of what the recipe looks at."""
    paths = [p for p in words_of(recipe, r'"(/[a-z0-9/.-]*)') if not p.startswith("//")] or ["/"]
    headers = words_of(recipe, r'"([A-Z][A-Za-z]*(?:-[A-Z0-9][A-Za-z0-9]*)*)"')
    headers = [name for name in headers if name not in ("GET", "POST", "PUT", "DELETE", "HEAD")]
    cookies = words_of(recipe, r'zs_req_cookie\(ZS_STR\("(\w+)"')
    params = words_of(recipe, r'zs_req_query_param(?:_matches)?\(ZS_STR\("(\w+)"') or ["q"]
    for path in paths:
        for value in NASTY:
            lines = [f"{name}: {value}" for name in headers]
            if cookies:
                lines.append("Cookie: " + "; ".join(f"{name}={value}" for name in cookies))
            query = "&".join(f"{name}={quote(value, '%', 'latin-1')}" for name in params)
            yield path, lines, value.encode("latin-1")
            yield f"{path}?{query}", [], value.encode("latin-1")
            yield path + "/" + quote(value, "", "latin-1"), [], b""
            for line in lines:  # one alone gets further than all together
                yield path, [line], b""


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_that_clients_send_stops_a_recipe(serve, recipe):
    server = serve(recipe, "--max-request-size", "64K", env=SECRETS)
    with server.connect() as wire:
        for target, headers, body in abuses(recipe):
            for method in ("GET", "POST"):
                content = body if method == "POST" else b""
                length = [f"Content-Length: {len(content)}"] if content else []
                wire.request(target, *headers, *length, method=method, body=content)
                answer = wire.read_response()
                assert answer.status != 500, (method, target, headers, server.lines[-1])
                if answer.says_close:
                    wire.close()
                    wire.__init__(server.main.address)
    assert not [line for line in server.lines if "failed at" in line]


# --- one after the other ---


def test_redirects(serve):
    server = serve("redirects")
    answer = ask(server, "/blog/first.html")
    assert (answer.status, answer.get("Location")) == (308, "/articles/first.html")
    answer = ask(server, "/blog/a%20b/c?x=1&y=%26")
    assert (answer.status, answer.get("Location")) == (308, "/articles/a%20b/c?x=1&y=%26")
    answer = ask(server, "/start")
    assert (answer.status, answer.get("Location")) == (301, "/")
    answer = ask(server, "/status")
    assert (answer.status, answer.get("Location")) == (302, "https://status.example.com/")
    assert ask(server, "/articles/first.html").status == 200
    assert ask(server, "/blog").status == 404  # only what is below it


def test_redirects_by_host(serve):
    server = serve("redirects")
    answer = ask(server, "/articles/first.html?x=1", host="www.example.com")
    assert answer.status == 308
    assert answer.get("Location") == "https://example.com/articles/first.html?x=1"
    assert ask(server, "/", host="example.com").status == 200
    assert ask(server, "/", host="www.example.com.evil.test").status == 200
    # A path can become no host.
    answer = ask(server, "/blog//evil.test/x")
    assert answer.get("Location") == "/articles/evil.test/x"


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_basic_auth(serve):
    server = serve("basic-auth")
    answer = ask(server, "/private/", basic("alice", "correct-horse-battery-staple"))
    assert answer.status == 200
    assert "<h1>Hello alice</h1>" in answer.text
    assert answer.get("Cache-Control") == "private, no-store"
    assert ask(server, "/private/", basic("bob", "another-long-password")).status == 200
    assert ask(server, "/").status == 200


def test_basic_auth_refuses(serve):
    server = serve("basic-auth")
    for header in (
        "X-Nothing: 1",
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("alice", "correct-horse-battery-stapl"),
        basic("alice", "correct-horse-battery-staple:x"),
        basic("bob", "correct-horse-battery-staple"),
        basic("nobody", "x"),
        basic("\x00", "x"),
        basic("ä\xff", "x"),
        basic("", ""),
        "Authorization: Basic",
        "Authorization: Basic ",
        "Authorization: Basic !!!",
        "Authorization: Basic YWxpY2U=",  # no colon
        "Authorization: Bearer YWxpY2U6eA==",
        "Authorization: Basic " + "A" * 4000,
    ):
        answer = ask(server, "/private/", header)
        assert answer.status == 401, (header, answer)
        assert answer.get("WWW-Authenticate").startswith("Basic realm=")
        assert b"Hello" not in answer.body


@pytest.mark.parametrize(
    "path",
    ["/private", "/private/", "/%70rivate/", "//private/", "/x/../private/", "/private/./index.html"],
)
def test_basic_auth_sees_through_other_spellings(serve, path):
    answer = ask(serve("basic-auth"), path)
    assert answer.status == 401, answer


def test_api_keys(serve):
    server = serve("api-keys")
    answer = ask(server, "/api/builds.json", "X-Api-Key: ci-7c1f0a9e")
    assert answer.status == 200 and json.loads(answer.body)["builds"]
    for path in ("/api/builds.json", "/api/billing.json"):
        assert ask(server, path, "X-Api-Key: office-55b2d3c8").status == 200
    assert ask(server, "/").status == 200


def test_api_keys_refuse(serve):
    server = serve("api-keys")
    answer = ask(server, "/api/billing.json", "X-Api-Key: ci-7c1f0a9e")
    assert answer.status == 403
    assert json.loads(answer.body) == {"error": "this key does not open this path"}
    stored = json.loads((server.folder / ".tarn" / "api-keys.json").read_text())
    for header in (
        "X-Nothing: 1",
        "X-Api-Key: ",
        "X-Api-Key: ci-7c1f0a9f",
        "X-Api-Key: \xff\xfe",
        f"X-Api-Key: {next(iter(stored))}",  # who has read the file has no key
        "X-Api-Key: " + "k" * 2000,
    ):
        answer = ask(server, "/%61pi/builds.json", header)
        assert answer.status == 401, header
        assert json.loads(answer.body) == {"error": "a valid X-Api-Key is needed"}
        assert answer.get("Content-Type") == "application/json"


def test_ab_test(serve):
    server = serve("ab-test")
    answer = ask(server, "/", "Cookie: home=b")
    assert "Everything must go" in answer.text and not answer.all("Set-Cookie")
    assert "Welcome to the shop" in ask(server, "/", "Cookie: x=1; home=a").text
    seen = {"a": 0, "b": 0}
    for _ in range(64):
        answer = ask(server, "/")
        name, variant = cookie_of(answer).split("=")
        assert name == "home"
        assert ("Everything" in answer.text) == (variant == "b")
        assert answer.get("Cache-Control") == "private, no-cache"
        assert "Cookie" in answer.get("Vary")
        seen[variant] += 1
    assert seen["a"] and seen["b"]
    ask(server, "/thanks.html", "Cookie: home=b")
    ask(server, "/thanks.html")  # never saw the home page
    report = json.loads(ask(server, "/ab-report").body)
    assert report == {
        "a": {"seen": seen["a"], "bought": 0},
        "b": {"seen": seen["b"], "bought": 1},
    }


def test_ab_test_takes_no_other_variant(serve):
    server = serve("ab-test")
    for value in ("c", "ab", "../x", ""):
        answer = ask(server, "/", f"Cookie: home={value}")
        assert answer.status == 200 and cookie_of(answer) in ("home=a", "home=b")


def test_maintenance(serve):
    server = serve("maintenance")
    for path in ("/", "/no-such-page"):
        answer = ask(server, path)
        assert answer.status == 503
        assert "Back soon" in answer.text
        assert answer.get("Retry-After") == "600"
        assert answer.get("Cache-Control") == "no-store"
    assert ask(server, "/?bypass=wrong").status == 503
    assert ask(server, "/?bypass=").status == 503
    assert ask(server, "/", "Cookie: bypass=wrong").status == 503
    answer = ask(server, "/?bypass=let-me-in-9f2c")
    assert answer.status == 200 and "The shop" in answer.text
    assert ask(server, "/", f"Cookie: {cookie_of(answer)}").status == 200


def test_maintenance_is_switched_by_a_reload(serve):
    server = serve("maintenance")
    assert ask(server, "/").status == 503
    (server.folder / ".tarn" / "maintenance.json").write_text('{"on": false}')
    reload(server)
    answer = ask(server, "/")
    assert answer.status == 200 and not answer.all("Retry-After")


def test_canary(serve):
    server = serve("canary")
    assert "Version 1" in ask(server, "/").text
    answer = ask(server, "/?canary=on")
    assert "Version 2" in answer.text and cookie_of(answer) == "canary=on"
    answer = ask(server, "/", "Cookie: canary=on")
    assert "Version 2" in answer.text and not answer.all("Set-Cookie")
    assert "Cookie" in answer.get("Vary")
    # What the new version does not have comes from the old one.
    assert "About version 1" in ask(server, "/about.html", "Cookie: canary=on").text
    answer = ask(server, "/?canary=off", "Cookie: canary=on")
    assert "Version 1" in answer.text and "Max-Age=0" in answer.get("Set-Cookie")
    assert "Version 1" in ask(server, "/", "Cookie: canary=yes").text
    assert ask(server, "/nothing", "Cookie: canary=on").status == 404
    assert "Notes of version 2" in ask(server, "/release%20notes/", "Cookie: canary=on").text
    assert ask(server, "/release%20notes/").status == 404


def country(code):
    return {"country": {"iso_code": code, "names": {"en": f"The land of {code}"}}}


def test_geo_block(serve, tmp_path):
    networks = {"127.0.0.1/32": country("DE"), "127.0.0.2/31": country("AQ")}
    mmdb.write(tmp_path / "test.mmdb", networks)
    server = serve("geo-block", "--geoip", tmp_path / "test.mmdb")
    answer = ask(server, "/")
    assert answer.status == 200 and "Hello DE" in answer.text
    for source in ("127.0.0.2", "127.0.0.3"):
        answer = ask(server, "/", source=source)
        assert answer.status == 451
        assert answer.text == "Not available in your country.\n"
    answer = ask(server, "/", source="127.0.0.9")  # the database does not know it
    assert answer.status == 200 and "<h1>Hello </h1>" in answer.text
    assert ask(server, "/", "X-Forwarded-For: 127.0.0.1", source="127.0.0.2").status == 451


def test_geo_block_without_a_database_blocks_nobody(serve):
    assert ask(serve("geo-block"), "/", source="127.0.0.2").status == 200


URL_KEY = "a-long-secret-of-the-test"


def signed(path, expires):
    return f"{path}?expires={expires}&signature=" + hmac_hex(URL_KEY, f"{path}\n{expires}")


def test_signed_urls(serve):
    server = serve("signed-urls", env={"TARN_SCRIPT_URL_KEY": URL_KEY})
    link = re.search(r'href="([^"]+)"', ask(server, "/").text).group(1).replace("&amp;", "&")
    answer = ask(server, link)
    assert answer.status == 200 and answer.text == "the report\n"
    assert answer.get("Cache-Control") == "private, no-store"
    assert ask(server, signed("/downloads/other.txt", int(time.time()) + 60)).status == 200


def test_signed_urls_refuse(serve):
    server = serve("signed-urls", env={"TARN_SCRIPT_URL_KEY": URL_KEY})
    soon, past = int(time.time()) + 60, int(time.time()) - 5
    good = signed("/downloads/report.txt", soon)
    answer = ask(server, signed("/downloads/report.txt", past))
    assert (answer.status, answer.text) == (403, "This link has expired.\n")
    for target in (
        "/downloads/report.txt",
        "/downloads//report.txt",
        "/%64ownloads/report.txt",
        good.replace("report", "other"),
        good.replace(str(soon), str(soon + 1)),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good[:-1],
        good + "0",
        good.replace("signature=", "signature=%FF"),
        good.replace("expires=", "expires=0"),
        f"/downloads/report.txt?expires={soon}&signature=" + hmac_hex("x", "x"),
        "/downloads/" + "x" * 600,
    ):
        answer = ask(server, target)
        assert answer.status == 403, (target, answer)
        assert b"report" not in answer.body


def test_signed_urls_without_a_key_open_nothing(serve):
    server = serve("signed-urls")
    link = "/downloads/report.txt?expires=9999999999&signature=" + hmac_hex("", "x")
    assert ask(server, link).status == 403
    server.wait_line("TARN_SCRIPT_URL_KEY is not set")


ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def s3_signature(location):
    """What the signature of a presigned URL must be (AWS Signature Version 4, query form)."""
    url = urlsplit(location)
    pairs = [(k, v) for k, v in parse_qsl(url.query) if k != "X-Amz-Signature"]
    query = "&".join(sorted(f"{quote(k, '-_.~')}={quote(v, '-_.~')}" for k, v in pairs))
    values = dict(pairs)
    canonical = f"GET\n{url.path}\n{query}\nhost:{url.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    date, region, service, end = values["X-Amz-Credential"].split("/")[1:]
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            values["X-Amz-Date"],
            f"{date}/{region}/{service}/{end}",
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = ("AWS4" + SECRET_KEY).encode()
    for part in (date, region, service, end, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


@pytest.mark.parametrize("name", ["report.pdf", "a%20b.pdf", "%C3%A4/x+y.pdf"])
def test_s3_presign(serve, name):
    env = {"TARN_SCRIPT_S3_ACCESS_KEY": ACCESS_KEY, "TARN_SCRIPT_S3_SECRET_KEY": SECRET_KEY}
    server = serve("s3-presign", env=env)
    answer = ask(server, f"/files/{name}")
    assert answer.status == 307 and answer.get("Cache-Control") == "private, no-store"
    url = urlsplit(answer.get("Location"))
    values = dict(parse_qsl(url.query))
    assert url.netloc == "reports.s3.eu-central-1.amazonaws.com"
    assert values["X-Amz-Expires"] == "60" and values["X-Amz-SignedHeaders"] == "host"
    assert values["X-Amz-Credential"].startswith(ACCESS_KEY + "/")
    assert values["X-Amz-Signature"] == s3_signature(answer.get("Location"))
    assert SECRET_KEY not in answer.head.decode()


def test_s3_presign_without_credentials(serve):
    server = serve("s3-presign")
    assert ask(server, "/files/report.pdf").status == 500
    server.wait_line("no TARN_SCRIPT_S3_ACCESS_KEY")
    assert ask(server, "/").status == 200


def test_json_api(serve):
    server = serve("json-api")
    answer = ask(server, "/api/notes", method="POST", body=b'{"text": "buy milk"}')
    assert answer.status == 201 and json.loads(answer.body) == {"text": "buy milk"}
    place = answer.get("Location")
    assert place == "/api/notes/1"
    assert json.loads(ask(server, place).body) == {"text": "buy milk"}
    assert ask(server, place, method="PUT", body=b'{"text": "bread"}').status == 204
    assert json.loads(ask(server, place).body) == {"text": "bread"}
    ask(server, "/api/notes", method="POST", body=b'{"text": "two"}')
    assert json.loads(ask(server, "/api/notes").body) == [1, 2]
    assert ask(server, place, method="DELETE").status == 204
    assert ask(server, place).status == 404
    assert json.loads(ask(server, "/api/notes").body) == [2]


def test_json_api_lists_the_last_hundred(serve):
    server = serve("json-api")
    with server.connect() as wire:
        for i in range(110):
            body = b'{"n":%d}' % i
            length = f"Content-Length: {len(body)}"
            assert wire.fetch("/api/notes", length, method="POST", body=body).status == 201
    assert json.loads(ask(server, "/api/notes").body) == list(range(11, 111))


def test_json_api_refuses(serve):
    server = serve("json-api")
    for body in (b"", b"milk", b'{"text": ', b'["list"]', b"3", b"\xff\xfe", b"[" * 300):
        answer = ask(server, "/api/notes", method="POST", body=body)
        assert answer.status == 400, body
        assert "error" in json.loads(answer.body)
    big = json.dumps({"text": "x" * 5000}).encode()
    assert ask(server, "/api/notes", method="POST", body=big).status == 413
    assert ask(server, "/api/notes/7").status == 404
    assert ask(server, "/api/notes/7", method="PUT", body=b"{}").status == 404
    assert ask(server, "/api/notes/7", method="DELETE").status == 404
    assert ask(server, "/api/notes/x").status == 404
    assert ask(server, "/api/notes/1/2").status == 404
    assert ask(server, "/api/notes/9999999999999999999").status == 404
    answer = ask(server, "/api/notes", method="DELETE")
    assert (answer.status, answer.get("Allow")) == (405, "GET, HEAD, POST")
    answer = ask(server, "/api/notes/1", method="POST", body=b"{}")
    assert (answer.status, answer.get("Allow")) == (405, "GET, HEAD, PUT, DELETE")
    assert json.loads(ask(server, "/api/notes").body) == []


def test_json_api_outlives_a_reload(serve):
    server = serve("json-api")
    ask(server, "/api/notes", method="POST", body=b'{"text": "kept"}')
    reload(server)
    assert json.loads(ask(server, "/api/notes/1").body) == {"text": "kept"}


def statuses(server, count, *headers, **options):
    """Of requests as fast as one connection can."""
    with server.connect(**options) as wire:
        answers = [wire.fetch("/api/quote.json", *headers) for _ in range(count)]
    for answer in answers:
        assert (answer.status == 429) == bool(answer.all("Retry-After"))
    return [answer.status for answer in answers]


def test_rate_limit(serve):
    server = serve("rate-limit")
    assert statuses(server, 7) == [200] * 5 + [429] * 2
    assert statuses(server, 1) == [429]  # another connection, the same client
    # A known key counts by itself, with its own limit; an unknown one is no way around.
    assert statuses(server, 5, "X-Api-Key: office-55b2d3c8") == [200] * 3 + [429] * 2
    assert statuses(server, 1, "X-Api-Key: invented") == [429]
    assert statuses(server, 1, "X-Api-Key: \xff") == [429]
    assert statuses(server, 1, source="127.0.0.2") == [200]
    assert ask(server, "/").status == 200


def test_rate_limit_outlives_a_reload(serve):
    server = serve("rate-limit")
    for _ in range(4):  # enough a second that some are refused after it
        statuses(server, 25)
    reload(server)
    assert 429 in statuses(server, 6)


def test_cors(serve):
    server = serve("cors")
    answer = ask(server, "/api/rates.json", "Origin: https://app.example.com")
    assert answer.status == 200
    assert answer.get("Access-Control-Allow-Origin") == "https://app.example.com"
    assert answer.get("Access-Control-Allow-Credentials") == "true"
    assert "Origin" in answer.get("Vary")
    preflight = ("Origin: http://localhost:3000", "Access-Control-Request-Method: PUT")
    answer = ask(server, "/api/rates.json", *preflight, method="OPTIONS")
    assert answer.status == 204 and answer.body == b""
    assert answer.get("Access-Control-Allow-Origin") == "http://localhost:3000"
    assert "PUT" in answer.get("Access-Control-Allow-Methods")


def test_cors_refuses(serve):
    server = serve("cors")
    for origin in (
        "https://evil.test",
        "https://app.example.com.evil.test",
        "https://app.example.comx",
        "http://app.example.com",
        "null",
        "\xff",
    ):
        answer = ask(server, "/api/rates.json", f"Origin: {origin}")
        assert answer.status == 200 and not answer.all("Access-Control-Allow-Origin"), origin
        assert "Origin" in answer.get("Vary")
    preflight = ("Origin: https://evil.test", "Access-Control-Request-Method: PUT")
    answer = ask(server, "/api/rates.json", *preflight, method="OPTIONS")
    assert not answer.all("Access-Control-Allow-Methods")
    answer = ask(server, "/", "Origin: https://app.example.com")
    assert not answer.all("Access-Control-Allow-Origin")


def test_security_headers(serve):
    server = serve("security-headers")
    nonces = set()
    for path in ("/", "/", "/missing"):
        answer = ask(server, path)
        assert answer.get("X-Frame-Options") == "DENY"
        assert answer.get("Strict-Transport-Security").startswith("max-age=")
        policy = answer.get("Content-Security-Policy")
        nonce = re.search(r"'nonce-([0-9a-f]{32})'", policy).group(1)
        nonces.add(nonce)
        if answer.status == 200:
            assert f'<script nonce="{nonce}">' in answer.text
    assert len(nonces) == 3


def test_hotlink(serve):
    server = serve("hotlink")
    assert ask(server, "/images/cat.svg").status == 200
    answer = ask(server, "/images/cat.svg", "Referer: http://site.test/index.html")
    assert answer.status == 200 and "Referer" in answer.get("Vary")
    for referer in (
        "https://other.example/",
        "https://other.example/http://site.test/",
        "http://site.test.other.example/",
        "nonsense",
        "\xff",
        "https://other.example/" + "x" * 1000,
    ):
        answer = ask(server, "/%69mages/cat.svg", f"Referer: {referer}")
        assert answer.status == 403 and b"<svg" not in answer.body, referer
    assert ask(server, "/", "Referer: https://other.example/").status == 200


def test_request_log(serve):
    server = serve("request-log")
    ask(server, "/?q=1", "Accept-Language: de")
    line = server.wait_line(r'(\{"method":.*\})').group(1)
    entry = json.loads(line)
    assert entry.pop("ms") < 5000
    assert entry == {"method": "GET", "uri": "/?q=1", "language": "de", "status": 200}
    seen = len(server.lines)
    ask(server, '/missing?"}{\\', 'Accept-Language: "},\\"\xff', method="HEAD")
    entry = json.loads(server.wait_line(r'(\{"method":.*\})', after=seen).group(1))
    assert (entry["method"], entry["status"]) == ("HEAD", 404)


def test_header_rewrite(serve):
    server = serve("header-rewrite")
    answer = ask(
        server,
        "/app/echo?utm_source=mail&q=1&utm_medium=x",
        "X-Internal-User: root",
        "X-Forwarded-Proto: https",
        "X-Old-Version: 3",
        "Accept: text/json;q=0.9",
        "X-Request-Id: forged",
    )
    seen = json.loads(answer.body)
    assert re.fullmatch("[0-9a-f]{16}", seen.pop("X-Request-Id"))
    assert seen == {"uri": "/echo?q=1", "X-Api-Version": "3", "Accept": "application/json;q=0.9"}
    answer = ask(server, "/app/index.html?utm_campaign=1")
    assert answer.status == 200 and "The front page" in answer.text
    assert re.fullmatch("[0-9a-f]{16}", answer.get("X-Request-Id"))


def test_template(serve):
    server = serve("template")
    text = ask(server, "/?name=Ada", "Cookie: theme=dark").text
    assert "<title>Hello Ada</title>" in text
    assert re.search(r"<h1>Good (night|morning|afternoon|evening), Ada!</h1>", text)
    assert '<body class="dark">' in text and "HTTP/1.1" in text
    assert "zs-meta" not in text and "Nothing here: \n" in text
    text = ask(server, "/", "Cookie: theme=pink").text
    assert "stranger" in text and '<a href="/?name=Ada">' in text and 'class="light"' in text
    text = ask(server, "/?name=%3Cscript%3Ealert(%27%22%26)%3C/script%3E").text
    assert "<script>" not in text and "&lt;script&gt;" in text


def flags_of(answer):
    return set(re.search(r'data-flags="([^"]*)"', answer.text).group(1).split())


def test_feature_flags(serve):
    server = serve("feature-flags")
    answer = ask(server, "/", "Cookie: visitor=beef; group=beta")
    assert flags_of(answer) == {"dark-mode", "new-search", "one-click"}
    assert '<input type="search"' in answer.text
    answer = ask(server, "/")
    assert cookie_of(answer).startswith("visitor=")
    first = flags_of(answer)
    assert flags_of(ask(server, "/", f"Cookie: {cookie_of(answer)}")) == first
    on = sum("new-search" in flags_of(ask(server, "/", f"Cookie: visitor={i}")) for i in range(200))
    assert 15 < on < 65, "of 200 visitors about 40 should have it"


def test_feature_flags_follow_the_file(serve):
    server = serve("feature-flags")
    file = server.folder / ".tarn" / "flags.json"
    assert flags_of(ask(server, "/", "Cookie: visitor=\xff\xfe")) >= {"dark-mode"}
    file.write_text('{"one-click": {"percent": 100}}')
    reload(server)
    assert flags_of(ask(server, "/", "Cookie: visitor=1")) == {"one-click"}
    file.write_text("no JSON")
    reload(server)
    assert flags_of(ask(server, "/", "Cookie: visitor=1")) == set()


def test_call(serve):
    server = serve("call")
    answer = ask(server, "/price?item=tea&count=3")
    assert json.loads(answer.body) == {"item": "tea", "cents": 720}
    assert json.loads(ask(server, "/price?item=coffee").body)["cents"] == 350
    for query in ("", "?item=gold", "?item=", "?item=%FF"):
        answer = ask(server, f"/price{query}")
        assert (answer.status, answer.text) == (404, "There is no such item.\n"), query


def test_response_hook(serve):
    server = serve("response-hook")
    answer = ask(server, "/report.csv")
    assert answer.status == 200 and answer.text == "day,visits\n1,17\n"
    assert answer.get("Content-Disposition") == "attachment"
    assert re.fullmatch(r"app;dur=\d+", answer.get("Server-Timing"))
    answer = ask(server, "/")
    assert answer.all("Server-Timing") and not answer.all("Content-Disposition")
    assert ask(server, "/missing").all("Server-Timing")
    answer = ask(server, "/?broken")
    assert answer.status == 503 and answer.text == "The database does not answer.\n"


JWT_SECRET = "a-secret-of-at-least-32-bytes-for-tests"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=JWT_SECRET, header=None, **changes):
    now = int(time.time())
    claims = {
        "iss": "https://login.example.com",
        "aud": "shop",
        "sub": "ada",
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    claims = {k: v for k, v in claims.items() if v is not None}
    head = b64url(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode())
    text = f"{head}.{b64url(json.dumps(claims).encode())}"
    return f"{text}.{b64url(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def test_jwt(serve):
    server = serve("jwt", env={"TARN_SCRIPT_JWT_SECRET": JWT_SECRET})
    answer = ask(server, "/members/", f"Authorization: Bearer {token()}")
    assert answer.status == 200 and "Hello ada" in answer.text
    answer = ask(server, "/members/", f"Cookie: token={token(sub='bob')}")
    assert answer.status == 200 and "Hello bob" in answer.text
    assert ask(server, "/").status == 200


def test_jwt_refuses(serve):
    server = serve("jwt", env={"TARN_SCRIPT_JWT_SECRET": JWT_SECRET})
    good = token()
    past = int(time.time()) - 3600
    head, claims, signature = good.split(".")
    other = token(sub="root").split(".")[1]
    for bad in (
        "",
        "x",
        "x.y.z",
        good[:-2],
        good + "x",
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        token(secret="another"),
        token(exp=past),
        token(nbf=int(time.time()) + 3600),
        token(iss="https://evil.test"),
        token(aud="other"),
        token(header={"alg": "none"}),
        b64url(b'{"alg":"none"}') + f".{claims}.",
        token(header={"alg": "HS512"}),
        good + "A" * 4000,
        "\xff" * 20,
    ):
        for header in (f"Authorization: Bearer {bad}", f"Cookie: token={bad}"):
            answer = ask(server, "/members/", header)
            assert answer.status == 401, (bad, answer)
            assert answer.get("WWW-Authenticate") == "Bearer"
    assert ask(server, "/%6Dembers/index.html").status == 401


def test_jwt_without_a_secret_lets_nobody_in(serve):
    server = serve("jwt")
    assert ask(server, "/members/", f"Authorization: Bearer {token(secret='')}").status == 401
    server.wait_line("TARN_SCRIPT_JWT_SECRET is not set")


def test_counter(serve):
    server = serve("counter")
    for i in range(1, 4):
        assert f"Seen {i} times" in ask(server, "/").text
    assert "Seen 1 times" in ask(server, "/about.html").text
    report = json.loads(ask(server, "/count?page=/").body)
    assert (report["page"], report["seen"]) == ("/", 3)
    assert report["today"] <= 3  # midnight may have passed
    assert ask(server, "/missing.html").status == 404
    assert json.loads(ask(server, "/count?page=/missing.html").body)["seen"] == 0
    reload(server)
    assert "Seen 4 times" in ask(server, "/").text


def test_counter_loses_nothing(serve):
    """Workers count at the same time."""
    server = serve("counter", "--threads", "2")
    wires = [server.connect() for _ in range(8)]
    for _ in range(25):
        for wire in wires:
            wire.request("/")
        for wire in wires:
            assert wire.read_response().status == 200
    assert json.loads(ask(server, "/count?page=/").body)["seen"] == 200


def cache_control(server, target, *headers):
    return ask(server, target, *headers).get("Cache-Control")


def test_cache_headers(serve):
    server = serve("cache-headers")
    assert "immutable" in cache_control(server, "/assets/app.js?v=42")
    assert "max-age=300" in cache_control(server, "/assets/app.js")
    assert cache_control(server, "/assets/missing.js?v=42") == "public, max-age=10"
    assert cache_control(server, "/") == "public, no-cache"
    assert cache_control(server, "/", "Cookie: session=1") == "private, no-cache"
    assert cache_control(server, "/", "Authorization: Bearer x") == "private, no-store"
    assert cache_control(server, "/account/") == "private, no-store"
    assert cache_control(server, "/%61ccount/") == "private, no-store"
    # Conditional requests go on working.
    etag = ask(server, "/assets/app.js").get("ETag")
    answer = ask(server, "/assets/app.js", f"If-None-Match: {etag}")
    assert answer.status == 304 and "max-age=300" in answer.get("Cache-Control")


@pytest.mark.parametrize(
    "header, language",
    [
        ("fr;q=0.4, de-CH", "de"),
        ("fr", "fr"),
        ("FR-ca, en;q=0.9", "fr"),
        ("es, it", "en"),
        ("es, it;q=0.9, de;q=0.1", "de"),
        ("en;q=0.2, fr;q=0.75, de;q=0.8", "de"),
        ("de;q=0, fr;q=0.001", "fr"),
        ("den, dea", "en"),
        ("de;q=0", "en"),
        ("", "en"),
        (",,;q=,\xff;;", "en"),
        ("x" * 400, "en"),
    ],
)
def test_language(serve, header, language):
    server = serve("language")
    answer = ask(server, "/", f"Accept-Language: {header}")
    assert (answer.status, answer.get("Location")) == (302, f"/{language}/")
    assert "Accept-Language" in answer.get("Vary")


def test_language_can_be_chosen(serve):
    server = serve("language")
    answer = ask(server, "/fr/?choose")
    assert "Bienvenue" in answer.text and cookie_of(answer) == "language=fr"
    answer = ask(server, "/", "Cookie: language=fr", "Accept-Language: de")
    assert answer.get("Location") == "/fr/"
    answer = ask(server, "/", "Cookie: language=/evil.test", "Accept-Language: de")
    assert answer.get("Location") == "/de/"
    assert not ask(server, "/de/").all("Set-Cookie")


def test_fetch_merge(serve):
    with Origin() as origin:
        origin.put("/users/7", Serve(b'{"name": "Ada"}'))
        origin.put("/orders/7", Serve(b'[{"id": 1}]'))
        server = serve("fetch-merge", env={"TARN_SCRIPT_BACKEND": origin.url("")})
        answer = ask(server, "/api/dashboard?user=7")
        assert answer.status == 200
        assert json.loads(answer.body) == {"user": {"name": "Ada"}, "orders": [{"id": 1}]}
        ask(server, "/api/dashboard?user=7/../../admin%22")
        for query in ("", "?user=", "?user=x7"):
            assert ask(server, f"/api/dashboard{query}").status == 400
        assert not [r for r in origin.requests() if "admin" in r.path]


def test_fetch_merge_without_all_of_it(serve):
    with Origin() as origin:
        server = serve("fetch-merge", env={"TARN_SCRIPT_BACKEND": origin.url("")})
        origin.put("/users/7", Serve(b'{"name": "Ada"}'))
        for bad in (Serve(b"[]", 500), Serve(b"no JSON"), Serve(b""), Raw(b""), Raw(b"x", "reset")):
            origin.put("/orders/7", bad)
            answer = ask(server, "/api/dashboard?user=7")
            assert json.loads(answer.body) == {"user": {"name": "Ada"}, "orders": None}
        answer = ask(server, "/api/dashboard?user=8")
        assert answer.status == 502
    assert ask(server, "/api/dashboard?user=7").status == 502  # nobody listens any more


def test_fetch_merge_waits_without_holding_others_up(serve):
    with Origin() as origin:
        origin.put("/users/7", Raw(b"", "silence"))
        server = serve(
            "fetch-merge", "--threads", "1", env={"TARN_SCRIPT_BACKEND": origin.url("")}
        )
        with server.connect() as slow:
            slow.request("/api/dashboard?user=7")
            origin.wait_count("/users/7", 1)
            assert ask(server, "/").status == 200
            assert slow.is_quiet()
            assert slow.read_response().status == 502  # after timeout_ms


def test_custom_404(serve):
    server = serve("custom-404")
    answer = ask(server, "/no/such?x=1")
    assert answer.status == 404 and "There is no /no/such</h1>" in answer.text
    assert answer.get("Cache-Control") == "no-store"
    answer = ask(server, "/nothing", "Accept: application/json")
    assert answer.status == 404 and json.loads(answer.body) == {"missing": "/nothing"}
    answer = ask(server, "/%3Cscript%3E")
    assert b"<script>" not in answer.body
    assert ask(server, "/").status == 200
    with server.connect() as wire:  # each request is a new one
        assert [wire.fetch(p).status for p in ("/x", "/", "/x", "/")] == [404, 200, 404, 200]


WEBHOOK_SECRET = "the-secret-of-the-hook"
PUSH = b'{"ref": "refs/heads/main", "commits": []}'


def deliver(server, body=PUSH, secret=WEBHOOK_SECRET):
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    header = f"X-Hub-Signature-256: sha256={signature}"
    return ask(server, "/hooks/github", header, method="POST", body=body)


def test_webhook(serve):
    server = serve("webhook", env={"TARN_SCRIPT_WEBHOOK_SECRET": WEBHOOK_SECRET})
    assert deliver(server).status == 204
    answer = deliver(server)  # recorded and sent again
    assert (answer.status, answer.text) == (200, "This one came before.\n")
    assert deliver(server, PUSH + b" ").status == 204
    assert ask(server, "/hooks/pushes?branch=refs/heads/main").text == "2\n"
    assert ask(server, "/hooks/pushes?branch=refs/heads/other").text == "0\n"
    big = b'{"ref": "refs/heads/big", "x": "' + b"x" * 60000 + b'"}'
    assert deliver(server, big).status == 204
    assert ask(server, "/hooks/pushes?branch=refs/heads/big").text == "1\n"


def test_webhook_refuses(serve):
    server = serve("webhook", env={"TARN_SCRIPT_WEBHOOK_SECRET": WEBHOOK_SECRET})
    assert deliver(server, secret="wrong").status == 401
    signature = hmac.new(WEBHOOK_SECRET.encode(), PUSH, hashlib.sha256).hexdigest()
    post = {"method": "POST", "body": PUSH.replace(b"main", b"evil")}
    for header in (
        f"X-Hub-Signature-256: sha256={signature}",  # of another body
        f"X-Hub-Signature-256: {signature}",
        f"X-Hub-Signature-256: sha256={signature[:-1]}",
        "X-Hub-Signature-256: sha256=",
        "X-Hub-Signature-256: \xff",
        "X-Nothing: 1",
    ):
        assert ask(server, "/hooks/github", header, **post).status == 401, header
    assert deliver(server, b"no JSON").status == 400
    assert deliver(server, b'{"x": "' + b"x" * 70000 + b'"}').status == 413
    assert deliver(server, b'{"x": "' + b"x" * 300000 + b'"}').status == 413
    assert ask(server, "/hooks/github").status == 404
    assert ask(server, "/hooks/pushes?branch=refs/heads/evil").text == "0\n"


def test_webhook_without_a_secret_takes_nothing(serve):
    server = serve("webhook")
    assert deliver(server, secret="").status == 401


def test_ip_allow(serve):
    server = serve("ip-allow")
    assert "machine room" in ask(server, "/admin/").text
    for path in ("/admin/", "/admin", "/%61dmin/", "//admin/", "/x/../admin/index.html"):
        answer = ask(server, path, "X-Forwarded-For: 127.0.0.1", source="127.0.0.2")
        assert answer.status == 404 and b"machine room" not in answer.body, path
    assert ask(server, "/", source="127.0.0.2").status == 200
