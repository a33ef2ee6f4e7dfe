"""Clients of Dask clusters: opened by what people call a cluster, and checked before cases are handed out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastseg._version import __version__

__all__ = ["check_client", "open_cluster", "threads_of"]

#: For workers of ours: Dask lets its own give back at once what is freed, so that each buffer of a chunk or file is paged in
#: anew, which takes as long as the rest.
_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 1 << 25,
}
#: Seconds that a scheduler may take to answer.
_ANSWER = 10


def check_client(client: Any) -> None:
    """Raise where a client cannot score: it is none, or workers have no fastseg, or another version of it.

    Raises
    ------
    TypeError
        If it is no `distributed.Client` that waits for its results.
    ValueError
        If a worker has not this version of fastseg; the message lists them.
    """
    library = sys.modules.get("distributed")
    if library is None or not isinstance(client, library.Client) or client.asynchronous:
        example = "such as distributed.Client('tcp://host:8786')"
        raise TypeError(f"client: expected a distributed.Client that is not asynchronous, {example}, found {client!r}")
    if client.status not in ("running", "connecting"):
        raise ValueError(f"client: expected one that is connected, found one that is {client.status}")
    # A function of Python's own, since none of fastseg's could be sent to a worker that has no fastseg.
    found = client.run(eval, "__import__('fastseg').__version__", on_error="return")
    wrong = {address: version for address, version in found.items() if version != __version__}
    if wrong:
        listed = ", ".join(
            f"{version if isinstance(version, str) else f'none ({version})'} on {address}"
            for address, version in sorted(wrong.items())[:5]
        )
        raise ValueError(
            f"client: expected fastseg {__version__}, as here, on all {len(found)} workers, found other versions on "
            f"{len(wrong)}: {listed}"
        )


def threads_of(client: Any) -> int:
    """Return how many threads all workers have together."""
    return int(sum(client.nthreads().values()))


@contextmanager
def open_cluster(text: str) -> Iterator[Any]:
    """Yield a client of the cluster that a text names.

    Parameters
    ----------
    text
        The address of a scheduler, such as ``tcp://host:8786``; the path of a scheduler file; or ``local:4``, four new
        processes on this machine.

    Raises
    ------
    ValueError
        If it names none, or nobody answers.
    ImportError
        If Dask is not installed.
    """
    local, colon, number = text.partition(":")
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ImportError('clusters need Dask: pip install "fastseg-metrics[dask]"') from None
    if local == "local" and colon:
        if not (number.isascii() and number.isdigit() and int(number)):
            raise ValueError(f"cluster: expected local:N, such as local:4, found {text!r}")
        with (
            dask.config.set(_MEMORY),
            LocalCluster(
                n_workers=int(number),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,  # what fails is said of its case
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    if "://" in text:
        address = text
    elif os.path.isfile(text):
        address = _address_in(text)
    else:
        raise ValueError(
            f"cluster: expected tcp://host:port, the file of a scheduler, or local:N, found {text!r}, which is no file"
        )
    try:
        asyncio.run(asyncio.wait_for(_answers(address), _ANSWER))
        client = Client(address, timeout=_ANSWER)
    except Exception as error:  # of any kind, where something else listens there
        why = str(error) or f"no answer within {_ANSWER} s"
        raise ValueError(f"cluster: expected a scheduler at {text}, found none: {why}") from None
    with client:
        yield client


def _address_in(path: str) -> str:
    """Return the address that the file of a scheduler says."""
    try:
        with open(path, encoding="utf-8") as file:
            address = json.load(file)["address"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"cluster: {path}: expected the file of a scheduler, as JSON with its address: {why}"
        ) from None
    if not isinstance(address, str):
        raise ValueError(f"cluster: {path}: expected the file of a scheduler, found the address {address!r}")
    return address


async def _answers(address: str) -> None:
    """Shake hands with whatever is at an address: a client would wait without end for one that does not answer."""
    from distributed.comm import connect
    from distributed.security import Security

    (await connect(address, timeout=_ANSWER, **Security().get_connection_args("client"))).abort()
