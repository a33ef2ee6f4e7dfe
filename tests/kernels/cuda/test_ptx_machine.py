"""The machine that runs PTX does what its manual says of each instruction, and stops where a GPU would not do it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from support.cuda.ptx_on_cpu import PtxFaultError, needs_compilers, run_ptx
from support.cuda.ptx_text import UnknownPtxError

NAN, INF, TINY = "0f7FFFFFFF", "0f7F800000", "0f00000001"


def f(value: float) -> str:
    """Return a number as PTX writes those of 32 bits."""
    return f"0f{struct.unpack('<I', struct.pack('<f', value))[0]:08X}"


def d(value: float) -> str:
    return f"0d{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


#: An instruction, its operands, and the bits of its result.
ROWS = """
add.s32 -1 2 | 1
add.u32 0xffffffff 2 | 1
add.sat.s32 0x7fffffff 1 | 0x7fffffff
sub.s64 1 2 | 0xffffffffffffffff
mul.lo.s32 0x10000 0x10001 | 0x10000
mul.hi.s32 -2 3 | 0xffffffff
mul.hi.u32 0xfffffffe 3 | 2
mul.hi.u64 0xffffffffffffffff 16 | 15
mul.wide.s32 -2 3 | 0xfffffffffffffffa
mul.wide.u32 0xfffffffe 3 | 0x2fffffffa
mul.wide.u16 0xffff 2 | 0x1fffe
mul.wide.s16 -1 2 | 0xfffffffe
mad.lo.s32 -2 3 10 | 4
mad.hi.u32 0xfffffffe 3 10 | 12
mad.wide.s32 -2 3 10 | 4
div.s32 -7 2 | 0xfffffffd
rem.s32 -7 2 | 0xffffffff
div.u32 0xfffffff9 2 | 0x7ffffffc
div.s64 -9223372036854775808 -1 | 0x8000000000000000
min.s32 -1 1 | 0xffffffff
min.u32 0xffffffff 1 | 1
max.s64 -1 1 | 1
neg.s16 1 | 0xffff
abs.s32 -5 | 5
not.b32 0xf0f0 | 0xffff0f0f
xor.b16 0xff 0xf0f | 0xff0
shl.b32 1 31 | 0x80000000
shl.b32 1 32 | 0
shl.b64 1 40 | 0x10000000000
shr.u32 0x80000000 31 | 1
shr.u32 0x80000000 32 | 0
shr.s32 0x80000000 31 | 0xffffffff
shr.s32 0x80000000 200 | 0xffffffff
shr.s16 0x8000 4 | 0xf800
shf.l.wrap.b32 0x89abcdef 0x01234567 8 | 0x23456789
shf.l.clamp.b32 0x89abcdef 0x01234567 40 | 0x89abcdef
shf.r.wrap.b32 0x89abcdef 0x01234567 40 | 0x6789abcd
shf.r.clamp.b32 0x89abcdef 0x01234567 40 | 0x01234567
popc.b32 0xf0f0 | 8
popc.b64 0xffffffffffffffff | 64
clz.b32 1 | 31
clz.b32 0 | 32
clz.b64 1 | 63
brev.b32 1 | 0x80000000
bfind.u32 0x8000 | 15
bfind.shiftamt.u32 0x8000 | 16
bfind.s32 -1 | 0xffffffff
bfe.u32 0x12345678 8 8 | 0x56
bfe.s32 0x00008000 8 8 | 0xffffff80
bfe.u32 0x12345678 28 8 | 1
bfe.s32 0x12345678 4 0 | 0
bfi.b32 0xff 0 4 8 | 0xff0
bfi.b32 0xabc 0xffffffff 28 8 | 0xcfffffff
lop3.b32 0xff00ff00 0xf0f0f0f0 0xcccccccc 0x80 | 0xc000c000
lop3.b32 0xff00ff00 0xf0f0f0f0 0xcccccccc 0x96 | 0xc33cc33c
prmt.b32 0x33221100 0x77665544 0x5140 | 0x55114400
prmt.b32 0x33221100 0x77665544 0x7362 | 0x77336622
prmt.b32 0x33a21180 0x77665544 0x98ab | 0x00ffff00
prmt.b32.f4e 0x33221100 0x77665544 1 | 0x44332211
prmt.b32.b4e 0x33221100 0x77665544 1 | 0x66770011
prmt.b32.rc8 0x33221100 0 2 | 0x22222222
prmt.b32.ecl 0x33221100 0 1 | 0x33221111
prmt.b32.ecr 0x33221100 0 1 | 0x11111100
prmt.b32.rc16 0x33221100 0 1 | 0x33223322
dp4a.u32.u32 0x01020304 0x05060708 100 | 170
dp4a.s32.u32 0xff020304 0x05060708 0 | 60
dp2a.lo.u32.u32 0x00100003 0x04030201 5 | 40
dp2a.hi.u32.u32 0x00100003 0x04030201 5 | 78
dp2a.lo.s32.s32 0x0010ffff 0x000001ff 0 | 17
selp.b32 7 9 1 | 7
selp.b32 7 9 0 | 9
slct.b32.s32 7 9 -1 | 9
setp.lt.s32 -1 1 | 1
setp.lt.u32 0xffffffff 1 | 0
setp.hi.u32 0xffffffff 1 | 1
set.lt.u32.s32 -1 1 | 0xffffffff
cvt.u16.u32 0x12345 | 0x2345
cvt.s32.s8 0x80 | 0xffffff80
cvt.u64.u32 0xffffffff | 0xffffffff
cvt.s64.s32 0xffffffff | 0xffffffffffffffff
cvt.sat.u8.s32 -3 | 0
cvt.sat.s8.s32 300 | 127
"""
E16, MANY = 2.0**-16, 2.0**24
REALS: list[tuple[str, list[str], str]] = [
    ("add.f32", [f(1), f(2.0**-24)], f(1)),
    ("add.rp.f32", [f(1), f(2.0**-30)], f(1 + 2.0**-23)),
    ("add.rz.f32", [f(1), f(-(2.0**-30))], f(1 - 2.0**-24)),
    ("add.ftz.f32", [TINY, TINY], f(0)),
    ("add.f32", [INF, f(-np.inf)], NAN),
    ("mul.rm.f32", [f(1 + 2.0**-23), f(-(1 + 2.0**-23))], f(-(1 + 2.0**-21 - 2.0**-22 + 2.0**-23))),
    ("fma.rn.f32", [f(1 + 2.0**-12), f(1 - 2.0**-12), f(-1)], f(-(2.0**-24))),
    ("fma.rm.f32", [f(1), f(2.0**-30), f(1)], f(1)),
    ("fma.rn.f64", [d(3), d(5), d(-1)], d(14)),
    ("div.rn.f32", [f(1), f(3)], f(1 / 3)),
    ("rcp.approx.ftz.f32", [f(0)], INF),
    ("rcp.approx.ftz.f32", [f(2.0**127)], f(0)),
    ("rcp.rn.f32", [f(3)], f(1 / 3)),
    ("sqrt.rn.f32", [f(2)], f(2**0.5)),
    ("ex2.approx.ftz.f32", [f(-1)], f(0.5)),
    ("ex2.approx.ftz.f32", [f(-130)], f(0)),
    ("lg2.approx.f32", [f(8)], f(3)),
    ("max.f32", [NAN, f(1)], f(1)),
    ("max.NaN.f32", [NAN, f(1)], NAN),
    ("max.f32", [f(-0.0), f(0)], f(0)),
    ("min.f32", [f(0), f(-0.0)], f(-0.0)),
    ("neg.f32", [f(0)], f(-0.0)),
    ("abs.f32", [f(-2)], f(2)),
    ("setp.lt.f32", [NAN, f(1)], "0"),
    ("setp.ltu.f32", [NAN, f(1)], "1"),
    ("setp.ne.f32", [NAN, f(1)], "0"),
    ("setp.neu.f32", [NAN, f(1)], "1"),
    ("setp.nan.f32", [NAN, f(1)], "1"),
    ("setp.num.f32", [f(2), f(1)], "1"),
    ("setp.gt.ftz.f32", [TINY, f(0)], "0"),
    ("cvt.sat.f32.f32", [f(1.5)], f(1)),
    ("cvt.sat.f32.f32", [NAN], f(0)),
    ("cvt.rni.f32.f32", [f(2.5)], f(2)),
    ("cvt.rmi.f32.f32", [f(-2.5)], f(-3)),
    ("cvt.rzi.s32.f32", [f(-2.7)], "0xfffffffe"),
    ("cvt.rzi.s32.f32", [f(3e9)], "0x7fffffff"),
    ("cvt.rzi.u32.f32", [f(-1)], "0"),
    ("cvt.rzi.s32.f32", [NAN], "0"),
    ("cvt.rzi.s64.f64", ["0d7FF8000000000000"], "0x8000000000000000"),
    ("cvt.rzi.s64.f64", [d(1e300)], "0x7fffffffffffffff"),
    ("cvt.rzi.u64.f64", [d(2.0**63)], "0x8000000000000000"),
    ("cvt.rn.f32.s32", ["16777217"], f(MANY)),
    ("cvt.rp.f32.s32", ["16777217"], f(MANY + 2)),
    ("cvt.rn.f64.u64", ["0xffffffffffffffff"], d(2.0**64)),
    ("cvt.rn.f32.f64", [d(1 / 3)], f(1 / 3)),
    ("cvt.f64.f32", [f(1 / 3)], d(float(np.float32(1 / 3)))),
    ("cvt.rn.f16.f32", [f(2049)], "0x6800"),
    ("cvt.rn.f16.f32", [f(2051)], "0x6802"),
    ("cvt.rn.f16.f32", [f(2.0**-25)], "0"),
    ("cvt.rn.f16.f32", [f(65520)], "0x7c00"),
    ("cvt.rn.f16.f32", [f(-np.nan)], "0x7fff"),
    ("cvt.rn.f16x2.f32", [f(1), f(2)], "0x3c004000"),
    ("cvt.f32.f16", ["0x3555"], f(float(np.float16(1 / 3)))),
    ("cvt.f32.f16", ["0x0001"], f(2.0**-24)),
]
CASES = [
    *((name, given, wanted.strip()) for (name, *given), wanted in (
        (row.partition("|")[0].split(), row.partition("|")[2]) for row in ROWS.strip().splitlines())),
    *REALS,
]  # fmt: skip


def kernel(body: str, variables: str = "") -> str:
    """Return a module of a kernel `k` that is told an address, which is then in %rd0."""
    return f"""
