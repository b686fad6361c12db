"""`tarn bpf run`, `dis` and `exec`: what who writes scripts sees of them without a server."""

import os
import re
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness import bpf
from harness.bpf import (
    ENGINES,
    EXIT,
    HAS_JIT,
    add,
    add_reg,
    call,
    call_local,
    call_register,
    compile_script,
    hexadecimal,
    insn,
    jump,
    load8,
    mov,
    mov_reg,
    store8,
)
from harness.binary import ROOT, TARN, clean_environment, run_tarn

PUBLISHED = Path(ROOT).parent / "shared" / "data" / "bpf" / "cases.txt"

SCRIPT = r"""
static const char text[] = "one\ntwo";
static int numbers[4] = {1, 2, 3, 4};
static u64 counter;

NOINLINE u64 sum(const int *p, u64 n)
{
    u64 s = 0;
    for (u64 i = 0; i < n; i++)
        s += p[i];
    return s;
}

ENTRY("tarn.request") request(void)
{
    numbers[1] += 5;
    counter++;
    return sum(numbers, 4) + counter;
}

ENTRY("tarn.call.minus") minus(void)
{
    return -2;
}

ENTRY("tarn.call.log") log(void)
{
    zs_log(text, sizeof text - 1);
    zs_log(" and \x1b[1m three", 15);
    return 0;
}

ENTRY("tarn.call.now") now(void)
{
    return zs_now_ms();
}
ENTRY("tarn.call.null") null_page(void)
{
    volatile u64 *p = (u64 *)8;
    return *p;
}
ENTRY("tarn.call.constant") write_constant(void)
{
    *(volatile char *)text = 1;
    return 0;
}
ENTRY("tarn.call.loop") loop(void)
{
    for (;;)
        asm volatile("");
}
"""


def line_of(source, text):
    """The line that a text is on, as the compiler counts."""
    return source[: source.index(text)].count("\n") + 1


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    return compile_script(tmp_path_factory.mktemp("script"), SCRIPT)


@pytest.fixture
def compiled(tmp_path):
    """compiled(source) → object file, for one test."""
    return lambda source, **more: compile_script(tmp_path, source, **more)


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def bpf_tool(*args, **options):
    return run_tarn("bpf", *args, **options)


def refused(*args, code=1, **options):
    """The one line that says why, without what all have."""
    done = bpf_tool(*args, **options)
    assert done.returncode == code, done
    assert not done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tarn: "), done.stderr
    return lines[0].removeprefix("tarn: ").removeprefix(f"error: bpf {args[0]}: ")


def run(*args, **options):
    """r0 as it is shown, and what came on standard error."""
    done = bpf_tool("run", *args, **options)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"CPU  \d+\.\d+ (us|ms|s), (machine code|interpreter(: .*)?)", second)
    return first.removeprefix("r0   "), done.stderr


# run.


def test_run(script, engine):
    assert run(script, engine) == ("0x10 (16)", "")


def test_run_says_which_engine(script):
    used = {engine: bpf_tool("run", script, engine).stdout for engine in ENGINES}
    assert used["--interp"].splitlines()[1].endswith(", interpreter")
    if HAS_JIT:
        assert used["--jit"].splitlines()[1].endswith(", machine code")
        assert bpf_tool("run", script).stdout.splitlines()[1].endswith(", machine code")


@pytest.mark.skipif(HAS_JIT, reason="there is a translator for this processor")
def test_without_a_translator_jit_is_an_error(script):
    assert "processor" in refused("run", script, "--jit")
    assert ", interpreter: " in bpf_tool("run", script).stdout


def test_a_negative_result_is_shown_as_both(script, engine):
    shown = f"0x{2**64 - 2:x} ({2**64 - 2}, -2)"
    assert run(script, engine, "--section", "tarn.call.minus") == (shown, "")


def test_run_from_standard_input(script, engine):
    assert run("-", engine, stdin=script.read_bytes())[0] == "0x10 (16)"
    assert refused("run", "-", engine).startswith("standard input: not an ELF file")


def test_log_lines(script, engine):
    _, stderr = run(script, engine, "--section", "tarn.call.log")
    assert stderr == "tarn: script: one\ntarn: script: two and ?[1m three\n"


