"""Mutants: one small fault at a time is put into a folder of the package. A test must fail, or mutants.txt say why none can.

    PYTHONPATH=tests python -m support.mutants fastseg/counts                 # or other folders of TESTS below; none means all
    PYTHONPATH=tests python -m support.mutants fastseg/counts --sample 100    # a hundred, drawn with a fixed seed

All of it happens in a copy of the repository. The tests run once, which loads them and the package, while `coverage` notes
which reach what, and once more in a fork, with the same functions compiled anew, to see that no test fails without a mutant.
Then each mutant gets a fork of that process, where the code of the function is exchanged; for a fault outside of functions,
the package is loaded anew from a file that has it. Of the tests those run that reach the fault, the quickest first and those
that have found others, until one fails. Hypothesis tries few examples and shrinks none. What is not about backends counts
with NumPy's, so that little has to be compiled.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import math
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import coverage
import pytest
from support.mutations import Change, changes

ROOT = Path(__file__).parents[2]
REASONS = Path(__file__).with_suffix(".txt")
NUMPY = "fastseg/kernels/numpy"
#: The tests of each folder that are to find its faults, as patterns of their files.
TESTS = {
    NUMPY: [
        "laws/test_label_*.py", "laws/test_mask_*.py", "laws/test_score_*.py", "laws/test_far_logits.py",
        "api/test_gradients*.py", "api/test_argmax.py", "api/test_encoding.py", "kernels/test_spans.py",
        "kernels/test_transpose.py",
    ],
    "fastseg/metrics": [
        "metrics/*.py", "laws/test_public.py", "laws/test_ignored_classes.py", "api/test_calls*.py", "api/test_gradients*.py",
        "api/test_table*.py", "runs/results/*.py",
    ],
    "fastseg/counts": [
        "counts/*.py", "laws/test_ignored_classes.py", "api/test_evaluator*.py",
    ],
    "fastseg/runs/results": [
        "runs/results/*.py", "runs/outputs/*.py", "runs/comparison/*.py", "runs/scoring/test_missing.py",
        "runs/test_evaluate*.py",
    ],
}  # fmt: skip
#: Not with PyTorch, whose threads a fork lacks, and waits for.
OPTIONS = ["-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow and not browser and not torch", "--tb=no"]
#: Seconds of a processor after which a mutant is taken for one that does not end, beyond those that its tests should take;
#: and how many times as many seconds of the clock, since others may be at work.
PATIENCE, OTHERS = 20, 30
#: Examples of Hypothesis, at most, for each test.
EXAMPLES = 20
#: Bytes of memory beyond which a mutant is stopped.
ROOM = 2**34


class Mutant(NamedTuple):
    """One fault: the file, relative to the root, and the change to its tree."""

    path: str
    change: Change

    @property
    def key(self) -> str:
        """What mutants.txt calls it: line numbers change too often."""
        return f"{self.path}: {self.change.text}"


def files(patterns: Sequence[str]) -> list[str]:
    """Return the files of tests that patterns stand for."""
    found = {pattern: sorted(map(str, Path("tests").glob(pattern))) for pattern in patterns}
    assert all(found.values()), f"no test is called so: {found}"
    return [file for each in found.values() for file in each if "conftest" not in file]


def mutants(path: Path) -> Iterator[tuple[Mutant, ast.Module]]:
    """Yield every mutant of a file, each while its tree is changed."""
    for change, tree in changes(path.read_text(encoding="utf-8")):
        yield Mutant(path.as_posix(), change), tree


def reasons() -> dict[str, str]:
    """Return why no test can find some mutants, as mutants.txt says: a reason, and below it, indented, the mutants."""
    found, reason = {}, ""
    for line in REASONS.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            found[line.strip()] = reason
        elif line and not line.startswith("#"):
            reason = line
    return found


def in_a_fork(work: Callable[[], bool], seconds: float) -> bool:
    """Tell whether work in a process of its own returns True in time, in seconds of a processor."""
    child = os.fork()
    if child == 0:
        done = False
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds),) * 2)
            signal.alarm(math.ceil(OTHERS * seconds))
            done = work()
        finally:
            os._exit(not done)
    try:
        return os.waitpid(child, 0)[1] == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it has started


def exchanges(functions: list[FunctionType], tree: ast.Module, path: Path) -> list[tuple[FunctionType, CodeType]]:
    """Return the functions of a file with their code of another tree; none where some cannot be exchanged."""
    new = {(code.co_qualname, code.co_firstlineno): code for code in _codes(compile(tree, path, "exec"))}
    found = []
    for function in functions:
        old = function.__code__
        if old.co_filename == str(path):
            code = new.get((old.co_qualname, old.co_firstlineno))
            if code is None or code.co_freevars != old.co_freevars:
                return []
            found.append((function, code))
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def load(folder: str) -> None:
    """Load the package anew from the repository's copy, with NumPy's backend for both, but for tests of backends."""
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None) or "")
        if name != "__main__" and (file.startswith(f"{Path.cwd()}{os.sep}") or name.split(".")[0] == "support"):
            del sys.modules[name]
    from fastseg.kernels import BACKENDS

    if folder != NUMPY:
        BACKENDS["numba"] = BACKENDS["numpy"]


@contextlib.contextmanager
def written(path: Path, tree: ast.Module) -> Iterator[None]:
    """Write a mutant for a while."""
    original, times = path.read_bytes(), path.stat()
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # bytecode is told apart by whole seconds
    path.write_text(ast.unparse(tree), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(original)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # or else Numba would compile what is there


class FewExamples:
    """A plugin of pytest that has Hypothesis try few examples, and does not shrink them."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Change the settings of each test."""
        from hypothesis import Phase, settings  # not before pytest, which warns of it

        tests: list[Any] = [getattr(item, "obj", None) for item in items]
        for test in tests:
            if getattr(test, "is_hypothesis_test", False):
                own: Any = getattr(test, "_hypothesis_internal_use_settings", None) or settings.default
                few = min(own.max_examples, EXAMPLES)
                phases = [phase for phase in own.phases if phase in (Phase.explicit, Phase.generate)]
                test._hypothesis_internal_use_settings = settings(own, max_examples=few, phases=phases)


