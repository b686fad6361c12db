"""Scripts from C to a server: `tarn sdk`, `compile`, `pack`, `check`, and where `serve` finds them."""

import os
import re
import shutil
import signal
import subprocess
import tarfile

import pytest

from harness.binary import ROOT, run_tarn
from harness.bpf import CLANG
from harness.site import build_site, tar_bytes

WARNINGS = ["-Wall", "-Wextra", "-Werror"]

GOOD = """\
#include <tarn.h>

TARN_ENTRY zs_u64 request(void)
{
    zs_respond(200, ZS_STR("%s"));
    return 0;
}
"""

# Each adds its letter to a header that all of them set.
NOTE = """\
#include <tarn.h>

TARN_ENTRY zs_u64 request(void)
{
    char seen[64];
    zs_s64 len = zs_meta_get(ZS_STR("seen"), seen, sizeof seen);
    seen[len] = '%s';
    zs_meta_set(ZS_STR("seen"), seen, len + 1);
    zs_meta_set(ZS_STR("zs.response.header.X-Seen"), seen, len + 1);
    return 0;
}
"""

BAD = "#include <tarn.h>\n\nTARN_ENTRY zs_u64 request(void)\n{\n    return nothing;\n}\n"
BAD_WORDS = r"bad\.c:5:12: error: use of undeclared identifier 'nothing'"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def note(letter):
    return NOTE % letter


def failed(*args, **options):
    """Exit code 1; what stands on standard error."""
    done = run_tarn(*args, **options)
    assert done.returncode == 1, done
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def no_clang(tmp_path):
    """A PATH without any compiler."""
    (tmp_path / "empty-path").mkdir()
    return {"PATH": str(tmp_path / "empty-path")}


# --- the header ---


