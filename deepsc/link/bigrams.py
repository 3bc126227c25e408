"""Bigram model of tokens, and what it makes of a noisy sentence.

Interpolated Kneser-Ney (Chen and Goodman, 1999): P(t|s) = (c(s, t) - D)+ / c(s) + D n(s) / c(s) P_1(t), where
c counts, n(s) is the number of distinct tokens behind s, D = n_1 / (n_1 + 2 n_2) by the bigrams that occur
once and twice; P_1 is the same of the number of distinct tokens before t, over the uniform distribution. The
end of a sentence comes before its first token.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
_LEAST = 1e-12
"""Of what the neighbours say, so that rounding rules no token out."""


@torch.library.custom_op("deepsc::sparse_mm", mutates_args=())
def sparse_mm(starts: Tensor, columns: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """Product of a square sparse matrix in CSR format and a dense one, (V, B); N multiply-adds a column.

    An operator of its own, because torch's has no kernel for shapes alone, and tools count it as a dense one.

    Args:
        starts: (V + 1,), where each row begins.
        columns: (N,).
        values: (N,).
        dense: (V, B).
    """
    size = len(dense)
    return torch.sparse_csr_tensor(starts, columns, values, (size, size), check_invariants=False) @ dense


@sparse_mm.register_fake
def _(starts: Tensor, columns: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    return torch.empty_like(dense)


class KneserNey(NamedTuple):
    """P(t|s) = kept(s, t) + back_off(s) P_1(t), in parts."""

    kept: Tensor
    """(N,), of the N bigrams that are known."""
    back_off: Tensor
    """(V,), share of P_1 behind each token."""
    unigram: Tensor
    """(V,), P_1."""


def kneser_ney(bigrams: Tensor, counts: Tensor, *, size: int) -> KneserNey:
    """Smooth counts.

    Args:
        bigrams: (2, N), first and second token of each.
        counts: (N,), floating point: how often each occurs; it may be 0.
        size: V.
    """
    before, after = bigrams
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    discount = torch.where(once > 0, once / (once + 2 * twice).clamp_min(1), 0.5).to(counts)

    def summed(values: Tensor, tokens: Tensor) -> Tensor:
        return values.new_zeros(size).index_add_(0, tokens, values)

    kept = (counts - discount).clamp_min(0) / summed(counts, before).clamp_min(1)[before]
    kinds = summed((counts > 0).to(counts), after)
    unigram = (kinds - discount).clamp_min(0) / kinds.sum().clamp_min(1)
    return KneserNey(kept, 1 - summed(kept, before), unigram + (1 - unigram.sum()) / size)


def bigrams_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """Every bigram of padded sentences, each as often as it occurs.

    Args:
        tokens: (B, S), ids; the last valid one, which ends the sentence, stands before the first, too.
        mask: (B, S), 1 for valid tokens.

    Returns:
        First and second token of each, (2, M).
    """
    end = tokens.gather(1, mask.sum(1, keepdim=True).long() - 1)  # (B, 1)
    before = torch.cat((end, tokens[:, :-1]), dim=1)
    valid = mask.bool()
    return torch.stack((before[valid], tokens[valid]))


class BigramPrior(nn.Module):
    """What the other tokens of a sentence say of each, by forward-backward (Bahl et al., 1974) with bigrams.

    It is counted, not trained; the counts are part of the weights.

    Args:
        vocab_size: V.
        bigrams: N, most that it holds: those that occur most often.
        end: the token that ends a sentence.
    """

    def __init__(self, *, vocab_size: int, bigrams: int, end: int) -> None:
        super().__init__()
        self.size, self.end = vocab_size, end
        self.keys: Tensor
        """(N,), s V + t of each bigram, rising; the last fills what is left over."""
        self.counts: Tensor
        """(N,), how often each occurs in the training data."""
        self.register_buffer("keys", torch.full((bigrams,), vocab_size**2 - 1))
        self.register_buffer("counts", torch.zeros(bigrams, dtype=torch.int32))

    @torch.no_grad()
    def start(self, bigrams: Tensor) -> None:
        """Count the bigrams of the training data, (2, M)."""
        keys, counts = torch.unique(self._keys(bigrams), return_counts=True)
        often = counts.argsort(descending=True, stable=True)[: len(self.keys)].sort().values
        self.keys.fill_(self.size**2 - 1)[: len(often)] = keys[often]
        self.counts.zero_()[: len(often)] = counts[often].int()

    def forward(self, likelihood: Tensor, mask: Tensor, held_out: Tensor | None = None) -> Tensor:
        """Log probability of each token by all the others, (B, S, V), in nats but for a constant a place.

        Args:
            likelihood: (B, S, V), log likelihood by each token's own symbols.
            mask: (B, S), 1 for valid tokens.
            held_out: (2, M), bigrams to take out of the counts: in training those of the sentences
                themselves, so that they are as new to the model as others will be.
        """
        chain = self._chain(held_out)
        # The vocabulary comes first, as in the sparse products: (S, V, B).
        weight = (likelihood - likelihood.amax(-1, keepdim=True)).permute(1, 2, 0).contiguous().exp()
        valid = mask.bool().T  # (S, B)
        last = valid & ~torch.cat((valid[1:], torch.zeros_like(valid[:1])))
        end = torch.zeros_like(weight[0])
        end[self.end] = 1
        weight = torch.where(last.unsqueeze(1), end, weight)  # the receiver knows the length
        before = [chain.next(end)]
        for here in weight[:-1]:
            before.append(chain.next(_normalised(before[-1] * here)))
        after = torch.ones_like(end)
        messages = [_log(before[-1])]
        for place in reversed(range(1, len(weight))):
            behind = chain.previous(_normalised(after * weight[place]))
            after = torch.where(valid[place], behind, 1.0)
            messages.append(_log(before[place - 1]) + _log(after))
        return torch.stack(messages[::-1]).permute(2, 0, 1)

    @override
    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        rising = (self.keys.diff() >= 0).all() and self.keys[0] >= 0 and self.keys[-1] < self.size**2
        if not (rising and (self.counts >= 0).all()):
            error_msgs.append(f"{prefix}keys, {prefix}counts: no bigrams of {self.size} tokens")

    def _keys(self, bigrams: Tensor) -> Tensor:
        return bigrams[0] * self.size + bigrams[1]

    def _chain(self, held_out: Tensor | None) -> _Chain:
        counts = self.counts.float()
        if held_out is not None:
            keys, times = torch.unique(self._keys(held_out), return_counts=True)
            places = torch.searchsorted(self.keys, keys).clamp_max(len(counts) - 1)
            times = torch.where(self.keys[places] == keys, times, 0)  # those that it does not hold
            counts = counts.index_add(0, places, times.to(counts), alpha=-1)
        bigrams = torch.stack((self.keys // self.size, self.keys % self.size))
        return _Chain(bigrams, kneser_ney(bigrams, counts, size=self.size))


class _Chain:
    """Markov chain of tokens: a sparse matrix and a rank-one back-off."""

    def __init__(self, bigrams: Tensor, model: KneserNey) -> None:
        before, after = bigrams
        order = after.argsort(stable=True)
        tokens = torch.arange(len(model.unigram) + 1, device=before.device)
        self._forwards = torch.searchsorted(before, tokens), after, model.kept
        self._backwards = torch.searchsorted(after[order], tokens), before[order], model.kept[order]
        self._model = model

    def next(self, here: Tensor) -> Tensor:
        """Sum over s of here(s) P(t|s): (V, B) to (V, B)."""
        back_off = self._model.back_off.unsqueeze(0) @ here  # (1, B)
        return sparse_mm(*self._backwards, here) + self._model.unigram.unsqueeze(1) * back_off

    def previous(self, here: Tensor) -> Tensor:
        """Sum over t of P(t|s) here(t): (V, B) to (V, B)."""
        unigram = self._model.unigram.unsqueeze(0) @ here  # (1, B)
        return sparse_mm(*self._forwards, here) + self._model.back_off.unsqueeze(1) * unigram


def _log(message: Tensor) -> Tensor:
    return message.clamp_min(_LEAST).log()


def _normalised(weight: Tensor) -> Tensor:
    return weight / weight.sum(0).clamp_min(torch.finfo(weight.dtype).tiny)
