"""Configurations of training runs; no torch here, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from data.files.errors import flag_of, raise_config_errors
from deepsc.codec.config import SNR_RANGE_DB, empty_text_errors, k_errors, snr_errors

LARGEST_COUNT = 2**31 - 1


LARGEST_RATE = 1e30
"""Learning rate whose first step float32 still holds."""


LARGEST_BATCH = 2**24


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    epochs: int
    batch_tokens: int
    learning_rate: float
    """Peak of the schedule: linear warm-up, then cosine decay to 0 at the last step."""
    warmup_steps: int
    channel: str = "awgn"
    """"none" trains the local model."""
    fading: str = "block"
    csi: str = "perfect"
    rician_factor: float = 4.0
    label_smoothing: float = 0.1
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 5
    """Epochs without a better validation loss after which training stops."""
    checkpoint_steps: int = 200
    """Steps between two savings of the training state; each epoch's end saves it too."""
    seed: int = 0

    def __post_init__(self) -> None:
        errors = []
        for name in ("epochs", "batch_tokens", "warmup_steps", "patience", "checkpoint_steps"):
            most = LARGEST_BATCH if name == "batch_tokens" else LARGEST_COUNT
            if not 1 <= getattr(self, name) <= most:
                errors.append(
                    f"{name}: {getattr(self, name)} given, 1 to {most} is allowed ({flag_of(name)})"
                )
        if not 0 < self.learning_rate <= LARGEST_RATE:
            errors.append(
                f"learning_rate: {self.learning_rate} given, above 0 and up to {LARGEST_RATE:g} is allowed "
                f"({flag_of('learning_rate')})"
            )
        if not 0 <= self.seed < 2**32:
            errors.append(f"seed: {self.seed} given, 0 to 2^32 - 1 is allowed (--seed)")
        raise_config_errors(errors)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `train-deepsc` does; a subclass adds the data and the k of its modality.

    Raises:
        ToolkitError: from the constructor, listing every error at once.
    """

    modality: ClassVar[str]
    presets: ClassVar[Mapping[str, Any]]
    tasks: ClassVar[tuple[str, ...]]

    corpus: Any
    """Which data; a dataclass of JSON values with a field `data_dir`."""
    training: TrainConfig
    output: str
    preset: str
    task: str
    snr_range_db: tuple[float, float] = SNR_RANGE_DB
    init_from: str | None = None
    """Folder of a checkpoint, such as the local model's, whose weights and tokenizer to start from."""
    pretrained: str | None = None
    """Published weights to start from: a folder or file, or a name on a hub."""
    device: str = "cpu"
    resume: bool = False

    def __post_init__(self) -> None:
        errors = empty_text_errors(self)
        if self.preset not in self.presets:
            errors.append(f"--preset: {self.preset!r} given, allowed: {', '.join(self.presets)}")
        if self.init_from and self.pretrained:
            errors.append("--init-from and --pretrained: both given, one is allowed")
        if self.task not in self.tasks:
            errors.append(f"--task: {self.task!r} given, allowed: {', '.join(self.tasks)}")
        if self.training.channel != "none":
            errors += [
                f"{flag_of(name)}: none given, a channel needs at least one"
                for name, ks in self.trained_k.items()
                if not ks
            ]
        for name, ks in self.trained_k.items():
            errors += k_errors(name, ks)
        raise_config_errors(errors + snr_errors(self.snr_range_db))

    @property
    def trained_k(self) -> dict[str, tuple[int, ...]]:
        """k of each transmission, by the name of the codec config's field."""
        raise NotImplementedError

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that were given and replace the preset's, by the name of the codec config's field."""
        return {}

    @property
    def channel_fields(self) -> dict[str, Any]:
        """Fields of the codec's config that say what channel it is made for."""
        local = self.training.channel == "none"
        ks = {name: () if local else ks for name, ks in self.trained_k.items()}
        return {**ks, "snr_range_db": self.snr_range_db}
