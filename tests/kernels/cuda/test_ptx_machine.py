"""The machine that runs PTX does what its manual says of each instruction, and stops where a GPU would not do it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from support.cuda.ptx_manual import CASES
from support.cuda.ptx_on_cpu import PtxFaultError, needs_compilers, run_ptx
from support.cuda.ptx_text import UnknownPtxError


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
