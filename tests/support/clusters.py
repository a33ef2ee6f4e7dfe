"""Clusters of Dask on this machine, and what goes wrong with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster
from support.ports import free_port
from support.waiting import until


@contextmanager
def small_cluster(workers: int = 2, **options: Any) -> Iterator[Client]:
    """Yield a client of processes with one thread each."""
    settings = {"distributed.worker.daemon": True, "distributed.admin.log-format": "%(message)s"}
    with warnings.catch_warnings(), dask.config.set(settings):
        warnings.simplefilter("ignore")  # of its own start and end
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50, **options
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


def kill_once(folder: str, name: str) -> None:
    """Kill this process, the first time that somebody asks for this name."""
    if first_time(folder, name):
        os.kill(os.getpid(), signal.SIGKILL)


def first_time(folder: str, name: str) -> bool:
    """Tell whether nobody has asked for this name before."""
    try:
        (Path(folder) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def wait_for(path: Path, seconds: float = 60) -> bool:
    """Tell whether somebody makes this file within some seconds."""
    return until(path.exists, seconds)


def exhaust_memory() -> None:
    """Take a GiB of memory, and wait until the nanny of this worker kills it."""
    held = []
    for _ in range(32):
        held.append(np.ones(4 << 20))
        time.sleep(0.05)
    time.sleep(60)
    raise AssertionError("nobody has killed this worker")


class RestartedScheduler:
    """A scheduler with one worker, in processes of their own, at an address that stays."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both; the worker waits for the scheduler."""
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        worker = ("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        for kind, *options in (scheduler, worker):
            command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self.processes.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]

    def kill(self) -> None:
        """Kill both."""
        while self.processes:
            process = self.processes.pop()
            process.kill()
            process.wait()

    def __enter__(self) -> RestartedScheduler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