def test_a_log_line_ends_at_512_bytes(compiled, engine):
    source = """
        static char text[600];
        ENTRY("tarn.request") request(void)
        {
            zs_memset(text, 'x', sizeof text);
            zs_log(text, sizeof text);
            return zs_log(0, 0);
        }
    """
    result, stderr = run(compiled(source), engine)
    assert stderr == f"tarn: script: {'x' * 512}\ntarn: script: {'x' * 88}\n"
    assert result == "0x0 (0)"


def test_the_last_log_line_is_shown_when_the_script_fails(compiled, engine):
    source = """
        ENTRY("tarn.request") request(void)
        {
            zs_log("before", 6);
            return *(volatile u8 *)0;
        }
    """
    done = bpf_tool("run", compiled(source), engine)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "tarn: script: before"
    assert "null page" in second


def test_now(script, engine):
    before = int(time.time() * 1000)
    shown, _ = run(script, engine, "--section", "tarn.call.now")
    assert before <= int(shown.split()[0], 16) <= time.time() * 1000


def test_memory_helpers(compiled, engine):
    source = """
        void *memcpy(void *to, const void *from, unsigned long len);
        void *memset(void *to, int byte, unsigned long len);
        int memcmp(const void *a, const void *b, unsigned long len);
        ENTRY("tarn.request") request(void)
        {
            char a[8], b[8];
            if (zs_memset(a, 0x101, 8) != (u64)a || a[0] != 1 || a[7] != 1)
                return 1;
            if (zs_memcpy(b, a, 8) != (u64)b || zs_memcmp(a, b, 8) != 0)
                return 2;
            a[5] = 0x80;
            if (zs_memcmp(a, b, 8) != 0x7f || zs_memcmp(b, a, 8) != -0x7f)
                return 3;
            if (memset(a, 7, 8) != a || memcpy(b, a, 4) != b || memcmp(a, b, 4) != 0)
                return 4;
            if (memcmp(a, b, 8) != 6)
                return 5;
            if (zs_memcpy(0, (void *)9, 0) != 0 || zs_memcmp((void *)1, 0, 0) != 0)
                return 6;
            return 42;
        }
    """
    assert run(compiled(source), engine)[0] == "0x2a (42)"


# run: which section.


@pytest.mark.parametrize(
    "names, taken",
    [
        (["tarn.call.a", "tarn.request", "zeroserve.request"], 2),
        (["tarn.call.a", "tarn.request"], 1),
        (["zeroserve.call.a"], 0),
        ([".text"], 0),
        (["tarn.call.a", ".text"], 0),
    ],
)
def test_the_section_that_is_run(compiled, names, taken):
    source = "".join(
        f'ENTRY("{name}") f{number}(void) {{ return {number}; }}\n'
        for number, name in enumerate(names)
    )
    file = compiled(source)
    assert run(file)[0] == f"0x{taken:x} ({taken})"
    for number, name in enumerate(names):
        assert run(file, "--section", name)[0] == f"0x{number:x} ({number})"


def test_sections_are_listed_when_none_is_the_one(compiled, script):
    file = compiled(
        'ENTRY("tarn.call.a") a(void) { return 1; }\n'
        'ENTRY("tarn.call.b") b(void) { return 2; }'
    )
    assert refused("run", file) == (
        f"{file}: no section zeroserve.request or tarn.request; --section takes one of "
        "tarn.call.a, tarn.call.b"
    )
    for command in "run", "dis":
        assert refused(command, file, "--section", "tarn.call.c") == (
            f"{file}: no section 'tarn.call.c' with code; there are: tarn.call.a, tarn.call.b"
        )


# run: scripts that fail.


@pytest.mark.parametrize(
    "section, place, why",
    [
        ("tarn.call.null", "return *p;", "read of 8 bytes at 0x8: null page"),
        ("tarn.call.constant", "*(volatile char *)text", "constants are read-only"),
    ],
)
def test_a_trap_names_its_place(script, engine, section, place, why):
    line = refused("run", script, engine, "--section", section)
    at = re.escape(f"script.c:{line_of(SCRIPT, place)}")
    head = rf"{re.escape(str(script))}: section {section} failed at insn \d+ \((/.*/)?{at}\): "
    assert re.match(head, line), line
    assert line.endswith(why), line