.version 9.0
.target sm_90
.address_size 64
{variables}
.visible .entry k(.param .u64 k_param_0) {{
    .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<99>; .reg .b64 %rd<99>;
    ld.param.u64 %rd0, [k_param_0];
    mov.u32 %r0, %tid.x;
{body}
    ret;
}}
"""


def run(body: str, size: int = 64, threads: int = 32, shared_bytes: int = 0, variables: str = "") -> list[int]:
    """Run a kernel; return what it leaves in numbers of 32 bits."""
    needs_compilers()
    room = np.zeros(size, np.uint64).view(np.uint32)
    job = struct.pack("<Q", room.ctypes.data)
    run_ptx(kernel(body, variables), job, (1, 1), threads, shared_bytes)
    return [int(each) for each in room]


def result(name: str) -> tuple[str, int]:
    """Return the register that an instruction writes to, and its bits."""
    head, *words = name.split(".")
    if head == "setp":
        return "%p1", 1
    types = [word for word in words if word[0] in "subf" and word[1:].rstrip("x2").isdigit()]
    kind = types[-1] if head in ("prmt", "bfe") or not head.startswith(("cvt", "set", "slct")) else types[0]
    bits = 32 if head in ("popc", "clz", "bfind") or kind == "f16x2" else int(kind[1:]) * (2 if "wide" in words else 1)
    return {8: "%h1", 16: "%h1", 32: "%r1", 64: "%rd1"}[bits], max(bits, 16)


@pytest.mark.slow
def test_instructions() -> None:
    lines = []
    for place, (name, operands, _) in enumerate(CASES):
        register, bits = result(name)
        lines.append(f"    {name} {register}, {', '.join(operands)};")
        if bits == 1:
            lines.append("    selp.b32 %r1, 1, 0, %p1;")
            register, bits = "%r1", 32
        lines.append(f"    st.global.b{bits} [%rd0+{8 * place}], {register};")
    found = np.array(run("\n".join(lines), len(CASES), 1), np.uint32).view(np.uint64)
    for (name, operands, wanted), bits in zip(CASES, found, strict=True):
        number = int(wanted[2:], 16) if wanted.startswith(("0f", "0d")) else int(wanted, 0)
        assert hex(bits) == hex(number), (name, operands)


LANES = range(32)
#: What a warp does together, of the lane %r0, %r2 = lane & 3 and %p2, that it is odd; and the result of each lane.
TOGETHER = {
    "shfl.sync.bfly.b32 %r1, %r0, 5, 31, -1;": [lane ^ 5 for lane in LANES],
    "shfl.sync.idx.b32 %r1, %r0, 7, 31, -1;": [7 for _ in LANES],
    "shfl.sync.idx.b32 %r1, %r0, 3, 0x181f, -1;": [lane // 8 * 8 + 3 for lane in LANES],
    "shfl.sync.up.b32 %r1, %r0, 2, 0, -1;": [max(lane - 2, lane % 2 if lane < 2 else 0) for lane in LANES],
    "shfl.sync.down.b32 %r1, %r0, 2, 31, -1;": [lane + 2 if lane < 30 else lane for lane in LANES],
    "shfl.sync.down.b32 %r3|%p1, %r0, 2, 31, -1; selp.b32 %r1, 1, 0, %p1;": [int(lane < 30) for lane in LANES],
    "vote.sync.ballot.b32 %r1, %p2, -1;": [0xAAAAAAAA for _ in LANES],
    "vote.sync.any.pred %p1, %p2, -1; selp.b32 %r1, 1, 0, %p1;": [1 for _ in LANES],
    "vote.sync.all.pred %p1, !%p2, -1; selp.b32 %r1, 1, 0, %p1;": [0 for _ in LANES],
    "vote.sync.uni.pred %p1, %p2, -1; selp.b32 %r1, 1, 0, %p1;": [0 for _ in LANES],
    "match.any.sync.b32 %r1, %r2, -1;": [0x11111111 << lane % 4 for lane in LANES],
    "match.all.sync.b32 %r1|%p1, %r2, -1;": [0 for _ in LANES],
    "match.all.sync.b32 %r1|%p1, 5, -1;": [0xFFFFFFFF for _ in LANES],
    "redux.sync.add.u32 %r1, %r0, -1;": [496 for _ in LANES],
    "redux.sync.max.s32 %r1, %r2, -1;": [3 for _ in LANES],
    "redux.sync.or.b32 %r1, %r0, -1;": [31 for _ in LANES],
    "mov.u32 %r1, 9; @!%p2 shfl.sync.bfly.b32 %r1, %r0, 2, 31, 0x55555555;": [
        9 if lane % 2 else lane ^ 2 for lane in LANES],
    "@%p2 redux.sync.add.u32 %r1, %r0, 0xaaaaaaaa; @!%p2 redux.sync.add.u32 %r1, %r0, 0x55555555;": [
        256 if lane % 2 else 240 for lane in LANES],
}  # fmt: skip


def test_what_a_warp_does_together() -> None:
    lines = ["and.b32 %r2, %r0, 3; and.b32 %r4, %r0, 1; setp.eq.u32 %p2, %r4, 1; mad.wide.u32 %rd2, %r0, 4, %rd0;"]
    for place, body in enumerate(TOGETHER):
        lines.append(f"{body} st.global.u32 [%rd2+{128 * place}], %r1;")
    found = np.reshape(run("\n".join(lines), 16 * len(TOGETHER)), (-1, 32))
    for (body, wanted), each in zip(TOGETHER.items(), found.tolist(), strict=True):
        assert each == wanted, body


VARIABLES = """
.const .align 4 .b8 digits[8] = {1, 2, 3, 4, 250, 251, 252, 253};
.global .align 8 .u64 number = 0x123456789;
.extern .shared .align 16 .b8 dynamic[];
.func (.param .b32 back) twice(.param .b32 given, .param .b64 place);
.func (.param .b32 back) twice(.param .b32 given, .param .b64 place)
{
    .reg .b32 %r<9>; .reg .b64 %rd<9>;
    ld.param.b32 %r1, [given];
    ld.param.b64 %rd1, [place];
    add.s32 %r2, %r1, %r1;
    st.u32 [%rd1], %r2;
    st.param.b32 [back+0], %r2;
    ret;
}
"""


@pytest.mark.slow
def test_memory_calls_and_jumps() -> None:
    found = run(
        """
    .shared .align 8 .b8 fixed[16];
    .local .align 8 .b8 own[16];
    ld.const.v4.u8 {%r1, %r2, %r3, %r4}, [digits+4];
    st.global.v4.u32 [%rd0], {%r1, %r2, %r3, %r4};
    ld.const.s8 %r1, [digits+7];
    st.global.u32 [%rd0+16], %r1;
    ld.global.u64 %rd1, [number];
    mov.b64 {%r1, %r2}, %rd1;
    st.global.v2.u32 [%rd0+24], {%r2, %r1};
    mov.u32 %r5, fixed;
    st.shared.u32 [%r5+8], 77;
    mov.u64 %rd2, fixed;
    cvta.shared.u64 %rd2, %rd2;
    ld.u32 %r6, [%rd2+8];
    st.global.u32 [%rd0+32], %r6;
    mov.u32 %r7, dynamic;
    st.shared.u32 [%r7+60], 88;
    ld.volatile.shared.u32 %r6, [dynamic+60];
    st.global.u32 [%rd0+36], %r6;
    { // a call
    .param .b32 param0;
    .param .b64 param1;
    .param .b32 retval0;
    mov.u64 %rd3, own;
    cvta.local.u64 %rd3, %rd3;
    add.s64 %rd3, %rd3, 4;
    st.param.b32 [param0+0], 21;
    st.param.b64 [param1+0], %rd3;
    call.uni (retval0),
    twice,
    (
    param0,
    param1
    );
    ld.param.b32 %r8, [retval0+0];
    ld.local.u32 %r9, [own+4];
    add.s32 %r8, %r8, %r9;
    }
    st.global.u32 [%rd0+40], %r8;
    mov.u32 %r10, 1;
    $places: .branchtargets $first, $second;
    brx.idx %r10, $places;
