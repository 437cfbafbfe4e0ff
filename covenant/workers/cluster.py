"""A Dask cluster as an executor (the extra ``covenant[cluster]``): workers may come and go, each is given what tasks need when it comes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from typing import Any

from covenant.errors import UserError
from covenant.workers.given import give

__all__ = ["dask_cluster"]

_CONNECT_SECONDS = 20


@contextlib.contextmanager
def dask_cluster(address: str, things: Mapping[str, bytes]) -> Iterator[tuple[Executor, int]]:
    """The executor and its number of workers. Raises UserError for an address that is none or does not answer, and without the package."""
    where, _, number = address.partition(":")
    if not (where == "local" and number.isdecimal() and int(number) > 0) and "://" not in address:
        raise UserError(f"--cluster {address!r}: neither tcp://HOST:PORT of a Dask scheduler nor local:N; expected one of the two")
    try:
        from distributed import Client, LocalCluster, WorkerPlugin
    except ImportError:
        raise UserError("--cluster: the package distributed is missing; expected Dask, install the extra: pip install 'covenant[cluster]'") from None

    class Give(WorkerPlugin):
        """Gives each worker, also one that comes later, what tasks find by digest."""

        name = "covenant-shared"

        def __init__(self) -> None:
            self.things = dict(things)

        def setup(self, worker: Any) -> None:
            give(self.things)

    with contextlib.ExitStack() as stack:
        logging.getLogger("distributed").setLevel(logging.ERROR)  # a worker that died is not news: its tasks go to others
        target: Any = address
        if where == "local":
            target = stack.enter_context(LocalCluster(n_workers=int(number), threads_per_worker=1, processes=True, dashboard_address=None,
                                                      host="127.0.0.1", silence_logs=logging.CRITICAL))
        try:
            client = stack.enter_context(Client(target, timeout=_CONNECT_SECONDS, set_as_default=False))
        except OSError as error:
            raise UserError(f"--cluster {address}: no answer within {_CONNECT_SECONDS} s ({error}); expected the address of a running Dask scheduler") from None
        client.register_plugin(Give())
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        executor = stack.enter_context(client.get_executor(pure=False))
        yield executor, max(1, len(client.scheduler_info()["workers"]))
