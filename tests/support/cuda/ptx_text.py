"""The text of PTX as a list of instructions whose operands are numbers of cells: registers, constants and addresses alike."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

__all__ = ["Base", "Instruction", "Program", "UnknownPtxError", "parsed"]


class UnknownPtxError(Exception):
    """PTX that the machine does not know."""


class Base(IntEnum):
    """What a constant is counted from, as in ptx_machine.cpp: nothing, the thread's memory, parameters, a special register."""

    NUMBER, LOCAL, PARAM, TID_X, NTID_X, CTAID_X, CTAID_Y, NCTAID_X, NCTAID_Y, LANEID, WARPID = range(11)


SPECIAL = {
    "%tid.x": Base.TID_X, "%ntid.x": Base.NTID_X, "%ctaid.x": Base.CTAID_X, "%ctaid.y": Base.CTAID_Y,
    "%nctaid.x": Base.NCTAID_X, "%nctaid.y": Base.NCTAID_Y, "%laneid": Base.LANEID, "%warpid": Base.WARPID,
}  # fmt: skip
#: Where the shared memory of a block begins, as in ptx_machine.h.
SHARED_BEGIN = 1024

_NAME = r"[%$_A-Za-z][\w$%]*"
_HEADER = re.compile(
    rf"\.(?P<kind>entry|func)\s*(?:\((?P<back>[^)]*)\))?\s*(?P<name>{_NAME})\s*(?:\((?P<given>[^)]*)\))?"
)
_VARIABLE = re.compile(
    r"(?P<extern>\.extern\s+)?(?:\.(?:visible|weak)\s+)?\.(?P<space>shared|global|const|local|param)\s*"
    r"(?:\.align\s+(?P<align>\d+)\s*)?"
    r"\.(?P<type>[a-z]+\d+)\s+(?:\.ptr\s+(?:\.[a-z]+\s+)*(?:\.align\s+\d+\s+)?)?"
    rf"(?P<name>{_NAME})\s*(?P<many>\[(?P<count>\d*)\])?\s*(?:=\s*(?P<first>.*))?$",
    re.DOTALL,
)
_CALL = re.compile(
    rf"call(?:\.uni)?\s+(?:\(\s*(?P<back>{_NAME})\s*\)\s*,\s*)?(?P<name>{_NAME})\s*(?:,\s*\((?P<given>[^)]*)\))?\s*$"
)
_IGNORED = re.compile(r"\.(pragma|file|loc|section)\b")
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s|]+(?:\s*\|\s*[^,\s]+)?")


class Instruction(NamedTuple):
    """An instruction of the machine: of PTX, but for copies around calls."""

    name: str
    shape: tuple[int, ...]
    """How many cells each operand has."""
    cells: tuple[int, ...]
    guard: int
    """The cell of the predicate that it depends on, -1 for none."""
    negated: bool
    line: int
    text: str


class Variable(NamedTuple):
    """A variable in memory; a name in the place of an offset is known when the program is loaded."""

    base: Base
    offset: int | str
    size: int


class Program:
    """A kernel, and the functions that it calls."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.constants: dict[tuple[Base, int | str], int] = {}
        """Cells of constants. A name is that of a label, of an image, of shared memory whose size is known at the launch, or
        of where a function returns to."""
        self.cells = self.begin = 0
        self.labels: dict[str, int] = {}
        self.images: dict[str, bytearray] = {}
        """Variables of the module, and what they hold at first."""
        self.local_bytes = self.shared_bytes = self.param_bytes = 0

    def cell(self) -> int:
        """Return a new cell."""
        self.cells += 1
        return self.cells - 1

    def constant(self, value: int | str, base: Base = Base.NUMBER) -> int:
        """Return the cell of a constant."""
        if (base, value) not in self.constants:
            self.constants[base, value] = self.cell()
        return self.constants[base, value]

    def loaded(self, addresses: Mapping[str, int]) -> Iterator[tuple[int, int, Base]]:
        """Yield the value, the cell and the base of all constants, when it is known where images lie."""
        for (base, value), cell in self.constants.items():
            if isinstance(value, str):
                kind, _, name = value.partition(":")
                known = {"label": self.labels, "image": addresses}.get(
                    kind, {"dynamic": SHARED_BEGIN + self.shared_bytes}
                )
                value = 0 if kind == "home" else known["dynamic" if kind == "dynamic" else name]
            yield value, cell, base


def parsed(text: str) -> Program:
    """Return what the text of a module with one kernel says."""
    reader = _Reader()
    for line, statement in _statements(text):
        try:
            reader.read(line, statement)
        except (KeyError, ValueError) as error:
            raise UnknownPtxError(f"line {line} of PTX is not understood ({error}): {statement}") from error
    program = reader.program
    if not program.instructions:
        raise UnknownPtxError("no kernel in this PTX")
    # What has its size at the launch comes behind the shared memory, and the memory of the next thread behind that of this.
    program.shared_bytes, program.local_bytes = (
        -(-each // 16) * 16 for each in (program.shared_bytes, program.local_bytes)
    )
    return program


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield statements with their lines: what ends with a semicolon, labels with their colon, and braces of blocks."""
    text = re.sub(
        r"//[^\n]*|/\*.*?\*/|(?m:^\.(version|target|address_size)[^\n]*)",
        lambda found: "\n" * found[0].count("\n"),
        text,
        flags=re.DOTALL,
    )
    begin = inner = 0
    for found in re.finditer(r"[{};:]", text):
        here, place, before = found[0], found.start(), text[begin : found.start()].strip()
        ends: list[str] = []
        if here == "{" and before and not re.match(r"(\.\w+\s+)*\.(entry|func)\b", before):
            inner += 1  # a vector, or what an array holds at first
        elif here == "}" and inner:
            inner -= 1
        elif here in "{}":
            ends = [before, here]
        elif here == ";" and not inner:
            ends = [before]
        elif here == ":" and re.fullmatch(_NAME, before) and text[place + 1] != ":":
            ends = [f"{before}:"]
        if ends:
            line = text.count("\n", 0, place) + 1 - text[begin:place].lstrip().count("\n")
            yield from ((line, each) for each in ends if each)
            begin = place + 1