$first:
    st.global.u32 [%rd0+44], 1;
$second:
    st.global.u32 [%rd0+48], 2;
    atom.shared.cas.b32 %r11, [%r5+8], 77, 5;
    atom.shared.exch.b32 %r11, [%r5+8], 6;
    red.shared.add.u32 [%r5+8], %r11;
    atom.global.max.u32 %r11, [%rd0], 300;
    ld.shared.u32 %r12, [%r5+8];
    st.global.v2.u32 [%rd0+56], {%r11, %r12};
    atom.global.add.f32 %r13, [%rd0+52], 0f3FC00000;
    """,
        9, 1, 64, VARIABLES,
    )  # fmt: skip
    assert found == [300, 251, 252, 253, 2**32 - 3, 0, 1, 0x23456789, 77, 88, 84, 0, 2, 0x3FC00000, 250, 11, 0, 0]


SAFE = [
    "st.shared.u32 [%r5], %r0; bar.sync 0; ld.shared.u32 %r1, [%r6];",
    "st.shared.u32 [%r5], %r0; bar.warp.sync -1; ld.shared.u32 %r1, [%r6]; bar.warp.sync -1; st.shared.u32 [%r5], 0;",
    "atom.shared.add.u32 %r1, [shared], 1; bar.sync 0; ld.shared.u32 %r1, [shared];",
    "ld.shared.u32 %r1, [shared]; bar.sync 0; setp.eq.u32 %p1, %r0, 3; @%p1 st.shared.u32 [shared], 1;",
]
WRONG = {
    "ld.global.v2.u32 {%r1, %r2}, [%rd0+4];": "misaligned",
    "ld.shared.u32 %r1, [shared+126];": "misaligned",
    "ld.shared.u32 %r1, [shared+144];": "beyond the shared memory",
    "ld.shared.u32 %r1, [empty];": "in which nothing was put",
    "atom.shared.add.u32 %r1, [empty+4], 1;": "in which nothing was put",
    "ld.shared.u32 %r1, [16];": "beyond the shared memory",
    "ld.global.u32 %r1, [16];": "where nothing is",
    "ld.param.u32 %r1, [k_param_0+8];": "beyond the parameters",
    "mov.u64 %rd1, shared; cvta.shared.u64 %rd1, %rd1; ld.global.u32 %r1, [%rd1];": "taken for another",
    "st.shared.u32 [shared], %r0;": "a race",
    "st.shared.u32 [%r5], %r0; ld.shared.u32 %r1, [%r6];": "a race",
    "atom.shared.add.u32 %r1, [shared], 1; ld.shared.u32 %r1, [shared];": "a race",
    "setp.lt.u32 %p1, %r0, 16; @%p1 bar.sync 0;": "a barrier that not all",
    "setp.lt.u32 %p1, %r0, 16; @%p1 bar.warp.sync -1; @!%p1 bar.sync 0;": "wait for each other for ever",
    "setp.lt.u32 %p1, %r0, 16; @%p1 shfl.sync.bfly.b32 %r1, %r0, 16, 31, 0xffff;": "does not take part",
    "shfl.sync.bfly.b32 %r1, %r0, 1, 31, 0xffff;": "not in its own mask",
    "div.u32 %r1, 5, 0;": "a division by zero",
    "trap;": "a trap",
}


@pytest.mark.parametrize("body", [*SAFE, *WRONG])
def test_what_is_not_allowed(body: str) -> None:
    # %r5 is the place of a thread, %r6 that of the next one.
    head = """
    .shared .align 8 .b8 shared[128];
    mov.u32 %r5, shared; mad.lo.u32 %r5, %r0, 4, %r5;
    add.u32 %r6, %r0, 1; and.b32 %r6, %r6, 31; mov.u32 %r7, shared; mad.lo.u32 %r6, %r6, 4, %r7;
    .shared .align 8 .b8 empty[8];
    st.shared.u32 [%r5], 0; bar.sync 0;
    """
    if body in SAFE:
        run(head + body)
        return
    with pytest.raises(PtxFaultError, match=WRONG[body]) as said:
        run(head + body)
    assert ": thread " in str(said.value)


@pytest.mark.parametrize(
    "body",
    [
        "wgmma.fence.sync.aligned;",
        "add.cc.u32 %r1, 1, 2;",
        "add.u32 %r1, 1;",
        "add.u32 %q1, 1, 2;",
        "bar.sync 1;",
        "bra $nowhere;",
    ],
)
def test_what_is_not_known_is_shown(body: str) -> None:
    with pytest.raises(
        (UnknownPtxError, KeyError), match=r"line 10 .*: " + body[:3] if "nowhere" not in body else "nowhere"
    ):
        run(body)
