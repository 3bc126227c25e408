"""What the DeiT of a codec starts from: a checkpoint, published weights, or those of its stem."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from data.files.provenance import sha256_of
from data.settings import named
from deepsc.image.config import HybridConfig, HybridRunConfig
from deepsc.image.model import pretrained_deit
from deepsc.image.stem import Stem, pretrained_stem
from deepsc.modality import Checkpoint, Dataset

logger = logging.getLogger(__name__)

_BACKBONE = "patch_embed.backbone."
"""Of the names of a DeiT's parameters, those of its stem."""


@dataclass(frozen=True, kw_only=True)
class DeiTStart:
    """Weights that a codec starts from, and where they are from."""

    weights: Mapping[str, Tensor]
    """Published ones, by name of the codec's parameters; empty if a checkpoint has all of them."""
    file: Path | None
    """What the DeiT's were read from, where it is known."""
    stem: Mapping[str, str] | None
    """What config.json says of a hybrid's stem: its name, and the SHA-256 of the file of its weights."""
    initial: Checkpoint | None
    """What the run starts from."""
    prefix: str
    """Of the names of the codec's parameters, those of its DeiT."""

    @cached_property
    def frozen_stem(self) -> Stem:
        """The stem as the run starts, and ends."""
        assert self.stem is not None
        prefix = self.prefix + _BACKBONE
        source = self.weights if self.initial is None else self.initial.codec.state_dict()
        stem = Stem(self.stem["name"], frozen=True)
        stem.load_state_dict(
            {key.removeprefix(prefix): tensor for key, tensor in source.items() if key.startswith(prefix)},
            strict=self.initial is not None,  # published weights may lack counters that nothing reads
        )
        return stem

    @property
    def description(self) -> dict[str, Any]:
        """What config.json says of the stem."""
        return {"stem": self.stem} if self.stem else {}

    def read(self, dataset: Dataset) -> Dataset:
        """What is said of the data, and of the stem's weights, which were read like data."""
        if self.stem is None:
            return dataset
        sha256 = {f"weights of {self.stem['name']}": self.stem["sha256"]}
        return dataclasses.replace(dataset, sha256={**dataset.sha256, **sha256})


def start_of(
    config: HybridRunConfig,
    codec_config: HybridConfig,
    initial: Checkpoint | None,
    *,
    prefix: str,
    deit: Callable[[], VisionTransformer],
) -> DeiTStart:
    """What a run starts from.

    Args:
        config: of the run.
        codec_config: of what it trains.
        initial: the checkpoint that it starts from.
        prefix: of the names of the codec's parameters, those of its DeiT.
        deit: makes a DeiT that published weights must fit.
    """
    weights: dict[str, Tensor] = {}
    file = stem_file = None
    stem: Mapping[str, str] | None = None
    if initial is not None:
        stem = initial.document["stem"] if codec_config.stem else None
        before = initial.codec.config
        assert isinstance(before, HybridConfig)
        if before.freeze_stem and not config.freeze_stem:
            logger.info(
                "%s %s left its stem as it was, this run trains it; %s would not",
                named("init_from"), config.init_from, named("freeze_stem"),
            )  # fmt: skip
    else:
        if config.pretrained is not None:
            published, file = pretrained_deit(config.pretrained, deit())
            weights, stem_file = {f"{prefix}{key}": tensor for key, tensor in published.items()}, file
        elif codec_config.stem is not None:
            published, stem_file = pretrained_stem(codec_config.stem, config.stem_weights)
            weights = {f"{prefix}{_BACKBONE}{key}": tensor for key, tensor in published.items()}
        if codec_config.stem is not None:
            sha256 = sha256_of(stem_file) if stem_file else "not known"
            stem = {"name": codec_config.stem, "sha256": sha256}
    return DeiTStart(weights=weights, file=file, stem=stem, initial=initial, prefix=prefix)
