"""What an instruction of PTX means: the C++ of it, over the functions of ptx_instructions.h and ptx_warps.h."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from support.cuda.ptx_text import Instruction, UnknownPtxError

__all__ = ["Kind", "meaning"]


class Kind(IntEnum):
    """How an instruction is run, as in ptx_machine.cpp: alone, with lanes of its warp, with the block; or the thread ends."""

    PLAIN, TOGETHER, BARRIER, EXIT = range(4)


_TYPE = re.compile(r"[sub](8|16|32|64)|f(16|32|64)|f16x2|pred")
_SPACE = re.compile(r"global|shared|local|param|const")
#: Words that change nothing where there is one memory, which all threads see at once.
_IDLE = re.compile(
    r"uni|volatile|nc|relaxed|acquire|release|acq_rel|weak|gpu|cta|sys|sync|aligned|noftz|c[agsv]|lu|wb|wt|b32|to|L[12]::\w+"
)
#: Words that the functions of instructions are told of, and comparisons.
_FLAGS, _COMPARISONS = (
    set(re.findall(rf"\b{kind}_(\w+)", (Path(__file__).parent / "ptx_instructions.h").read_text())) for kind in "FC"
)
_JOINED = {"and": "&", "or": "|", "xor": "^"}

#: The types of the result and of the operands: T is the last that an instruction names, W has twice its bits, B is its bits,
#: u is u32, and p a predicate.
_SIGNATURES = {
    name: signature
    for signature, names in {
        "TTT": "add sub mul div rem min max and or xor copysign",
        "TTTT": "fma mad",
        "TT": "neg abs rcp sqrt rsqrt ex2 lg2 sin cos tanh not cnot brev",
        "WTT": "mul.wide",
        "WTTW": "mad.wide",
        "BB": "mov",
        "BBBp": "selp",
        "TTu": "shl shr",
        "uT": "popc clz bfind",
        "TTuu": "bfe",
        "TTTuu": "bfi",
        "uuuu": "shf prmt",
        "uuuuu": "lop3",
    }.items()
    for name in names.split()
}

#: What goes elsewhere, and what has nothing to do here.
_CONTROL = {
    "bra": "m.next = (u32)r[o[0]]",
    "brx": "m.next = (u32)r[o[1 + (u32)r[o[0]]]]",
    "call": "r[o[0]] = m.next, m.next = (u32)r[o[1]]",
    "return": "m.next = (u32)r[o[0]]",
    "copy": "memcpy((char *)r[o[0]], (char *)r[o[1]], r[o[2]])",
    "trap": 'throw Fault{"a trap"}',
    **dict.fromkeys(("membar", "fence", "nanosleep"), "(void)0"),
}


def meaning(each: Instruction) -> tuple[Kind, str]:
    """Return how an instruction is run, and what it does with the cells `r` of its thread and its operands `o`."""
    try:
        return _meaning(each.name, each.shape)
    except (ValueError, KeyError) as error:
        raise UnknownPtxError(
            f"line {each.line} of PTX has an instruction that is not known ({error}): {each.text}"
        ) from error


@functools.cache
def _meaning(name: str, shape: tuple[int, ...]) -> tuple[Kind, str]:
    head, *words = name.split(".")
    types = [word for word in words if _TYPE.fullmatch(word)]
    spaces = [word.upper() for word in words if _SPACE.fullmatch(word)]
    words = [word for word in words if not any(each.fullmatch(word) for each in (_TYPE, _SPACE, _IDLE))]
    if head in ("ret", "exit"):
        return Kind.EXIT, ""
    if head in ("bar", "barrier") and not words:
        return Kind.BARRIER, ""
    if head in _WARPS:
        own = [_cpp(types[-1])] if head in ("match", "redux") else []
        more = [str(shape[0])] if head in ("shfl", "match") else []
        return Kind.TOGETHER, f"together_{head}<{', '.join([*own, _flags(set(words) - {'warp'}), *more])}>(w)"
    if head in _CONTROL:
        return Kind.PLAIN, _CONTROL[head]
    return Kind.PLAIN, _plain(head, words, types, spaces[0] if spaces else "GENERIC", shape, ".to." in name)


_WARPS = ("bar", "shfl", "vote", "match", "redux")


def _plain(head: str, words: list[str], types: list[str], space: str, shape: tuple[int, ...], to_space: bool) -> str:
    last = types[-1] if types else ""
    if head in ("ld", "st") and not set(words) - {"v2", "v4"}:
        way, count = ("load", shape[0]) if head == "ld" else ("store", shape[1])
        return f"{way}<{space}, {_cpp(last, bits=last[0] == 'f')}, {count}>(m, r, o)"
    if head in ("atom", "red"):
        kind, returns = _cpp(last, bits=words[0] in ("exch", "cas")), int(head == "atom")
        return f"atomic<{space}, {kind}, {_flags(words)}, {returns}>(m, r, o)"
    if head == "cvta":
        return f"put(r[o[0]], {'from' if to_space else 'to'}_generic(m, {space}, r[o[1]]))"
    if head == "cvt":
        return _conversion(*types, words)
    if head in ("setp", "set"):
        return _comparison(head, words, types, shape)
    if head == "slct":
        return f"r[o[0]] = get<{_cpp(last)}>(r[o[3]]) >= 0 ? r[o[1]] : r[o[2]]"
    if head in ("dp4a", "dp2a"):
        more = f", {int(words == ['hi'])}" if head == "dp2a" else ""
        return (
            f"put(r[o[0]], op_{head}<{_cpp(types[0])}, {_cpp(last)}{more}>((u32)r[o[1]], (u32)r[o[2]], (u32)r[o[3]]))"
        )
    if head == "mov" and max(shape) > 1:
        return _packed(_cpp(last, bits=True), shape)
    signature = _SIGNATURES[f"{head}.wide" if "wide" in words else head]
    if len(shape) != len(signature) or max(shape) > 1:
        raise ValueError(f"no {head} of {len(shape)} operands")
    if last.startswith("f16") or ("sat" in words and last[0] in "su" and head != "add"):
        raise ValueError(f"no {head} of this sort")
    into, *kinds = (_kind(letter, last) for letter in signature)
    flags, main = _flags(words), into if signature[0] == "B" else _cpp(last)
    given = ", ".join(_taken(kind, place, words) for place, kind in enumerate(kinds, 1))
    return f"give<{into}, {flags}>(r[o[0]], op_{head}<{main}, {flags}>({given}))"


def _cpp(kind: str, bits: bool = False) -> str:
    """Return the C++ name of a type, or of bits of its size."""
    return "bool" if kind == "pred" else f"u{kind[1:]}" if kind[0] == "b" or bits else kind


def _kind(letter: str, last: str) -> str:
    if letter == "W":
        return f"{_cpp(last)[0]}{2 * int(last[1:])}"
    return {"u": "u32", "p": "bool"}.get(letter) or _cpp(last, bits=letter == "B")


def _flags(words: Iterable[str]) -> str:
    if unknown := set(words) - _FLAGS:
        raise ValueError(f"not known: {', '.join(sorted(unknown))}")
    return "|".join(f"F_{word}" for word in sorted(words)) or "0"


def _taken(kind: str, place: int, words: Iterable[str]) -> str:
    return f"take<{kind}, {_flags(words)}>(r[o[{place}]])"


def _conversion(into: str, source: str, words: list[str]) -> str:
    flags = _flags(words)

    def one(cell: str, place: int) -> str:
        kind, number = into.removesuffix("x2"), _taken(_cpp(source), place, words)
        return f"give<{_cpp(kind)}, {flags}>({cell}, op_cvt<{_cpp(kind)}, {_cpp(source)}, {flags}>({number}))"

    if into == "f16x2":
        return f"u64 high, low; {one('high', 1)}; {one('low', 2)}; put(r[o[0]], u32(high << 16 | low))"
    return one("r[o[0]]", 1)


def _comparison(head: str, words: list[str], types: list[str], shape: tuple[int, ...]) -> str:
    """Return what `setp` and `set` do; one of the words may join the result with a predicate."""
    if words[0] not in _COMPARISONS:
        raise ValueError(f"not known: {words[0]}")
    kind, compare, rest = _cpp(types[-1]), words[0], [word for word in words[1:] if word != "ftz"]
    flags, results = [word for word in words if word == "ftz"], shape[0]
    found = f"compared<{kind}, C_{compare}>({_taken(kind, results, flags)}, {_taken(kind, results + 1, flags)})"
    more = f" {_JOINED[rest[0]]} get<bool>(r[o[{results + 2}]])" if rest else ""
    if head == "set":
        yes = "1.0f" if types[0] == "f32" else "~0u"
        return f"put(r[o[0]], {_cpp(types[0])}(({found}{more}) ? {yes} : 0))"
    second = f"; put(r[o[1]], bool(!yes{more}))" if results == 2 else ""
    return f"const bool yes = {found}; put(r[o[0]], bool(yes{more})){second}"


def _packed(kind: str, shape: tuple[int, ...]) -> str:
    """Return how a number is made of several, or several are made of one."""
    count = max(shape)
    part = int(kind[1:]) // count
    if shape[0] > 1:
        parts = (f"put(r[o[{k}]], u{part}(all >> {part * k}))" for k in range(count))
        return f"const {kind} all = get<{kind}>(r[o[{count}]]); {'; '.join(parts)}"
    parts = (f"{kind}(get<u{part}>(r[o[{k + 1}]])) << {part * k}" for k in range(count))
    return f"put(r[o[0]], {kind}({' | '.join(parts)}))"