class _Reader:
    def __init__(self) -> None:
        self.program = Program()
        self.function = self.label = ""
        self.entry, self.depth = False, 0
        self.registers: dict[str, int] = {}
        """Cells of the function's registers, -1 of names that begin so."""
        self.variables: dict[str, Variable] = {}
        """Of the module, and by the name of their function its parameters."""
        self.own: dict[str, Variable] = {}
        self.tables: dict[str, list[str]] = {}
        self.formal: dict[str, tuple[list[Variable], list[Variable]]] = {}
        """What functions give back, and what they are given."""
        self.line, self.text = 0, ""

    def read(self, line: int, text: str) -> None:
        self.line, self.text = line, text
        if text == "{":
            self.depth += 1
        elif text == "}":
            self.depth -= 1
            if not self.depth:
                self.add("ret")
                self.function = ""
        elif text.endswith(":"):
            self.label = text[:-1]
            self.program.labels[f"{self.function} {self.label}"] = len(self.program.instructions)
        elif text.startswith("."):
            self.directive(text)
        else:
            self.instruction(text)

    def directive(self, text: str) -> None:
        if header := _HEADER.search(text):
            self.header(header)
        elif text.startswith(".reg"):
            for name in text.split(None, 2)[2].split(","):
                self.registers.setdefault(name.split("<")[0].strip(), -1)
        elif text.startswith(".branchtargets"):
            self.tables[f"{self.function} {self.label}"] = re.findall(_NAME, text)[1:]
        elif found := _VARIABLE.match(text):
            if not self.depth:
                self.function = ""
            self.declare(found)
        elif not _IGNORED.match(text):
            raise ValueError("a directive")

    def header(self, found: re.Match[str]) -> None:
        name, program = found["name"], self.program
        self.function, self.entry = name, found["kind"] == "entry"
        self.registers, self.own = {}, {}
        parts = []
        for text in (found["back"], found["given"]):
            variables = [_VARIABLE.match(each.strip()) for each in (text or "").split(",") if each.strip()]
            parts.append([variable["name"] for variable in variables if variable is not None])
            for variable in variables:
                assert variable is not None, self.text
                there = f"{name} {variable['name']}"
                if there not in self.variables:  # not declared before
                    self.declare(variable)
                    self.variables[there] = self.own[variable["name"]]
                self.own[variable["name"]] = self.variables[there]
        self.formal[name] = [self.own[each] for each in parts[0]], [self.own[each] for each in parts[1]]
        program.labels[name] = len(program.instructions)
        if self.entry:
            program.begin = len(program.instructions)

    def declare(self, found: re.Match[str]) -> None:
        name, space, program = found["name"], found["space"], self.program
        item = int(re.sub(r"\D", "", found["type"])) // 8
        size = item * int(found["count"] or 0) if found["many"] else item
        align = int(found["align"] or item)
        if space in ("global", "const"):
            numbers = [_number(each) % (1 << 8 * item) for each in re.findall(r"[^{},\s]+", found["first"] or "")]
            image = b"".join(number.to_bytes(item, "little") for number in numbers)
            program.images[name] = bytearray(image.ljust(size, b"\0"))
            place = Variable(Base.NUMBER, f"image:{name}", size)
        elif found["extern"]:
            place = Variable(Base.NUMBER, f"dynamic:{name}", 0)
        else:
            given = space == "param" and self.entry and not self.depth
            room = "param_bytes" if given else "shared_bytes" if space == "shared" else "local_bytes"
            begin = -(-getattr(program, room) // align) * align
            setattr(program, room, begin + size)
            base = Base.PARAM if given else Base.NUMBER if space == "shared" else Base.LOCAL
            place = Variable(base, begin + SHARED_BEGIN * (space == "shared"), size)
        (self.own if self.function else self.variables)[name] = place

    def instruction(self, text: str) -> None:
        guard, negated = -1, False
        if found := re.match(rf"@(!?)\s*({_NAME})\s+(.*)", text, re.DOTALL):
            negated, guard, text = bool(found[1]), self.operand(found[2]), found[3]
        name, *rest = text.split(None, 1)
        operands = _OPERAND.findall(rest[0]) if rest else []
        if name.startswith("call"):
            if guard >= 0:
                raise ValueError("a call that depends on something")
            self.call(text)
        elif re.match(r"bar(rier)?(\.cta)?\.sync", name) and operands != ["0"]:
            raise ValueError("another barrier than that of the whole block")
        elif name.startswith("bra"):
            self.add("bra", [[self.target(operands[0])]], guard, negated)
        elif name.startswith("brx"):
            targets = self.tables[f"{self.function} {operands[1]}"]
            self.add("brx", [[self.operand(operands[0])], [self.target(each) for each in targets]], guard, negated)
        else:
            self.add(name, [self.operands(each) for each in operands], guard, negated)

    def call(self, text: str) -> None:
        """Copy what is given, go there, and copy what comes back."""
        found = _CALL.match(text)
        if not found or found["name"] not in self.formal:
            raise ValueError("a call of what is not there")
        back, given = self.formal[found["name"]]
        for formal, actual in zip(given, re.findall(_NAME, found["given"] or ""), strict=True):
            self.copy(formal, self.own[actual])
        constant = self.program.constant
        self.add("call", [[constant(f"home:{found['name']}")], [constant(f"label:{found['name']}")]])
        if found["back"]:
            self.copy(self.own[found["back"]], back[0])

    def copy(self, to: Variable, source: Variable) -> None:
        constant = self.program.constant
        self.add("copy", [[constant(each.offset, each.base)] for each in (to, source)] + [[constant(to.size)]])

    def add(self, name: str, operands: Iterable[list[int]] = (), guard: int = -1, negated: bool = False) -> None:
        if name.startswith("ret") and not self.entry:
            name, operands = "return", [[self.program.constant(f"home:{self.function}")]]
        operands = [*operands]
        shape, cells = tuple(map(len, operands)), tuple(cell for each in operands for cell in each)
        self.program.instructions.append(Instruction(name, shape, cells, guard, negated, self.line, self.text))

    def target(self, label: str) -> int:
        return self.program.constant(f"label:{self.function} {label}")

    def operands(self, text: str) -> list[int]:
        if text[0] == "{":
            return [self.operand(each) for each in re.findall(r"[^{},\s]+", text)]
        if text[0] == "[":
            base, _, offset = text[1:-1].partition("+")
            return [self.operand(base.strip()), self.program.constant(int(offset or "0", 0))]
        if "|" in text:
            return [self.operand(each.strip()) for each in text.split("|")]
        if text[0] == "!":
            cell = self.program.cell()
            self.add("not.pred", [[cell], [self.operand(text[1:])]])
            return [cell]
        return [self.operand(text)]

    def operand(self, text: str) -> int:
        """Return the cell of a register, a number, a special register or the address of a variable."""
        if text in SPECIAL:
            return self.program.constant(0, SPECIAL[text])
        if re.match(r"[-\d]", text):
            return self.program.constant(_number(text) % (1 << 64))
        if variable := self.own.get(text) or self.variables.get(text):
            return self.program.constant(variable.offset, variable.base)
        if text not in self.registers:
            if text != "_" and re.sub(r"\d+$", "", text) not in self.registers:
                raise ValueError(f"{text} is not declared")
            self.registers[text] = -1
        if self.registers[text] < 0:
            self.registers[text] = self.program.cell()
        return self.registers[text]


def _number(text: str) -> int:
    """Return a whole number, or the bits of another."""
    if text[:2].lower() in ("0f", "0d"):
        return int(text[2:], 16)
    if re.fullmatch(r"-?\d+\.\d*(e[-+]?\d+)?", text):
        return int.from_bytes(struct.pack("<d", float(text)), "little")
    text = text.rstrip("Uu")
    return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text, 0)
