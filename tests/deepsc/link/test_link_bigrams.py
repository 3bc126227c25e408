"""The bigram prior against enumeration of all sentences, and its smoothing against the book."""

import itertools
from collections import Counter

import pytest
import torch

from deepsc.link.bigrams import BigramPrior, bigrams_of, kneser_ney, sparse_mm

END, V, S = 1, 4, 3
SENTENCES = torch.tensor([[2, 3, 1, 0], [2, 3, 2, 1], [3, 1, 0, 0], [2, 2, 3, 1], [2, 0, 3, 1]])
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])


def counted(bigrams: int = 10) -> BigramPrior:
    prior = BigramPrior(vocab_size=V, bigrams=bigrams, end=END)
    prior.start(bigrams_of(SENTENCES, MASK))
    return prior


def transitions(prior: BigramPrior) -> torch.Tensor:
    """P(t|s), (V, V)."""
    bigrams = torch.stack((prior.keys // V, prior.keys % V))
    kept, back_off, unigram = kneser_ney(bigrams, prior.counts.double(), size=V)
    return torch.outer(back_off, unigram).index_put(tuple(bigrams), kept, accumulate=True)


def test_bigrams_begin_with_the_end_and_stop_at_the_padding() -> None:
    found = Counter(map(tuple, bigrams_of(SENTENCES[:2], MASK[:2]).T.tolist()))
    assert found == {(1, 2): 2, (2, 3): 2, (3, 1): 1, (3, 2): 1, (2, 1): 1}


def test_smoothing_gives_the_hand_worked_numbers() -> None:
    bigrams = torch.tensor([[0, 0, 1], [0, 1, 1]])
    kept, back_off, unigram = kneser_ney(bigrams, torch.tensor([3.0, 1.0, 2.0]), size=3)
    # One occurs once and one twice: D = 1 / 3. Tokens 0 and 1 have 1 and 2 kinds before them.
    assert torch.allclose(kept, torch.tensor([(3 - 1 / 3) / 4, (1 - 1 / 3) / 4, (2 - 1 / 3) / 2]))
    assert torch.allclose(back_off, torch.tensor([2 / 3 / 4, 1 / 3 / 2, 1.0]))
    lower = torch.tensor([2 / 3, 5 / 3, 0]) / 3
    assert torch.allclose(unigram, lower + (1 - lower.sum()) / 3)


def test_every_row_is_a_distribution() -> None:
    matrix = transitions(counted())
    assert torch.allclose(matrix.sum(1), torch.ones(V, dtype=torch.float64))
    assert (matrix > 0).all()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_posterior_is_that_of_all_sentences_enumerated(length: int) -> None:
    prior = counted()
    likelihood = torch.randn(1, S, V, generator=torch.Generator().manual_seed(0)).double()
    mask = (torch.arange(S) < length).long().unsqueeze(0)
    matrix = transitions(prior)
    expected = torch.zeros(length, V, dtype=torch.float64)
    for sentence in itertools.product(range(V), repeat=length):
        if sentence[-1] == END:
            steps = zip((END, *sentence), sentence, strict=False)
            weight = torch.stack([matrix[step] for step in steps]).prod()
            for place, token in enumerate(sentence):
                weight = weight * likelihood[0, place, token].exp()
            expected[torch.arange(length), list(sentence)] += weight
    found = (likelihood + prior(likelihood.float(), mask))[0, :length].softmax(-1)
    for place in range(length - 1):  # the last is known to be the end
        assert torch.allclose(found[place], expected[place] / expected[place].sum(), atol=1e-5)


def test_padding_and_neighbours_in_a_batch_change_nothing() -> None:
    prior = counted()
    likelihood = torch.randn(3, 6, V)
    mask = (torch.arange(6) < torch.tensor([[2], [6], [4]])).long()
    together = prior(likelihood, mask)
    for row, length in enumerate((2, 6, 4)):
        alone = prior(likelihood[row : row + 1, :length], mask[row : row + 1, :length])
        assert torch.allclose(together[row, :length], alone[0], atol=1e-5)


def test_held_out_sentences_are_as_if_they_had_never_been_counted() -> None:
    likelihood, mask = torch.randn(2, 4, V), torch.ones(2, 4, dtype=torch.long)
    less = BigramPrior(vocab_size=V, bigrams=10, end=END)
    less.start(bigrams_of(SENTENCES[2:], MASK[2:]))
    held_out = bigrams_of(SENTENCES[:2], MASK[:2])
    prior = counted()
    assert torch.allclose(prior(likelihood, mask, held_out), less(likelihood, mask), atol=1e-5)
    assert not torch.allclose(prior(likelihood, mask), less(likelihood, mask), atol=1e-2)


def test_the_most_frequent_bigrams_are_kept_and_others_held_out_in_vain() -> None:
    prior = counted(bigrams=2)
    often = Counter(map(tuple, bigrams_of(SENTENCES, MASK).T.tolist())).most_common(2)
    kept = {
        (int(key) // V, int(key) % V): int(count) for key, count in zip(prior.keys, prior.counts, strict=True)
    }
    assert kept == dict(often)
    likelihood, mask = torch.randn(1, 4, V), torch.ones(1, 4, dtype=torch.long)
    others = torch.tensor([[0, 3], [3, 0]])
    assert torch.equal(prior(likelihood, mask, others), prior(likelihood, mask))


@pytest.mark.parametrize(
    ("name", "place", "value"), [("keys", 0, -1), ("keys", 9, V**2), ("keys", 1, 0), ("counts", 2, -1)]
)
def test_damaged_bigrams_are_not_loaded(name: str, place: int, value: int) -> None:
    prior, state = counted(), counted().state_dict()
    prior.load_state_dict(state)
    state = {key: tensor.clone() for key, tensor in state.items()}
    state[name][place] = value
    with pytest.raises(RuntimeError, match="no bigrams of 4 tokens"):
        prior.load_state_dict(state)


def test_without_counts_every_token_is_as_likely_as_any_other() -> None:
    prior = BigramPrior(vocab_size=V, bigrams=3, end=END)
    said = prior(torch.randn(2, 3, V), torch.ones(2, 3, dtype=torch.long))
    assert torch.allclose(said, said[..., :1].expand_as(said), atol=1e-5)


def test_a_sparse_product_is_the_dense_one() -> None:
    matrix = torch.rand(V, V) * (torch.rand(V, V) > 0.5)
    sparse, x = matrix.to_sparse_csr(), torch.rand(V, 5)
    product = sparse_mm(sparse.crow_indices(), sparse.col_indices(), sparse.values(), x)
    assert torch.allclose(product, matrix @ x)
