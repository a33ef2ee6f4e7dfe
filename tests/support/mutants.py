"""Mutants: one small fault at a time is put into a folder of the package; a test must fail, or a line of mutants.txt say why not.

    PYTHONPATH=tests python -m support.mutants fastseg/counts                 # or another folder in TESTS below; or all of them
    PYTHONPATH=tests python -m support.mutants fastseg/counts --sample 100    # a hundred, drawn with a fixed seed

Each mutant gets a process of its own, forked when the package, its kernels and the tests are loaded. There the code of the
function is exchanged; for a fault outside of functions, the package is loaded anew from a file that has it. All of this happens in
a copy of the repository. Of the tests, those run that reach the line, the quickest first; which do is found out by `coverage`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple, NoReturn

import coverage
import pytest
from support.mutations import Change, changes

ROOT = Path(__file__).parents[2]
REASONS = Path(__file__).with_suffix(".txt")
#: The tests of each folder that are to find its faults.
TESTS = {
    "fastseg/kernels/numpy": ["laws/test_label_backends.py", "laws/test_score_backends.py", "laws/test_far_logits.py"],
    "fastseg/metrics": ["metrics", "laws/test_public.py", "api/test_calls.py", "api/test_gradients.py", "kernels/test_scores.py"],
    "fastseg/counts": ["counts", "metrics/test_scores.py", "api/test_evaluator.py", "api/test_evaluator_of_scores.py"],
    "fastseg/runs/results": ["runs/results", "runs/outputs", "runs/comparison"],
}
#: Seconds that tests of one mutant take in all, if none of them fails: the quickest are chosen.
BUDGET = 30.0
#: Seconds after which a mutant is taken for one that does not end.
PATIENCE = 4 * BUDGET
#: Bytes of memory beyond which a mutant is killed.
ROOM = 2**34


class Mutant(NamedTuple):
    """One fault: the file, relative to the root, and the change to its tree."""

    path: str
    change: Change

    @property
    def key(self) -> str:
        """What mutants.txt calls it: line numbers change too often."""
        return f"{self.path}: {self.change.text}"


class Reach(NamedTuple):
    """What tests reach: of each file and line the tests, and how long each test takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, the quickest first, up to the budget."""
        lines = self.lines[mutant.path]
        span = mutant.change.lines
        found = {test for line in span for test in lines.get(line, ()) if test}
        if not found and not mutant.change.in_function:
            found = {test for tests in lines.values() for test in tests if test}
        chosen, left = [], BUDGET
        for test in sorted(found & self.seconds.keys(), key=self.seconds.__getitem__):
            left -= self.seconds[test]
            if left < 0 and chosen:
                break
            chosen.append(test)
        return chosen


class Watch:
    """A plugin of pytest: tells `coverage` which test runs, and notes which pass and how long they take."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.coverage = measured
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def run_tests(tests: list[str], *plugins: object) -> int:
    """Run tests in this process, without a word."""
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow and not browser", "--tb=no", "--no-header"]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        return int(pytest.main([*options, *tests], plugins=list(plugins)))


def in_a_fork(work: Callable[[], int], seconds: float) -> int:
    """Return the exit status of a process that does the work; negative where a signal ended it, as when time is up."""
    child = os.fork()
    if child == 0:
        _work_and_leave(work, seconds)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _work_and_leave(work: Callable[[], int], seconds: float) -> NoReturn:
    status = 1
    try:
        import resource

        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
        signal.alarm(round(seconds))
        status = work()
    finally:
        os._exit(status)


def measure(folder: str, tests: list[str]) -> Reach:
    """Run the tests once, to load what they need, and once in a fork as mutants will be, to see what they reach."""
    run_tests(tests)

    def watched() -> int:
        measured = coverage.Coverage(data_file=None, config_file=False, source=[folder])
        watch = Watch(measured)
        measured.start()
        run_tests(tests, watch)
        measured.stop()
        data = measured.get_data()
        lines = {os.path.relpath(file): data.contexts_by_lineno(file) for file in data.measured_files()}
        passed = {test: seconds for test, seconds in watch.seconds.items() if test not in watch.failed}
        Path("reach.pickle").write_bytes(pickle.dumps((lines, passed, sorted(watch.failed))))
        return 0

    if in_a_fork(watched, 3600):
        raise SystemExit(f"{folder}: its tests could not be run")
    lines, seconds, failed = pickle.loads(Path("reach.pickle").read_bytes())
    for test in failed:
        print(f"left out, since it does not pass in a fork: {test}")
    return Reach(defaultdict(dict, lines), seconds)


