"""Scripts for tests: C compiled to eBPF object files, and bare instructions."""

import platform
import struct
import subprocess

CLANG = ["clang-19", "-target", "bpf", "-mcpu=v3", "-O2", "-fno-builtin", "-mllvm",
         "-bpf-stack-size=4096", "-g", "-c"]  # fmt: skip

# Where there is a translator, machine code must be had: a test does not do without it silently.
HAS_JIT = platform.machine() == "x86_64"
ENGINES = ["--jit", "--interp"] if HAS_JIT else ["--interp"]

HEADER = """
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
#define ENTRY(section_name) __attribute__((section(section_name), used)) u64
#define NOINLINE __attribute__((noinline)) static
u64 zs_log(const void *text, u64 len);
u64 zs_memcpy(void *to, const void *from, u64 len);
u64 zs_memset(void *to, u64 byte, u64 len);
s64 zs_memcmp(const void *a, const void *b, u64 len);
u64 zs_now_ms(void);
#line 1
"""


def compile_script(folder, source, name="script", options=()):
    """The object file of some C, whose lines are counted from 1 in `name`.c."""
    (folder / f"{name}.c").write_text(HEADER + source)
    subprocess.run([*CLANG, *options, "-o", f"{name}.o", f"{name}.c"], cwd=folder, check=True)
    return folder / f"{name}.o"


def insn(opcode, dst=0, src=0, off=0, imm=0):
    """One instruction as bytes."""
    return struct.pack("<BBhI", opcode, src << 4 | dst, off, imm & 0xFFFFFFFF)


# What the tests write by hand (RFC 9669).
def mov(dst, imm):
    return insn(0xB7, dst, imm=imm)


def add(dst, imm):
    return insn(0x07, dst, imm=imm)


def mov_reg(dst, src):
    return insn(0xBF, dst, src)


def add_reg(dst, src):
    return insn(0x0F, dst, src)


def load8(dst, src, off):
    return insn(0x71, dst, src, off)


def store8(dst, src, off):
    return insn(0x73, dst, src, off)


def jump(off):
    return insn(0x05, off=off)


def call(number):
    return insn(0x85, imm=number)


def call_local(distance):
    return insn(0x85, src=1, imm=distance)


def call_register(register):
    return insn(0x8D, register)


EXIT = insn(0x95)


def hexadecimal(data):
    return data.hex(" ").encode()
