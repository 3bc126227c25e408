"""Token batches: every item once, never above the bound, reproducible."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.batching import token_batches

LENGTHS = st.lists(st.integers(1, 60), max_size=120)


def padded(batch: Sequence[int], lengths: Sequence[int]) -> int:
    return len(batch) * max(lengths[i] for i in batch)


@given(LENGTHS, st.integers(1, 200), st.none() | st.integers(0, 9), st.integers(0, 3))
def test_every_item_is_in_one_batch_and_padding_keeps_the_bound(
    lengths: list[int], max_tokens: int, seed: int | None, epoch: int
) -> None:
    batches = token_batches(lengths, max_tokens=max_tokens, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch
        assert padded(batch, lengths) <= max_tokens or len(batch) == 1, "only a long item stands alone"


def test_items_of_like_length_share_a_batch() -> None:
    lengths = [3, 30] * 50
    for batch in token_batches(lengths, max_tokens=90, seed=0)[1:-1]:
        assert padded(batch, lengths) <= 90
    batches = token_batches(lengths, max_tokens=90, seed=0)
    assert sum(len({lengths[i] for i in batch}) > 1 for batch in batches) <= 1
    assert len(batches) == pytest.approx(50 / 30 + 50 / 3, abs=2), "batches are full"


def test_without_a_seed_items_stay_sorted() -> None:
    lengths = [5, 1, 4, 1, 3]
    order = [i for batch in token_batches(lengths, max_tokens=6, seed=None) for i in batch]
    assert order == [1, 3, 4, 2, 0]


def test_seed_and_epoch_decide_the_batches() -> None:
    lengths = [1 + i % 7 for i in range(200)]

    def deal(seed: int, epoch: int) -> list[list[int]]:
        return token_batches(lengths, max_tokens=40, seed=seed, epoch=epoch)

    assert deal(3, 5) == deal(3, 5)
    assert len({str(deal(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    longest = [max(lengths[i] for i in batch) for batch in deal(0, 0)]
    assert longest != sorted(longest), "the batches come in random order, not from short to long"
    assert {frozenset(batch) for batch in deal(0, 0)} != {frozenset(batch) for batch in deal(0, 1)}