def test_a_trap_names_the_instruction_that_the_listing_has(script, engine):
    line = refused("run", script, engine, "--section", "tarn.call.null")
    number = re.search(r"at insn (\d+) ", line)[1]
    listing = bpf_tool("dis", script, "--section", "tarn.call.null").stdout
    assert re.search(rf"^. +{number}  r0 = \*\(u64 \*\)\(r1 \+ 0\)( |$)", listing, re.M)


def test_a_helper_that_refuses_is_a_trap_at_its_call(compiled, engine):
    source = """
        ENTRY("tarn.call.overlap") overlap(void)
        {
            char b[16];
            return zs_memcpy(b, b + 4, 8);
        }
        ENTRY("tarn.call.outside") outside(void)
        {
            return zs_log((void *)0x70000000, 1);
        }
        ENTRY("tarn.call.constant") constant(void)
        {
            return zs_memset("abc", 0, 1);
        }
    """
    file = compiled(source)
    for name, call_text, why in (
        ("overlap", "return zs_memcpy", "overlap"),
        ("outside", "return zs_log", r"read of 1 byte at 0x70000000.*: outside"),
        ("constant", "return zs_memset", r"write of 1 byte at 0x2\w+ by a helper: "),
    ):
        line = refused("run", file, engine, "--section", f"tarn.call.{name}")
        assert f"script.c:{line_of(source, call_text)}): " in line
        assert re.search(why, line.split("): ", 1)[1]), line


def test_too_many_open_functions(compiled, engine):
    source = """
        NOINLINE u64 deep(u64 n) { return n ? deep(n - 1) * 3 + 1 : 0; }
        ENTRY("tarn.call.good") good(void) { return deep(6); }
        ENTRY("tarn.call.deep") bad(void) { return deep(7); }
    """
    file = compiled(source, options=["-fno-optimize-sibling-calls"])
    assert run(file, engine, "--section", "tarn.call.good")[0] == "0x16c (364)"
    line = refused("run", file, engine, "--section", "tarn.call.deep")
    assert line.endswith(": more than 8 functions open")
    assert "section .text failed" in line


@pytest.mark.parametrize("limit", [30, 1000])
def test_an_endless_loop_is_stopped(script, engine, limit):
    more = [] if limit == 1000 else ["--script-cpu-limit-ms", str(limit)]
    begun = time.monotonic()
    line = refused("run", script, engine, "--section", "tarn.call.loop", *more)
    assert line.endswith(f": used up its CPU time of {limit} ms")
    assert f"script.c:{line_of(SCRIPT, 'asm volatile')})" in line or (
        f"script.c:{line_of(SCRIPT, 'for (;;)')})" in line
    )
    assert time.monotonic() - begun >= limit / 1000


def test_without_a_limit_a_script_runs_on(script, engine):
    process = subprocess.Popen(
        [TARN, "bpf", "run", script, engine, "--section", "tarn.call.loop",
         "--script-cpu-limit-ms", "0"],  # fmt: skip
        env=clean_environment(),
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)
    finally:
        process.kill()
        process.wait()


# run and dis: files that are none.


def test_files_that_cannot_be_read(tmp_path, script):
    for command in "run", "dis":
        missing = tmp_path / "missing.o"
        assert refused(command, missing) == f"{missing}: cannot open: No such file or directory"
        assert refused(command, tmp_path) == f"{tmp_path}: cannot read: Is a directory"
        empty = tmp_path / "empty.o"
        empty.write_bytes(b"")
        assert refused(command, empty) == f"{empty}: not an ELF file: it has 0 bytes"
        source = script.with_suffix(".c")
        assert refused(command, source) == f"{source}: not an ELF file"
        cut = tmp_path / "cut.o"
        cut.write_bytes(script.read_bytes()[:200])
        assert refused(command, cut).startswith(f"{cut}: ")


def test_a_program_for_another_processor(tmp_path):
    (tmp_path / "native.c").write_text("int main(void) { return 0; }\n")
    file = tmp_path / "native.o"
    subprocess.run(["cc", "-c", "-o", file, tmp_path / "native.c"], check=True)
    for command in "run", "dis":
        assert "for another processor" in refused(command, file)