def mutants(folder: str) -> Iterator[tuple[Mutant, ast.Module]]:
    """Yield every mutant of a folder, each while its tree is changed."""
    for path in sorted(Path(folder).glob("*.py")):
        for change, tree in changes(path.read_text(encoding="utf-8")):
            yield Mutant(path.as_posix(), change), tree


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those within it, in order."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def exchange(path: Path, tree: ast.Module) -> bool:
    """Exchange the code of the functions of a loaded module; False where that cannot be done."""
    new = {(code.co_qualname, code.co_firstlineno): code for code in codes(compile(tree, path, "exec"))}
    gc.unfreeze()
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == str(path):
            code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if code is None or code.co_freevars != function.__code__.co_freevars:
                return False
            function.__code__ = code
    return True


def load_anew(path: Path, tree: ast.Module) -> None:
    """Write the mutant, and forget what is loaded of the copy."""
    path.write_text(ast.unparse(tree), encoding="utf-8")
    sys.dont_write_bytecode = True
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
    here = str(Path.cwd())
    for name, module in list(sys.modules.items()):
        if name != "__main__" and str(getattr(module, "__file__", None) or "").startswith(here):
            del sys.modules[name]


def survives(mutant: Mutant, tree: ast.Module, tests: list[str]) -> bool:
    """Tell whether all tests pass with a mutant."""
    path = Path(mutant.path).resolve()

    def work() -> int:
        if not (mutant.change.in_function and exchange(path, tree)):
            load_anew(path, tree)
        return run_tests(["-x", *tests])

    original = path.read_bytes()
    times = path.stat()
    try:
        return in_a_fork(work, PATIENCE) == 0
    finally:
        if path.read_bytes() != original:
            path.write_bytes(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def reasons() -> dict[str, str]:
    """Return why no test can find some mutants, as mutants.txt says: a reason, and below it, indented, the mutants."""
    found, reason = {}, ""
    for line in REASONS.read_text(encoding="utf-8").splitlines() if REASONS.exists() else ():
        if line.startswith(" "):
            found[line.strip()] = reason
        elif line and not line.startswith("#"):
            reason = line
    return found


def judge(folder: str, sample: int | None, only: str) -> int:
    """Print what survives of a folder's mutants; return how many do without a reason."""
    reach = measure(folder, [f"tests/{name}" for name in TESTS[folder]])
    known, seen = reasons(), Counter[str]()
    everything = sum(1 for _ in mutants(folder))
    chosen = set(range(everything))
    if sample is not None and sample < everything:
        chosen = set(random.Random(0).sample(range(everything), sample))
    for i, (mutant, tree) in enumerate(mutants(folder)):
        if i not in chosen or only not in mutant.path:
            continue
        tests = reach.tests(mutant)
        fate = "killed"
        if mutant.key in known:
            fate = "equivalent"
        elif not tests or survives(mutant, tree, tests):
            fate = "survived"
            print(f"line {mutant.change.lines.start}{'' if tests else ', which no test reaches'}:\n  {mutant.key}", flush=True)
        seen[fate] += 1
    total = seen["killed"] + seen["survived"]
    print(f"{folder}: {seen['killed']} of {total} killed; {seen['equivalent']} more make no difference", flush=True)
    return seen["survived"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=list(TESTS), choices=TESTS, metavar="folder")
    parser.add_argument("--sample", type=int, help="how many mutants of each folder")
    parser.add_argument("--only", default="", help="a part of the names of files that are mutated")
    chosen = parser.parse_args()
    survived = 0
    with tempfile.TemporaryDirectory() as where:
        copy = Path(where).resolve() / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis"))
        for folder in chosen.folders:
            # Each in a process of its own, since what one has loaded is loaded no more.
            survived += bool(in_a_fork(lambda folder=folder: _judge_in(copy, folder, chosen), 10**6))
    sys.exit(survived > 0)


def _judge_in(copy: Path, folder: str, chosen: Any) -> int:
    os.chdir(copy)
    sys.path[:] = [str(copy), *(each for each in sys.path if not each.startswith(str(ROOT)))]
    return min(judge(folder, chosen.sample, chosen.only), 1)


if __name__ == "__main__":
    main()