class Judge(FewExamples):
    """A plugin of pytest that runs the tests of a folder not once, but for each of its mutants."""

    def __init__(self, folder: str, options: argparse.Namespace) -> None:
        self.folder, self.options, self.survived = folder, options, -1
        self.out = os.fdopen(os.dup(1), "w", buffering=1)  # pytest is told to be silent
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.found = Counter[str]()
        """How many mutants each test has found."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests fail."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Say what went wrong here; what pytest says goes nowhere."""
        print(excrepr, file=self.out)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge all mutants."""
        self.items = {item.nodeid: item for item in session.items}
        self.reach()
        gc.unfreeze()
        self.functions = [each for each in gc.get_objects() if type(each) is FunctionType]
        gc.freeze()
        self.check()
        self.judge()
        return True

    def run(self, tests: Iterable[str], before: Callable[[str], object] | None = None) -> bool:
        """Run tests until one fails; or all, where there is something to do before each."""
        items = [self.items[test] for test in tests]
        self.failed.clear()
        for item, following in zip(items, [*items[1:], None], strict=False):
            if before:
                before(item.nodeid)
            start = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.seconds[item.nodeid] = time.process_time() - start
            if self.failed and not before:
                return False
        return not self.failed

    def reach(self) -> None:
        """Find out which tests reach which lines."""
        measured = coverage.Coverage(data_file=None, config_file=False, source=[self.folder])
        measured.start()
        self.run(self.items, measured.switch_context)
        measured.stop()
        data = measured.get_data()
        self.lines = {os.path.relpath(file): data.contexts_by_lineno(file) for file in data.measured_files()}

    def check(self) -> None:
        """Find out which tests pass in a fork where nothing is changed, and how long they take."""
        file = Path("check.pickle")

        def work() -> bool:
            for path in sorted(Path(self.folder).glob("*.py")):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                for function, code in exchanges(self.functions, tree, path.resolve()):
                    function.__code__ = code
            self.run(self.items, lambda test: None)
            file.write_bytes(pickle.dumps((self.seconds, self.failed)))
            return True

        assert in_a_fork(work, 10_000), "the tests could not be run"
        self.seconds, failed = pickle.loads(file.read_bytes())
        for test in failed:
            print(f"left out, since it does not pass where nothing is changed: {test}", file=self.out)
            del self.seconds[test]
        print(f"  {len(self.seconds)} tests, {sum(self.seconds.values()):.0f} s", file=self.out)

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, the quickest and keenest first, for as many seconds as there are."""
        lines = self.lines.get(mutant.path, {})
        reached = mutant.change.lines if mutant.change.in_function else lines
        found = {test for line in reached for test in lines.get(line, ())}
        if not mutant.change.in_function:  # its own tests may read what it holds without running a line
            own = f"/test_{Path(mutant.path).stem}.py::"
            found |= {test for test in self.seconds if own in test}
        chosen, left = [], self.options.seconds
        for test in sorted(found & self.seconds.keys(), key=lambda test: self.seconds[test] / (1 + self.found[test])):
            left -= self.seconds[test]
            if chosen and left < 0:
                break
            chosen.append(test)
        return chosen

    def survives(self, mutant: Mutant, tree: ast.Module, tests: list[str]) -> bool:
        """Tell whether these tests pass with a mutant."""
        path = Path(mutant.path).resolve()
        patience = PATIENCE + 2 * sum(self.seconds[test] for test in tests)
        changed = exchanges(self.functions, tree, path) if mutant.change.in_function else []

        def with_new_code() -> bool:
            for function, code in changed:
                function.__code__ = code
            passed = self.run(tests)
            killer.write_text("".join(self.failed), encoding="utf-8")
            return passed

        def loaded_anew() -> bool:
            load(self.folder)
            return pytest.main([*OPTIONS, "-x", *tests], plugins=[FewExamples()]) == 0

        if changed:
            killer = Path("killer")
            killer.write_text("", encoding="utf-8")
            survives = in_a_fork(with_new_code, patience)
            self.found.update(filter(None, [killer.read_text(encoding="utf-8")]))
            return survives
        with written(path, tree):
            return in_a_fork(loaded_anew, patience)

    def judge(self) -> None:
        """Say what survives, in a random order that is always the same: what there is at any time is a fair sample."""
        known, seen = reasons(), Counter[str]()
        paths = sorted(Path(self.folder).glob("*.py"))
        wanted = self.options.only
        chosen = [
            (path, i)
            for path in paths
            for i, (m, _) in enumerate(mutants(path))
            if any(part in m.key for part in wanted)
        ]
        random.Random(0).shuffle(chosen)
        for path, i in chosen[: self.options.sample]:
            mutant, tree = next(islice(mutants(path), i, None))
            tests = self.tests(mutant)
            if not tests:  # what runs while the package is loaded
                mutant = mutant._replace(change=mutant.change._replace(in_function=False))
                tests = self.tests(mutant)
            if mutant.key in known:
                seen["no matter"] += 1
            elif tests and not self.survives(mutant, tree, tests):
                seen["killed"] += 1
            else:
                seen["survived"] += 1
                print(f"{mutant.key}\n  line {mutant.change.lines.start}, {len(tests)} tests", file=self.out)
            if seen.total() % 50 == 0:
                print(f"  so far: {dict(seen)} of {len(chosen)}", file=self.out)
        self.survived = seen["survived"]
        print(f"{self.folder}: {dict(seen)} of {len(chosen)} mutants", file=self.out)


def judge(folder: str, options: argparse.Namespace, copy: Path) -> bool:
    """Judge a folder's mutants in a copy of the repository; True where none survives."""
    os.chdir(copy)
    sys.path[:] = [str(copy), *(each for each in sys.path if not each.startswith(str(ROOT)))]
    sys.dont_write_bytecode = True
    load(folder)
    judge = Judge(folder, options)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main([*OPTIONS, *files(options.tests or TESTS[folder])], plugins=[judge])
    return judge.survived == 0


def main() -> None:
    """Judge the mutants of the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=list(TESTS), choices=[*TESTS], metavar="folder")
    parser.add_argument("--sample", type=int, help="how many mutants of each folder are drawn")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="parts of what is printed of the mutants that are looked at"
    )
    parser.add_argument("--tests", nargs="+", help="patterns of files below tests/, instead of those in TESTS")
    parser.add_argument("--seconds", type=float, default=10, help="that the tests of one mutant may take in all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        copy = Path(where).resolve() / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis"))
        # Each in a process of its own, since what one has loaded is not loaded again.
        done = [in_a_fork(lambda folder=folder: judge(folder, options, copy), 100_000) for folder in options.folders]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
