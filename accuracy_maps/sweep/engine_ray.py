"""The Ray engine: trainings and groups of cells as tasks of a cluster.

Every node sees checkpoints and data under the same paths, as on a shared file system; cells travel back to
this process, which alone writes them. Ray starts the tasks of a lost node again on another one. A task
computes with as many threads as torch has here, or on one GPU, so that results are those of the local engine.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from typing_extensions import override

from accuracy_maps.sweep.cells import Cell
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.engine import Engine
from accuracy_maps.sweep.measure import Group, Sweep
from data.files.errors import ToolkitError
from data.settings import named

logger = logging.getLogger(__name__)

MAX_RETRIES = 5
"""Times that Ray starts a task again whose node or process was lost."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class RayEngine(Engine):
    """Connects to a cluster, or starts Ray on this machine.

    Args:
        address: of the cluster, such as "auto" or "10.0.0.1:6379"; None: $RAY_ADDRESS, or this machine.
        device: "cpu" or "cuda"; None: cuda where a node has a GPU.

    Raises:
        ToolkitError: if Ray is not installed, or there is no such cluster.
    """

    name = "ray"
    remote = True

    def __init__(self, *, address: str | None = None, device: str | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise ToolkitError(
                f"{named('engine')}: 'ray' given, which is not installed (pip install 'deepsc-toolkit[ray]')"
            ) from error
        if device not in (None, "cpu", "cuda"):
            raise ToolkitError(
                f"{named('device')}: {device!r} given, with {named('engine')} ray cpu or cuda is allowed"
            )
        self._ray = ray
        try:
            ray.init(address=address, ignore_reinit_error=True, logging_level=logging.WARNING)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise ToolkitError(
                f"{named('ray_address')}: {address!r} given, no cluster there ({error})"
            ) from error
        resources = ray.cluster_resources()
        self.device = device or ("cuda" if resources.get("GPU") else "cpu")
        self._threads = torch.get_num_threads()
        resource, count = ("GPU", 1) if self.device == "cuda" else ("CPU", self._threads)
        if not any(node["Resources"].get(resource, 0) >= count for node in ray.nodes()):
            raise ToolkitError(
                f"{named('engine')} ray: no node has {count} {resource} for a task; OMP_NUM_THREADS and "
                f"{named('device')} decide what a task needs"
            )
        self._options = {f"num_{resource.lower()}s": count, "max_retries": MAX_RETRIES}

    @override
    def call(self, function: Callable[[Argument], Result], argument: Argument, *, what: str) -> Result:
        logger.info("on the cluster: %s", what)
        task = self._ray.remote(_call).options(**self._options)
        try:
            result: Result = self._get(task.remote(function, argument, self._threads))
        except self._ray.exceptions.RayError as error:
            raise _given_up(what, error) from error
        return result

    @override
    def measure(
        self, sweep: Sweep, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, list[Cell] | Exception]]:
        task = self._ray.remote(_measure).options(**self._options)
        waiting: dict[Any, Group] = {}
        try:
            for group in groups:
                waiting[task.remote(sweep.config, sweep.fingerprint, group, self._threads)] = group
            while waiting:
                (ready,), _ = self._ray.wait(list(waiting), num_returns=1)
                group = waiting.pop(ready)
                result: list[Cell] | Exception
                try:
                    result = self._get(ready)
                except ToolkitError:
                    raise
                except Exception as error:  # of the task, or of Ray when all retries failed
                    result = error
                yield group, result
        except self._ray.exceptions.RayError as error:  # not of a task
            raise _given_up("the sweep", error) from error
        finally:
            with contextlib.suppress(self._ray.exceptions.RayError):
                for reference in waiting:
                    self._ray.cancel(reference)

    def _get(self, reference: Any) -> Any:
        """What a task returned; its own error where it raised one."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error


def _given_up(what: str, error: Exception) -> ToolkitError:
    """Lost nodes, too little memory, crashed processes: what is left when Ray's own retries failed, too."""
    return ToolkitError(
        f"{named('engine')} ray: {what} failed ({type(error).__name__}: {error}); what is finished is "
        "kept, give the same command again to go on"
    )


def _call(function: Callable[[Any], Any], argument: Any, threads: int) -> Any:
    torch.set_num_threads(threads)
    return function(argument)


def _measure(config: MapConfig, fingerprint: str, group: Group, threads: int) -> list[Cell]:
    torch.set_num_threads(threads)
    return _opened(config, fingerprint).measure(group)


@functools.lru_cache(maxsize=1)
def _opened(config: MapConfig, fingerprint: str) -> Sweep:
    """The sweep, opened once by each of Ray's processes.

    Raises:
        ToolkitError: if this node sees other files than the process that asks.
    """
    sweep = Sweep(config)
    if sweep.fingerprint != fingerprint:
        raise ToolkitError(
            f"{named('engine')} ray: node {os.uname().nodename} sees other checkpoints or data under "
            "the same paths; give folders that all nodes share"
        )
    return sweep
