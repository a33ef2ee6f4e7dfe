"""The small faults that mutants have: changes of a syntax tree, one at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Change", "changes"]

_COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
#: Fields that are not run, or whose faults are no faults of the program.
_LEFT_ALONE = {"annotation", "returns", "type_params"}


class Change(NamedTuple):
    """A change, made for as long as it is looked at."""

    lines: range
    text: str
    """The line, and in braces what becomes of a part of it."""
    in_function: bool


def changes(source: str) -> Iterator[tuple[Change, ast.Module]]:
    """Yield every change of a program, with its tree; the tree is changed until the next is asked for."""
    tree = ast.parse(source)
    lines = source.encode().splitlines()
    for change in _within(tree, lines, False):
        yield change, tree


def _within(parent: ast.AST, lines: list[bytes], in_function: bool) -> Iterator[Change]:
    for name, value in ast.iter_fields(parent):
        if name in _LEFT_ALONE or (isinstance(parent, ast.ClassDef) and name == "decorator_list"):
            continue
        inside = in_function or (isinstance(parent, ast.FunctionDef | ast.Lambda) and name == "body")
        for place, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or isinstance(child, ast.Assert) or _is_list_of_names(child):
                continue
            for new in _made(child, parent, name):
                new = ast.fix_missing_locations(ast.copy_location(new, child))
                _put(parent, name, place, new)
                yield Change(range(child.lineno, child.end_lineno + 1), _shown(child, new, lines), inside)  # type: ignore
                _put(parent, name, place, child)
            yield from _within(child, lines, inside)


def _put(parent: ast.AST, name: str, place: int | None, node: Any) -> None:
    if place is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[place] = node


def _shown(old: Any, new: ast.AST, lines: list[bytes]) -> str:
    before, after = (
        lines[old.lineno - 1][: old.col_offset].decode(),
        lines[old.end_lineno - 1][old.end_col_offset :].decode(),
    )
    return f"{before.strip()}{' ' * before.endswith(' ')}{{{_text(old)} -> {_text(new)}}}{after}".strip()


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _is_list_of_names(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _made(node: ast.AST, parent: ast.AST, place: str) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node."""
    match node:
        case ast.Compare(left, ops, comparators):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], _COMPARISONS[type(op)](), *ops[i + 1 :]], comparators)
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS and not _is_text(left) and not _is_none(right):
            yield ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _OPERATORS:
            yield ast.AugAssign(target, _OPERATORS[type(op)](), value)
            yield ast.Pass()
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            yield operand
        case ast.Constant(bool(value)) if not (isinstance(parent, ast.keyword) and parent.arg == "strict"):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)) if not isinstance(value, bool) and not _is_minus(parent):
            yield ast.Constant(value + 1)
            if value == 1:
                yield ast.Constant(0)
        case ast.Return(value) if value is not None and _text(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Slice(lower, upper, step):
            if lower is not None:
                yield ast.Slice(None, upper, step)
            if upper is not None:
                yield ast.Slice(lower, None, step)
        case ast.Expr(ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Assign([ast.Subscript() | ast.Attribute()]):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()

    if place == "test" and not isinstance(node, ast.Compare | ast.BoolOp) and not _text(node).startswith("not "):
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None  # of a type: `Literal["a"] | None`


def _is_minus(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)  # which is itself dropped