@pytest.mark.skipif(not HAS_JIT, reason="there is no translator for this processor")
def test_machine_code_has_a_limit(compiled):
    source = (
        'ENTRY("tarn.request") request(void) { volatile u64 x = 1;\n'
        + "x += 1;\n" * 400
        + "return x; }\n"
    )
    file = compiled(source)
    limit = "--script-code-size-limit-kb=1"
    assert run(file, "--jit")[0] == "0x191 (401)"
    line = refused("run", file, "--jit", limit)
    assert line.startswith(f"{file}: ") and "machine code" in line
    done = bpf_tool("run", file, limit)
    assert done.stdout.splitlines()[0] == "r0   0x191 (401)"
    assert ", interpreter: " in done.stdout.splitlines()[1]
    done = bpf_tool("dis", file, limit)
    assert done.returncode == 0
    assert done.stderr.startswith(f"tarn: warning: bpf dis: {file}: no machine code: ")
    assert not machine_code(done.stdout)


def test_an_unknown_helper_is_named(compiled):
    source = """
        u64 zs_no_such_helper(u64);
        ENTRY("tarn.request") f(void) { return zs_no_such_helper(1); }
    """
    line = refused("run", compiled(source))
    assert "zs_no_such_helper" in line and "tarn.request" in line


# dis.

ROW = re.compile(r"([> ]) *(\d+)  (.*?)(?: {2,}([0-9a-f]+) ((?: [0-9a-f]{2})+))?$")


def machine_code(listing):
    """The bytes of machine code of each section as the listing has them: {section: bytes}.
    Where they begin must be what stands before them."""
    found, section = {}, None
    for line in listing.splitlines():
        head = re.match(r"section (\S+), ", line)
        row = ROW.fullmatch(line)
        if head:
            section = head[1]
        elif row and row[4]:
            found.setdefault(section, b"")
            assert int(row[4], 16) == len(found[section]), line
            found[section] += bytes.fromhex(row[5])
        elif re.fullmatch(r" {62,}( [0-9a-f]{2})+", line):
            found[section] += bytes.fromhex(line)
    return found


def rows(listing):
    """(marked, number, text) of the instructions."""
    matches = [ROW.fullmatch(line) for line in listing.splitlines()]
    return [(row[1] == ">", int(row[2]), row[3].rstrip()) for row in matches if row]


def test_dis(script):
    done = bpf_tool("dis", script)
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    count = script_insn_count(script)
    assert re.match(rf"{re.escape(str(script))}: {count} instructions", lines[0])
    assert "  constants  0x20000, " in done.stdout
    assert "  data       0x30000, " in done.stdout
    assert "  bss        0x300" in done.stdout
    sections = re.findall(r"^section (\S+), (\d+) instructions?$", done.stdout, re.M)
    assert [name for name, _ in sections] == [".text", *re.findall(r'ENTRY\("(.*?)"\)', SCRIPT)]
    assert sum(int(number) for _, number in sections) == count
    functions = re.findall(r"^<(\w+)>:$", done.stdout, re.M)
    assert functions == ["sum", *re.findall(r'ENTRY\(".*?"\) (\w+)', SCRIPT)]
    assert "  call zs_log" in done.stdout and "  call 0 <sum> in .text" in done.stdout
    assert all(len(line) <= 100 for line in lines[1:]), max(lines[1:], key=len)


def script_insn_count(file):
    """By the table of sections: the lengths of those that are executable."""
    data = file.read_bytes()
    table, length, count = struct.unpack_from("<Q10xHH", data, 40)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * length) for i in range(count)]
    return sum(size for _, _, flags, _, _, size in headers if flags & 4) // 8


def test_dis_shows_where_instructions_come_from(script):
    listing = bpf_tool("dis", script, "--section", "tarn.request").stdout
    body = listing[listing.index("<request>:") :]
    shown = [int(line) for line in re.findall(r"^; .*script\.c:(\d+)$", body, re.M)]
    first = line_of(SCRIPT, "numbers[1] += 5")
    assert shown[0] == first and shown[-1] == line_of(SCRIPT, "return sum(numbers")
    assert all(a != b for a, b in zip(shown, shown[1:]))


def test_dis_marks_where_jumps_lead(compiled):
    source = """
        ENTRY("tarn.request") request(void)
        {
            u64 s = 0;
            for (u64 i = zs_now_ms() & 1; i < 10; i++)
                asm volatile("%0 += 1" : "+r"(s));
            return s;
        }
    """
    listing = bpf_tool("dis", compiled(source, options=["-fno-unroll-loops"]), "--interp").stdout
    found = rows(listing)
    targets = {int(number) for number in re.findall(r"goto (\d+)", listing)}
    assert targets
    assert {number for marked, number, _ in found if marked} == targets


