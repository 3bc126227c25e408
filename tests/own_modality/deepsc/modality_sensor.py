"""A made-up modality: sensor readings, one token each, classified at the server."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from data.sensors import CLASSES, load_sensors
from torch import Tensor, nn

from data.cli import int_list
from deepsc.codec import Codec, TensorBatch
from deepsc.config import CodecConfig, RunConfig, TrainConfig
from deepsc.jsc import JSCDecoder, JSCEncoder
from deepsc.link import link_at, transmit
from deepsc.modality import Dataset, Evaluator, Material, Modality, TestData


@dataclass(frozen=True, kw_only=True)
class SensorPreset:
    width: int = 16
    learning_rate: float = 1e-2
    warmup_steps: int = 5
    batch_tokens: int = 512
    epochs: int = 6


@dataclass(frozen=True, kw_only=True)
class SensorCodecConfig(CodecConfig):
    width: int = 16
    k: tuple[int, ...] = ()

    @property
    def uplinks(self) -> tuple[tuple[int, ...], ...]:
        return (self.k,) if self.k else ()

    @property
    def model_name(self) -> dict[str, Any]:
        return {"name": "sensor", "preset": self.preset}

    def architecture_errors(self) -> list[str]:
        return []


@dataclass(frozen=True, kw_only=True)
class SensorSetConfig:
    dataset: str
    data_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class SensorRunConfig(RunConfig):
    modality: ClassVar[str] = "sensor"
    presets: ClassVar[Mapping[str, SensorPreset]] = {"tiny": SensorPreset()}
    tasks: ClassVar[tuple[str, ...]] = ("classify",)

    corpus: SensorSetConfig
    preset: str = "tiny"
    task: str = "classify"
    k: tuple[int, ...] = (2,)

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        return {"k": self.k}


@dataclass(frozen=True, kw_only=True)
class SensorBatch(TensorBatch):
    readings: Tensor
    target: Tensor

    @property
    def sizes(self) -> tuple[int]:
        return (len(self.target),)


class SensorCodec(Codec):
    def __init__(self, config: SensorCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(nn.Linear(1, config.width), nn.GELU())
        self.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(CLASSES))
        self.head(torch.zeros(1, 8, config.width))
        size = {
            "d_model": config.width,
            "k_max": max(config.k, default=1),
            "snr_range_db": config.snr_range_db,
        }
        self.jsc_encoder = JSCEncoder(**size) if config.k else None
        self.jsc_decoder = JSCDecoder(**size) if config.k else None

    def logits(self, readings: Tensor, link: Any) -> Tensor:
        features = self.encoder(readings.unsqueeze(2))
        mask = torch.ones(readings.shape, dtype=torch.long)
        return self.head(transmit(self.jsc_encoder, self.jsc_decoder, features, mask, link))

    def loss(self, batch: SensorBatch, link: Any = None, *, label_smoothing: float = 0.0) -> Tensor:
        return nn.functional.cross_entropy(self.logits(batch.readings, link), batch.target)


class SensorEvaluator(Evaluator):
    metric = "accuracy"

    def __init__(self, codec: SensorCodec, readings: Any, labels: Any, channel: Any) -> None:
        self._codec, self._channel = codec, channel
        self._readings, self._labels = torch.from_numpy(readings), torch.from_numpy(labels)

    @torch.inference_mode()
    def measure(self, *, k: Any, snr_db: Any, seed: int) -> Any:
        link = link_at(self._channel, k=k, snr_db=snr_db, like=self._readings, seed=(seed, 0))
        right = (self._codec.logits(self._readings, link).argmax(1) == self._labels).long()
        return torch.stack((right, torch.ones_like(right)), dim=1).numpy(), {}

    @staticmethod
    def score(counts: Any) -> float:
        return 100 * float(counts[0]) / float(counts[1])

    @staticmethod
    def signature() -> str:
        return "% of windows"


class SensorModality(Modality[SensorRunConfig]):
    name = "sensor"
    run_config = SensorRunConfig
    codec_config = SensorCodecConfig
    corpus_config = SensorSetConfig

    def add_flags(self, model: Any, data: Any) -> None:
        model.add_argument("--k", type=int_list, default=(2,))

    def config_from_args(
        self, args: argparse.Namespace, *, training: TrainConfig, **shared: Any
    ) -> SensorRunConfig:
        return SensorRunConfig(corpus=SensorSetConfig(dataset="ramps"), training=training, k=args.k, **shared)

    def codec(self, config: Any) -> Codec:
        return SensorCodec(config)

    def material(self, config: SensorRunConfig, initial: Any) -> Material:
        splits = load_sensors(dataset=config.corpus.dataset)

        def batches(split: str, epoch: int, seed: int) -> list[SensorBatch]:
            readings, labels = splits[split]
            order = np.random.default_rng((seed, epoch)).permutation(len(labels))
            return [
                SensorBatch(
                    readings=torch.from_numpy(readings[order[i : i + 64]]),
                    target=torch.from_numpy(labels[order[i : i + 64]]),
                )
                for i in range(0, len(labels), 64)
            ]

        return Material(
            dataset=Dataset(name="ramps", synthetic=True, sha256={}),
            codec_config=SensorCodecConfig(preset=config.preset, **config.channel_fields),
            batches=lambda: lambda epoch: batches("train", epoch, config.training.seed),
            validation=lambda: batches("validation", 0, 0),
        )

    def test_data(self, document: Any, *, data_dir: Any, limit: Any, options: Any) -> TestData:
        readings, labels = (values[:limit] for values in load_sensors(dataset="ramps")["test"])
        return TestData(
            dataset=Dataset(name="ramps", synthetic=True, sha256={}),
            items=len(labels),
            fingerprint="ramps",
            scorer=SensorEvaluator,
            evaluator=lambda checkpoint, channel: SensorEvaluator(
                checkpoint.codec, readings, labels, channel
            ),
        )


MODALITY = SensorModality()
