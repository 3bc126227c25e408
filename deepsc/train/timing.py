"""How long a training run will take, from some of its steps."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from deepsc.config import RunConfig
from deepsc.modality import modality
from deepsc.train.loop import train
from deepsc.train.run import start_from

_WARM_UP_STEPS = 2
_TIMED_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What was measured."""

    steps: int
    """Of the whole run, if nothing stops it early."""
    seconds_per_step: float
    """Mean of some steps, validation left out."""


def time_steps(config: RunConfig) -> StepTime:
    """Train some steps in a folder of their own, which is thrown away.

    Args:
        config: the run; what it starts from need not exist yet, since weights do not change the time.

    Raises:
        ToolkitError: on any mistake of the user's that a run would meet.
    """
    kind = modality(config.modality)
    material = kind.material(dataclasses.replace(config, init_from=None), None)
    batches = material.batches()
    torch.manual_seed(config.training.seed)
    codec = kind.codec(material.codec_config)
    start_from(codec, material.weights)
    codec.to(config.device)
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for steps in (_WARM_UP_STEPS, _TIMED_STEPS):
            start = time.perf_counter()
            position = train(
                codec,
                config=config.training,
                batches=batches,
                validation=[batches(0)[0]],
                output=Path(folder),
                resume=False,
                stop_after_steps=min(steps, len(batches(0))),
                quiet=True,
            )
            seconds = (time.perf_counter() - start) / position["step"]
    return StepTime(steps=config.training.epochs * len(batches(0)), seconds_per_step=seconds)
