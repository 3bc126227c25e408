"""How long a sweep will take, from a few of its cells, before the models are trained."""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass
from functools import partial

from accuracy_maps.sweep.bootstrap import require_items
from accuracy_maps.sweep.config import MapConfig
from accuracy_maps.sweep.measure import plain
from deepsc.config import RunConfig
from deepsc.modality import Checkpoint, modality

_TIMED_ITEMS = 16


@dataclass(frozen=True, kw_only=True)
class CellTime:
    """What was measured."""

    items: int
    """Test items of the map."""
    timed_items: int
    """Those that were sent."""
    seconds_per_cell: float
    """Of all items and one noise draw; in proportion to those that were sent."""


def time_cells(plan: tuple[MapConfig, RunConfig]) -> CellTime:
    """Measure cells of an untrained codec, as many together as the sweep does, on the first test items.

    An untrained text model ends no sentence before the longest that is allowed: a trained one takes less.

    Args:
        plan: the map, and the run of its codec, which must start from nothing that is not there yet.

    Raises:
        ToolkitError: on any mistake of the user's that the sweep would meet.
    """
    config, run = plan
    kind = modality(run.modality)
    material = kind.material(run, None)
    document = {
        "task": kind.measured_task(config.task, trained=run.task),
        "corpus": dataclasses.asdict(run.corpus),
    }
    test_data = partial(kind.test_data, document, data_dir=config.data_dir, options=config.options)
    whole = test_data(limit=config.limit)
    require_items(whole.items)
    few = test_data(limit=min(_TIMED_ITEMS, config.limit or _TIMED_ITEMS))
    codec = kind.codec(material.codec_config).to(run.device)
    untrained = Checkpoint(
        codec=codec, tokenizer=material.tokenizer, document=document, metrics={}, sha256="", file_sha256=""
    )
    evaluator = few.evaluator(untrained, run.training.channel)
    ks = [plain(k) for k in itertools.product(*run.trained_k.values())]
    snrs = [plain(snr) for snr in itertools.product(config.snr_points, repeat=len(kind.transmissions))]
    points = list(itertools.islice(itertools.product(ks, snrs), evaluator.together))
    evaluator.measure_together(points[:1], seed=0)  # what is loaded late
    start = time.perf_counter()
    evaluator.measure_together(points, seed=1)
    seconds = (time.perf_counter() - start) / len(points)
    return CellTime(
        items=whole.items, timed_items=few.items, seconds_per_cell=seconds * whole.items / few.items
    )
