"""What the training loop, checkpoints and maps need of a codec, whatever its modality."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from deepsc.codec.config import CodecConfig

_START_BATCHES = 16
"""A few thousand tokens, enough to start from."""


class Batch(Protocol):
    """Items to train on."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of items in each transmission."""

    def to(self, device: torch.device) -> Any:
        """The batch on another device."""

    def part(self, rank: int, ranks: int) -> tuple[Any, tuple[Tensor, ...]]:
        """Share of one of several processes: every `ranks`-th item from `rank` on.

        Padding stays as it is, so that the noise of the whole batch fits its parts.

        Returns:
            The share, and which items it holds of each transmission.
        """


@dataclass(frozen=True, kw_only=True)
class TensorBatch:
    """A batch whose fields are all tensors, or None."""

    def to(self, device: torch.device) -> Self:
        """The batch on another device."""
        return type(self)(**{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def part(self, rank: int, ranks: int) -> tuple[Self, tuple[Tensor, ...]]:
        """See `Batch.part`; all fields are taken to have one row an item."""
        tensors = self._tensors()
        rows = torch.arange(len(next(iter(tensors.values()))))[rank::ranks]
        return type(self)(**{name: tensor[rows] for name, tensor in tensors.items()}), (rows,)

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class Codec(nn.Module):
    """Semantic encoder, JSC codec and semantic decoder.

    Parameters of JSC codecs have "jsc_" in their name: a codec starts from a local model's others.
    """

    config: CodecConfig
    loss: Callable[..., Tensor]
    """loss(batch, *links, label_smoothing=0.0, consistency=None): training loss of a batch, a scalar in nats.
    One link for each transmission, in the order of `config.uplinks`; none for the local model, which alone
    gets a consistency, see `answer_loss`."""

    def start(self, batches: Iterable[Any], *, from_local: bool) -> None:
        """Learn from the training batches what the JSC codec starts from, unless it starts from nothing.

        Args:
            batches: of an epoch.
            from_local: whether the other weights are a trained local model's.
        """

    @torch.no_grad()
    def features_of(self, batches: Iterable[Any], encode: Callable[[Any], Tensor]) -> Tensor:
        """Token features of the first batches, as in evaluation.

        Args:
            batches: of an epoch.
            encode: makes features of a batch, (B, S, d_model).

        Returns:
            float32, (N, d_model).
        """
        device = next(self.parameters()).device
        self.eval()
        try:
            features = [encode(batch.to(device)).flatten(0, 1) for batch in islice(batches, _START_BATCHES)]
        finally:
            self.train()
        return torch.cat(features).float()

    def freeze_local(self) -> None:
        """Leave the weights of the local model as they are, where a codec need not train them."""

    def focus_snr_db(self, snr_db: Tensor, k: Tensor, *, generator: torch.Generator) -> Tensor:
        """SNRs in dB that are trained, (B,), from such as are uniform in dB, and the k they are drawn for."""
        return snr_db

    def loss_terms(self, batch: Any) -> int:
        """How many terms the loss of a batch is a mean over; by default items of the first transmission."""
        return int(batch.sizes[0])


def answer_loss(
    answer: Callable[[], Tensor],
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    consistency: float | None = None,
) -> Tensor:
    """Mean cross-entropy of N answers; with a consistency, of two passes that must agree.

    The mean of the two Kullback-Leibler divergences between the passes is then added, times the consistency:
    R-Drop of Liang et al. (2021), which sums the cross-entropies, so that its alpha is twice the consistency.

    Args:
        answer: makes the logits, (N, V), each time with other dropout.
        target: (N,) of classes, or (N, V) of their probabilities.
        label_smoothing: share of a target's probability that is spread over all answers.
        consistency: the weight; None or 0: one pass.

    Returns:
        Scalar, in nats.
    """
    passes = [answer() for _ in range(2 if consistency else 1)]
    losses = [
        nn.functional.cross_entropy(logits, target, label_smoothing=label_smoothing) for logits in passes
    ]
    loss = torch.stack(losses).mean()
    if consistency:
        p, q = (logits.float().log_softmax(dim=-1) for logits in passes)
        loss = loss + consistency * ((p.exp() - q.exp()) * (p - q)).sum(dim=-1).mean() / 2
    return loss