def test_sdk_prints_the_header():
    header = (ROOT / "sdk" / "tarn.h").read_text("utf-8")
    assert run_tarn("sdk").stdout == header
    assert run_tarn("--dump-sdk").stdout == header
    zeroserve = (ROOT / "sdk" / "zeroserve.h").read_text("utf-8")
    assert run_tarn("sdk", "--zeroserve").stdout == zeroserve
    done = run_tarn("sdk", command=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert done.returncode == 1 and "cannot write to standard output" in done.stderr


def test_the_header_stands_alone_under_any_name(tmp_path):
    """As `--dump-sdk > zeroserve.h` and a compiler's own options."""
    write(tmp_path / "zeroserve.h", run_tarn("--dump-sdk").stdout)
    source = write(tmp_path / "a.c", "#include <zeroserve.h>\nZS_ENTRY int f(void) { return 0; }\n")
    subprocess.run([*CLANG, *WARNINGS, "-I.", "-o", "a.o", source], cwd=tmp_path, check=True)
    assert run_tarn("compile", source).returncode == 0


@pytest.mark.parametrize("name", ["tarn.h", "zeroserve.h"])
@pytest.mark.parametrize(
    "compiler",
    [CLANG[:-1], ["gcc", "-std=c11"], ["gcc", "-std=gnu17", "-O2"], ["clang", "-std=c99"]],
    ids=["bpf", "gcc", "gcc-O2", "clang"],
)
def test_the_header_compiles_without_a_warning(tmp_path, compiler, name):
    source = write(tmp_path / "a.c", f"#include <{name}>\n#include <{name}>\nint x;\n")
    done = subprocess.run(
        [*compiler, *WARNINGS, f"-I{ROOT}/sdk", "-c", "-o", tmp_path / "a.o", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# In the manner in which scripts for zeroserve are written, with what their header gives.
ZEROSERVE_SCRIPTS = {
    "types": """
#include <zeroserve.h>

static ZS_INLINE int starts_with(const char *text, const char *prefix) {
  size_t len = zs_strlen(prefix);
  return zs_strncmp(text, prefix, len) == 0;
}

ZS_ENTRY
zs_u64 entry(void) {
  char path[256], digits[16];
  uint64_t now = zs_now_ms();
  int64_t result = zs_req_path(path, sizeof(path));
  if (result < 0 || !starts_with(path, "/api"))
    return 0;
  int n = zs_utoa10((unsigned int)(now % 1000), digits, sizeof(digits));
  if (n > 0)
    zs_respond(200, digits, (zs_u64)n);
  return 0;
}
""",
    "call": """
#include <zeroserve.h>

ZS_CALL_ENTRY(greet, input) {
  char name[64];
  zs_s64 node = zs_json_get(input, ZS_STR("name"));
  if (node < 0)
    return -1;
  zs_json_read_string(node, name, sizeof(name));
  zs_s64 out = zs_json_new_object();
  zs_s64 value = zs_json_new_object();
  zs_json_set_string(value, ZS_STR(name));
  zs_json_set(out, ZS_STR("hello"), value);
  zs_object_free(value);
  return out;
}

ZS_ENTRY zs_u64 entry(void) {
  zs_s64 payload = zs_json_parse(ZS_STR("{\\"name\\":\\"x\\"}"));
  zs_s64 reply = zs_call(ZS_STR("call"), ZS_STR("greet"), payload);
  if (reply < 0) { zs_respond(502, ZS_STR("call failed\\n")); return 0; }
  zs_json_respond(200, reply);
  zs_res_hook(ZS_STR(""), ZS_STR("greet"), payload);
  return 0;
}
""",
    "hashes": """
#include <zeroserve.h>

ZS_ENTRY zs_u64 entry(void) {
  uint8_t digest[32];
  char hex[65], key[64], peer[64], base[64];
  zs_env_get(ZS_STR("TARN_SCRIPT_KEY"), key, sizeof(key));
  zs_req_peer(peer, sizeof(peer));
  zs_hmac_sha256(ZS_STR(key), ZS_STR(peer), digest);
  zs_sha256(digest, sizeof(digest), digest, 32);
  hex[zs_hex_encode(digest, 32, hex, sizeof(hex), ZS_HEX_LOWERCASE)] = '\\0';
  zs_base64_encode(digest, 32, base, sizeof(base), ZS_BASE64_URL_NO_PAD);
  if (zs_rate_limit(ZS_STR(peer), 10, 100, 1000) == ZS_RATE_LIMIT_EXCEEDED_SECOND)
    zs_respond(429, ZS_STR("slow\\n"));
  zs_memset(digest, 0, sizeof(digest));
  if (zs_memcmp(hex, base, 4) == 0)
    zs_log(ZS_STR_WITH_NULL(hex));
  return ZS_MIN(1, 2) + ZS_MAX(3, 4);
}
""",
    "sigv4": """
#include <zeroserve.h>

ZS_ENTRY zs_u64 entry(void) {
  char out[1024];
  zs_s64 headers = zs_json_parse(ZS_STR("{\\"host\\":\\"b.s3.amazonaws.com\\"}"));
  zs_aws_v4_sign_params params = {
      .access_key = "AK", .access_key_len = 2, .secret_key = "SK", .secret_key_len = 2,
      .region = "us-east-1", .region_len = 9, .service = "s3", .service_len = 2,
      .method = "GET", .method_len = 3, .uri = "/x", .uri_len = 2,
      .headers_json = (zs_u64)headers, .timestamp_ms = (zs_s64)zs_now_ms(),
      .out = out, .out_len = sizeof(out)};
  zs_s64 len = zs_aws_v4_presigned_url(&params, sizeof(params), 60);
  if (len > 0)
    zs_respond(302, out, (zs_u64)len);
  return 0;
}
""",
    "oidc": """
#include <zeroserve.h>

ZS_ENTRY zs_u64 entry(void) {
  zs_s64 cfg = zs_json_parse(ZS_STR("{}"));
  char uri[512];
  zs_req_uri(uri, sizeof(uri));
  zs_s64 session = zs_oidc_session_verify(cfg);
  if (session <= 0)
    zs_oidc_begin_login(cfg, ZS_STR(uri));
  if (zs_strrchr(uri, '?'))
    zs_oidc_logout(cfg, ZS_STR(""));
  zs_oidc_handle_callback(cfg);
  return 0;
}
""",
}


@pytest.mark.parametrize("name", ZEROSERVE_SCRIPTS)
def test_scripts_for_zeroserve_compile_unchanged(tmp_path, name):
    done = run_tarn("compile", write(tmp_path / f"{name}.c", ZEROSERVE_SCRIPTS[name]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- compile ---


def test_compile_writes_an_object_file_beside_the_source(tmp_path):
    source = write(tmp_path / "auth.c", GOOD % "x")
    done = run_tarn("compile", source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    beside = (tmp_path / "auth.o").read_bytes()
    assert beside.startswith(b"\x7fELF")
    assert sorted(os.listdir(tmp_path)) == ["auth.c", "auth.o"]
    other = tmp_path / "sub" / "other.o"
    other.parent.mkdir()
    assert run_tarn("compile", source, "-o", other).returncode == 0
    assert other.read_bytes() == beside
    assert run_tarn("compile", source, "-o", "-", text=False).stdout == beside


def test_compile_replaces_what_was_there_only_when_all_is_well(tmp_path):
    source = write(tmp_path / "bad.c", BAD)
    target = write(tmp_path / "bad.o", "old")
    assert re.search(BAD_WORDS, failed("compile", source))
    assert target.read_text() == "old"
    source.write_text(GOOD % "x")
    assert run_tarn("compile", source).returncode == 0
    assert target.read_bytes().startswith(b"\x7fELF")
    assert "would be overwritten" in failed("compile", source, "-o", source)
    assert "cannot create" in failed("compile", source, "-o", tmp_path / "none" / "x.o")


def test_compile_shows_the_words_of_the_compiler(tmp_path):
    write(tmp_path / "sub" / "bad.c", BAD)
    lines = failed("compile", "sub/bad.c", cwd=tmp_path).splitlines()
    assert re.fullmatch(r"sub/bad\.c:5:12: error: use of undeclared identifier 'nothing'", lines[0])
    assert lines[1].endswith("return nothing;") and lines[2].endswith("^")
    assert lines[-2] == "1 error generated."
    assert re.fullmatch(
        r"tarn: error: compile: 'sub/bad\.c' does not compile \(/\S+, exit code 1\)", lines[-1]
    )


def test_compile_names_functions_that_are_no_helpers(tmp_path):
    text = "#include <tarn.h>\nextern zs_s64 zs_lgo(void);\nTARN_ENTRY zs_s64 f(void) { return zs_lgo(); }\n"
    stderr = failed("compile", write(tmp_path / "a.c", text))
    assert "calls zs_lgo, which is no helper; zs_log is one" in stderr
    assert not (tmp_path / "a.o").exists()
    text = "#include <tarn.h>\nTARN_ENTRY zs_s64 f(void) { return zs_caddy_encode(0, 0); }\n"
    assert "zs_caddy_encode" in failed("compile", write(tmp_path / "a.c", text))


@pytest.mark.parametrize(
    "text,why",
    [
        ("int f(void) { return 1; }", "has neither a zeroserve.request section nor one for calls"),
        ("#include <tarn.h>\nZS_TLS_ENTRY int f(void) { return 1; }", "TLS handshakes"),
        ("#include <tarn.h>\nint x[1 << 22];\nTARN_ENTRY int f(void) { return x[1]; }", "a.o"),
    ],
    ids=["no-entry", "tls", "memory"],
)
def test_compile_refuses_what_a_server_would(tmp_path, text, why):
    assert why in failed("compile", write(tmp_path / "a.c", text))
    assert not (tmp_path / "a.o").exists()


def test_without_a_compiler_it_says_what_to_install(tmp_path, no_clang):
    source = write(tmp_path / "a.c", GOOD % "x")
    stderr = failed("compile", source, env=no_clang)
    assert "there is no clang on PATH" in stderr
    assert "clang 19 or newer" in stderr and "clang-19" in stderr and "tarn pack" in stderr
    assert len(stderr.splitlines()) == 1


def fake_clang(folder, name, version):
    path = write(folder / name, f"#!/bin/sh\necho 'Debian clang version {version}'\n")
    path.chmod(0o755)
    return path


def test_a_compiler_that_is_too_old_is_told_so(tmp_path):
    source = write(tmp_path / "a.c", GOOD % "x")
    fake = fake_clang(tmp_path / "bin", "clang", "14.0.6")
    for stderr in (
        failed("compile", source, env={"PATH": str(tmp_path / "bin")}),
        failed("compile", source, "--clang", fake),
        failed("compile", source, env={"TARN_CLANG": str(fake)}),
    ):
        assert f"'{fake}' is clang 14, and scripts need clang 19 or newer" in stderr


def test_the_newest_compiler_is_taken(tmp_path):
    """clang-19 by its name, though a newer clang on PATH that cannot compile comes first."""
    source = write(tmp_path / "a.c", GOOD % "x")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "clang-19").symlink_to(shutil.which("clang-19"))
    fake = write(tmp_path / "bin" / "clang-99", "#!/bin/sh\necho unknown target >&2\nexit 1\n")
    fake.chmod(0o755)
    done = run_tarn("compile", source, env={"PATH": str(tmp_path / "bin")})
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "bin" / "clang-19").unlink()
    stderr = failed("compile", source, env={"PATH": str(tmp_path / "bin")})
    assert "clang-99' cannot make eBPF: unknown target" in stderr


def test_clang_that_is_none(tmp_path):
    source = write(tmp_path / "a.c", GOOD % "x")
    assert "--clang: there is no program" in failed("compile", source, "--clang", "/none/clang")
    assert "names no version of clang" in failed("compile", source, "--clang", "/bin/true")


# --- pack ---

SITE = {
    "index.html": "home",
    ".tarn/scripts/10-a.c": note("a"),
    ".tarn/scripts/lib/word.h": '#define WORD "word"\n',
    ".zeroserve/scripts/05-b.c": '#include "../../.tarn/scripts/lib/word.h"\n' + note("b"),
}


def test_pack_compiles_scripts(tmp_path, launch, no_clang):
    build_site(tmp_path / "site", SITE)
    done = run_tarn("pack", tmp_path / "site", "-o", tmp_path / "site.tar")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "site.tar") as archive:
        names = archive.getnames()
        assert ".tarn/scripts/10-a.o" in names and ".zeroserve/scripts/05-b.o" in names
        assert not any(name.endswith(".c") for name in names)
        data = archive.extractfile(".tarn/scripts/10-a.o").read()
    assert data.startswith(b"\x7fELF")
    assert str(tmp_path).encode() not in data
    # Who serves it needs no compiler.
    server = launch(tmp_path / "site.tar", env=no_clang)
    answer = server.get("/")
    assert (answer.text, answer.get("X-Seen")) == ("home", "ba")
    assert server.get("/.tarn/scripts/10-a.o").status == 404


def test_packing_scripts_is_reproducible(tmp_path):
    one = build_site(tmp_path / "one", SITE)
    two = build_site(tmp_path / "deep" / "er" / "two", SITE)
    (tmp_path / "link").symlink_to("one")
    results = []
    for args in (
        {"args": [one]},
        {"args": [two]},
        {"args": ["."], "cwd": one},
        {"args": ["./two/"], "cwd": two.parent},
        {"args": [tmp_path / "link"]},
        {"args": [one, "--clang", shutil.which("clang-19")]},
    ):
        done = run_tarn("pack", *args["args"], cwd=args.get("cwd"), text=False)
        assert done.returncode == 0, done.stderr
        results.append(done.stdout)
    assert all(result == results[0] for result in results)


def test_pack_fails_with_the_words_of_the_compiler(tmp_path):
    site = build_site(tmp_path / "site", {**SITE, ".tarn/scripts/bad.c": BAD})
    stderr = failed("pack", site, "-o", tmp_path / "site.tar")
    assert re.search(BAD_WORDS, stderr)
    assert "tarn: error: pack: '" in stderr.splitlines()[-1]
    assert os.listdir(tmp_path) == ["site"]


def test_pack_refuses_object_files_that_no_server_would_load(tmp_path):
    site = build_site(tmp_path / "site", {"index.html": "", ".tarn/scripts/a.o": "nothing"})
    assert "script a.o: not an ELF file" in failed("pack", site, "-o", tmp_path / "site.tar")


def test_a_source_and_its_object_file(tmp_path):
    site = build_site(tmp_path / "site", SITE)
    assert run_tarn("compile", site / ".tarn/scripts/10-a.c").returncode == 0
    for command in (["pack", site, "-o", tmp_path / "site.tar"], ["check", site]):
        stderr = failed(*command)
        assert "'.tarn/scripts/10-a.c' and its object file are both there: remove one" in stderr


# --- check ---


def test_check_lists_scripts(tmp_path):
    files = {
        **SITE,
        ".tarn/scripts/20-call.c": GOOD % "x" + "ZS_CALL_ENTRY(token, input) { return input; }\n",
    }
    build_site(tmp_path / "site", files)
    write(tmp_path / "first.c", note("f"))
    done = run_tarn("check", "--plugin", "first.c", "site", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == "scripts, in the order in which they run:"
    rows = [re.split("  +", line.strip()) for line in lines[2:]]
    assert rows[0] == ["name", "from", "size", "instructions", "machine code", "entry points"]
    assert [(row[0], row[1], row[5]) for row in rows[1:]] == [
        ("first.o", "first.c", "request"),
        ("05-b.o", "site", "request"),
        ("10-a.o", "site", "request"),
        ("20-call.o", "site", "request, call.token"),
    ]
    for row in rows[1:]:
        assert int(row[2]) > 500 and int(row[3]) > 3
    done = run_tarn("check", "--no-jit", "site", cwd=tmp_path)
    assert [re.split("  +", line.strip())[4] for line in done.stdout.splitlines()[3:]] == ["none"] * 3


def test_check_without_scripts_has_no_list(tmp_path):
    build_site(tmp_path / "site", {"index.html": "home"})
    assert len(run_tarn("check", tmp_path / "site").stdout.splitlines()) == 1


def test_check_fails_as_serve_does(tmp_path, no_clang):
    site = build_site(tmp_path / "site", {**SITE, ".tarn/scripts/bad.c": BAD})
    checked = failed("check", site)
    assert re.search(BAD_WORDS, checked)
    assert failed("serve", "--addr", "127.0.0.1:0", site) == checked
    assert "there is no clang on PATH" in failed("check", site, env=no_clang)
    assert "cannot open" in failed("check", "--plugin", tmp_path / "none.o", site)


# --- where serve finds scripts ---


def test_a_directory_is_compiled_when_it_is_served(launch, tmp_path):
    server = launch(build_site(tmp_path / "site", SITE))
    assert server.get("/").get("X-Seen") == "ba"


def test_a_tar_on_standard_input_brings_its_scripts(launch, tmp_path):
    build_site(tmp_path / "site", SITE)
    packed = run_tarn("pack", tmp_path / "site", text=False).stdout
    (tmp_path / "site.tar").write_bytes(packed)
    with open(tmp_path / "site.tar", "rb") as stdin:
        server = launch("-", stdin=stdin)
    assert server.get("/").get("X-Seen") == "ba"


def test_the_order_of_plugins(launch, tmp_path):
    for letter in "pqrs":
        write(tmp_path / letter / ".tarn" / "scripts" / "x.c", note(letter))
    assert run_tarn("pack", tmp_path / "p", "-o", tmp_path / "p.tar").returncode == 0
    (tmp_path / "p.tar.gz").write_bytes(
        subprocess.run(["gzip"], input=(tmp_path / "p.tar").read_bytes(), capture_output=True, check=True).stdout
    )
    lone = write(tmp_path / "lone.c", note("l"))
    write(tmp_path / "made.c", note("m"))
    assert run_tarn("compile", tmp_path / "made.c").returncode == 0
    site = build_site(tmp_path / "site", SITE)
    server = launch(
        site,
        *("--plugin", f"{lone},{tmp_path}/p.tar.gz"),
        *("--plugin-dir", f"{tmp_path}/r,{tmp_path}/s"),
        *("--plugin", tmp_path / "made.o", "--plugin", tmp_path / "q"),
    )
    answer = server.get("/")
    assert (answer.text, answer.get("X-Seen")) == ("home", "lpmqrsba")
    server = launch(site, env={"TARN_PLUGIN": str(lone), "TARN_PLUGIN_DIR": f"{tmp_path}/q"})
    assert server.get("/").get("X-Seen") == "lqba"


@pytest.mark.parametrize("kind", ["c", "o"])
def test_a_script_can_be_the_whole_site(launch, tmp_path, kind):
    write(tmp_path / "app.c", GOOD % "alone")
    assert run_tarn("compile", tmp_path / "app.c").returncode == 0
    server = launch(tmp_path / f"app.{kind}")
    assert server.get("/any/path").text == "alone"
    write(tmp_path / "note.c", note("n"))
    assert launch(tmp_path / "note.c").get("/").status == 404


def test_a_site_may_have_nothing_but_scripts(launch, tmp_path):
    build_site(tmp_path / "site", {".tarn/scripts/a.c": GOOD % "all"})
    assert launch(tmp_path / "site").get("/x").text == "all"
    assert run_tarn("pack", tmp_path / "site", "-o", tmp_path / "site.tar").returncode == 0
    assert launch(tmp_path / "site.tar").get("/x").text == "all"


def test_a_source_in_a_tar_is_an_error(tmp_path):
    (tmp_path / "site.tar").write_bytes(tar_bytes(SITE))
    stderr = failed("check", tmp_path / "site.tar")
    assert "is not compiled: scripts of an archive are object files" in stderr


def test_a_reload_compiles_anew_and_keeps_what_runs_when_that_fails(launch, tmp_path):
    site = build_site(tmp_path / "site", {".tarn/scripts/bad.c": GOOD % "one"})
    server = launch(site)
    assert server.get("/").text == "one"
    write(site / ".tarn/scripts/bad.c", BAD)
    server.send(signal.SIGHUP)
    server.wait_line("reload failed, keeping what there is: .*bad.c' does not compile")
    assert re.search(BAD_WORDS, server.stderr)
    assert server.get("/").text == "one"
    write(site / ".tarn/scripts/bad.c", GOOD % "two")
    server.send(signal.SIGHUP)
    server.wait_line(r"reloaded .*1 script")
    assert server.get("/").text == "two"


def test_compiling_leaves_nothing_behind(launch, tmp_path):
    """No child, no descriptor, no file."""
    (tmp_path / "tmp").mkdir()
    site = build_site(tmp_path / "site", {"index.html": "home"})
    server = launch(site, env={"TMPDIR": str(tmp_path / "tmp")})
    before = server.descriptor_count()
    write(site / ".tarn/scripts/bad.c", BAD)
    for _ in range(3):
        seen = len(server.lines)
        server.send(signal.SIGHUP)
        server.wait_line("reload failed", after=seen)
    assert server.descriptor_count() == before
    assert os.listdir(tmp_path / "tmp") == []
    children = subprocess.run(
        ["ps", "--no-headers", "--ppid", str(server.pid)], capture_output=True, text=True, check=False
    )
    assert children.stdout == ""
    assert sorted(os.listdir(site / ".tarn/scripts")) == ["bad.c"]
