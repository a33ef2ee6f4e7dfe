"""What single instructions of PTX make of some operands, by its manual."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["CASES"]

NAN, INF, TINY = "0f7FFFFFFF", "0f7F800000", "0f00000001"


def f(value: float) -> str:
    """Return a number as PTX writes those of 32 bits."""
    return f"0f{struct.unpack('<I', struct.pack('<f', value))[0]:08X}"


def d(value: float) -> str:
    return f"0d{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


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
#: An instruction, its operands, and the bits of its result.
CASES = [
    *((name, given, wanted.strip()) for (name, *given), wanted in (
        (row.partition("|")[0].split(), row.partition("|")[2]) for row in ROWS.strip().splitlines())),
    *REALS,
]  # fmt: skip