def test_dis_of_one_section(script):
    listing = bpf_tool("dis", script, "--section", "tarn.call.minus").stdout
    assert re.findall(r"^section (\S+),", listing, re.M) == ["tarn.call.minus"]
    assert [text for _, _, text in rows(listing)] == ["r0 = -2", "exit"]
    assert "<log>" not in listing


@pytest.mark.skipif(not HAS_JIT, reason="there is no translator for this processor")
def test_dis_shows_machine_code(script):
    listing = bpf_tool("dis", script).stdout
    code = machine_code(listing)
    assert set(code) == {".text", *re.findall(r'ENTRY\("(.*?)"\)', SCRIPT)}
    total = int(re.search(r", (\d+) bytes of machine code$", listing.splitlines()[0])[1])
    assert 0 < sum(map(len, code.values())) <= total
    # mov rax, -2, however it is encoded
    assert b"\xfe\xff\xff\xff" in code["tarn.call.minus"]
    plain = bpf_tool("dis", script, "--interp").stdout
    assert not machine_code(plain) and "machine code" not in plain
    assert [row[1:] for row in rows(plain)] == [row[1:] for row in rows(listing)]


@pytest.mark.skipif(not HAS_JIT, reason="there is no translator for this processor")
def test_the_machine_code_is_what_objdump_reads(script, tmp_path):
    """An independent reader finds whole instructions in each section, from its first byte on."""
    for name, code in machine_code(bpf_tool("dis", script).stdout).items():
        (tmp_path / "code.bin").write_bytes(code)
        text = subprocess.run(
            ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", tmp_path / "code.bin"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "(bad)" not in text, f"{name}\n{text}"


def test_dis_of_helpers_that_nobody_has(compiled):
    source = """
        u64 evil(u64) __asm__("evil\\33[31mname");
        u64 zs_of_tomorrow(u64, u64);
        ENTRY("other.section") f(void) { return zs_of_tomorrow(1, evil(2)); }
    """
    done = bpf_tool("dis", compiled(source))
    assert done.returncode == 0 and not done.stderr
    assert "  call zs_of_tomorrow" in done.stdout
    assert "  call evil?[31mname" in done.stdout
    assert "\33" not in done.stdout


def test_dis_of_what_is_no_program(compiled):
    """The first instruction becomes one that does not exist, in the file itself."""
    file = compiled('ENTRY("tarn.request") f(void) { return 77; }')
    data = file.read_bytes()
    assert data.count(insn(0xB7, imm=77)) == 1
    file.write_bytes(data.replace(insn(0xB7, imm=77), insn(0xFF, imm=77)))
    done = bpf_tool("dis", file)
    assert done.returncode == 0
    assert "no machine code: section tarn.request, insn 0: " in done.stderr
    assert [text for _, _, text in rows(done.stdout)] == [
        "<no instruction: ff 00 00 00 4d 00 00 00>",
        "exit",
    ]
    assert "section tarn.request, insn 0: " in refused("run", file)


def test_dis_from_standard_input(script):
    done = bpf_tool("dis", "-", stdin=script.read_bytes())
    assert done.stdout.startswith("standard input: ")
    assert done.stdout.splitlines()[1:] == bpf_tool("dis", script).stdout.splitlines()[1:]


def test_output_that_cannot_be_written(script):
    with open("/dev/full", "wb") as full:
        for args in (["run", script], ["dis", script], ["exec"]):
            done = subprocess.run(
                [TARN, "bpf", *args], input=hexadecimal(EXIT), stdout=full,
                stderr=subprocess.PIPE, env=clean_environment(), check=False,
            )  # fmt: skip
            assert done.returncode == 1
            assert b"cannot write to standard output" in done.stderr


# exec.


def execute(program, *args, **options):
    """r0."""
    done = bpf_tool("exec", *args, stdin=hexadecimal(program), **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert re.fullmatch(r"[0-9a-f]+\n", done.stdout), done.stdout
    return int(done.stdout, 16)


def test_exec(engine):
    assert execute(mov(0, 7) + EXIT, engine) == 7
    assert execute(mov(0, -1) + EXIT, engine) == 2**64 - 1


def test_exec_without_memory(engine):
    for words in [], [""], ["", ""]:
        assert execute(mov_reg(0, 1) + EXIT, engine, *words) == 0
        assert execute(mov_reg(0, 2) + EXIT, engine, *words) == 0


@pytest.mark.parametrize("memory", ["aa bb cc", "aabbcc", "AA BB CC", " aa  bb  cc  ", "aa\nbbcc"])
def test_exec_with_memory(engine, memory):
    assert execute(mov_reg(0, 2) + EXIT, memory, engine) == 3
    assert execute(load8(0, 1, 2) + EXIT, memory, engine) == 0xCC
    write_and_read = mov(3, 5) + store8(1, 3, 1) + load8(0, 1, 1) + add_reg(0, 2) + EXIT
    assert execute(write_and_read, memory, engine) == 8


def test_exec_with_much_memory(engine):
    memory = bytes(range(256)) * 150
    program = mov_reg(0, 2) + add_reg(1, 2) + load8(3, 1, -1) + add_reg(0, 3) + EXIT
    assert execute(program, memory.hex(), engine) == len(memory) + 255


@pytest.mark.parametrize("text", ["{}\n", "{} \r\n", "\n\n {}\n\n"])
def test_exec_reads_programs_as_runners_write_them(engine, text):
    program = mov(0, 0x1234) + EXIT
    for form in program.hex(), program.hex(" "), program.hex(" ").replace(" ", "  "):
        done = bpf_tool("exec", engine, stdin=text.format(form).encode())
        assert (done.stdout, done.returncode) == ("1234\n", 0)
    assert bpf_tool("exec", stdin=program.hex().upper().encode()).stdout == "1234\n"


def test_helper_5_gives_its_argument_back(engine):
    assert execute(mov(1, -1) + call(5) + EXIT, engine) == 2**64 - 1
    assert execute(mov(1, 3) + mov(2, 5) + call_register(2) + add(0, 1) + EXIT, engine) == 4


def test_helper_5_ends_the_program_when_its_argument_is_0(engine):
    rest = mov(0, 9) + EXIT
    assert execute(mov(0, 1) + mov(1, 0) + call(5) + rest, engine) == 0
    assert execute(mov(1, 0) + mov(2, 5) + call_register(2) + rest, engine) == 0
    assert execute(call_local(2) + rest + mov(1, 0) + call(5) + rest, engine) == 0


def test_exec_of_programs_that_fail(engine):
    """Instructions behind each other; what is said, without where."""
    wild = mov(1, 0x7000000) + load8(0, 1, 0) + EXIT
    for program, insn_number, why in (
        (wild, 1, "read of 1 byte at 0x7000000: outside of the script's memory"),
        (mov(2, 99) + call_register(2) + EXIT, 1, "call of a helper that is not there"),
        (call_local(-1) + EXIT, 0, "more than 8 functions open"),
    ):
        line = refused("exec", engine, stdin=hexadecimal(program))
        assert line.endswith(f"failed at insn {insn_number}: {why}"), line
    line = refused("exec", engine, "--script-cpu-limit-ms=20", stdin=hexadecimal(jump(-1)))
    assert line.endswith("failed at insn 0: used up its CPU time of 20 ms")


def test_exec_of_what_is_no_program():
    for program, why in (
        (insn(0xFF) + EXIT, "insn 0: opcode 0xff"),
        (mov(0, 1), "insn 0: "),
        (mov(0, 1) + mov(10, 1) + EXIT, "insn 1: "),
        (jump(5) + EXIT, "insn 0: "),
        (call(99) + EXIT, "insn 0: "),
    ):
        assert why in refused("exec", stdin=hexadecimal(program))


NO_PROGRAM = "no program on standard input: hexadecimal bytes are expected, eight an instruction"


@pytest.mark.parametrize(
    "stdin, why",
    [
        (b"", NO_PROGRAM),
        (b" \n", NO_PROGRAM),
        (b"95", "standard input: expected a multiple of 8 bytes, got 1"),
        (b"95 00 00 00 00 00 00", "standard input: expected a multiple of 8 bytes, got 7"),
        (b"95 00 00 0", "standard input: a hexadecimal digit stands alone at character 10"),
        (b"95 0 0", "standard input: a hexadecimal digit stands alone at character 4"),
        (b"0x95", "standard input: 'x' at character 2 is no hexadecimal digit"),
        (b"95 \xff", "standard input: the byte 0xff at character 4 is no hexadecimal digit"),
    ],
)
def test_exec_of_malformed_input(stdin, why):
    assert refused("exec", stdin=stdin) == why


@pytest.mark.parametrize(
    "memory, why",
    [
        ("a", "MEMORY: a hexadecimal digit stands alone at character 1"),
        ("aa,bb", "MEMORY: ',' at character 3 is no hexadecimal digit"),
        ("hello", "MEMORY: 'h' at character 1 is no hexadecimal digit"),
    ],
)
def test_exec_with_malformed_memory(memory, why):
    assert refused("exec", memory, stdin=hexadecimal(EXIT)) == why


@pytest.mark.parametrize("count", [4096, 65_536, 1_000_000])
def test_exec_of_long_programs(engine, count):
    """With jumps over all of it, whose distance needs 32 bits."""
    over, large = insn(0x06, imm=count - 4), 0x1234567
    for first, result in ((over, 1), (add(0, 1), (count - 4) * large + 2)):
        program = mov(0, 0) + first + add(0, large) * (count - 4) + add(0, 1) + EXIT
        assert len(program) == 8 * count
        assert execute(program, engine, timeout=100) == result


def test_exec_of_much_machine_code(engine):
    """No instruction becomes more of it than these do."""
    count = 300_000
    calls = b"".join(call_local(count - at - 1) for at in range(count))
    assert execute(calls + mov(0, 7) + EXIT, engine, timeout=100) == 7
    divisions = mov(0, -7) + mov(1, 1) + insn(0x3F, 0, 1, 1) * count + EXIT
    assert execute(divisions, engine, timeout=100) == 2**64 - 7


def test_a_million_instructions_are_enough(engine):
    line = refused("exec", engine, stdin=hexadecimal(add(0, 1) * 1_000_000 + EXIT), timeout=100)
    assert line == "standard input: more than 1000000 instructions, or no memory for them"


def test_published_cases(engine):
    """As the public runner calls a plug-in: memory, if there is any, and options."""
    if not PUBLISHED.exists():
        pytest.skip(f"no published cases at {PUBLISHED}")
    wrong = []
    for line in PUBLISHED.read_text().splitlines():
        name, memory, program, result = line.split("|")
        words = [memory] if memory else []
        done = bpf_tool("exec", *words, engine, stdin=program.encode() + b"\n")
        if done.returncode or int(done.stdout, 16) != int(result, 0):
            wrong.append((name, done.stdout, done.stderr, result))
    assert not wrong


# The command line.


def test_bpf_alone_says_what_there_is():
    done = bpf_tool()
    assert done.returncode == 0 and not done.stderr
    for command in "run", "dis", "exec":
        assert f"  tarn bpf {command} " in done.stdout
    assert done.stdout == bpf_tool("--help").stdout == run_tarn("help", "bpf").stdout


@pytest.mark.parametrize(
    "args, why",
    [
        (["run"], "no FILE.o: name an object file, as in 'tarn bpf run hello.o'"),
        (["run", "a.o", "b.o"], "one FILE.o is enough, but 'b.o' follows 'a.o'"),
        (["exec", "aa", "bb"], "one MEMORY is enough, but 'bb' follows 'aa'"),
        (["rum"], "no command 'tarn bpf rum'; did you mean 'tarn bpf run'?"),
        (["a.o"], "'tarn bpf' has the commands run, dis and exec, and not 'a.o'"),
        (["run", "a.o", "--script-cpu-limit-ms", "-1"],
         "--script-cpu-limit-ms wants MS, but '-1' follows; "
         "write --script-cpu-limit-ms=-1 if that is meant"),
    ],
)  # fmt: skip
def test_wrong_usage(args, why):
    assert refused(*args, code=2) == why


def test_options_of_the_environment(script):
    env = {"TARN_SCRIPT_ENGINE": "interp", "TARN_SECTION": "tarn.call.minus"}
    done = bpf_tool("run", script, env=env)
    assert "-2)" in done.stdout and done.stdout.endswith(", interpreter\n")
    assert os.path.exists(script)
    assert run(script, "--section=tarn.request", env=env)[0] == "0x10 (16)"


def test_the_engines_of_this_machine_are_tested():
    """Both where there is a translator."""
    assert len(ENGINES) == 1 + bpf.HAS_JIT
