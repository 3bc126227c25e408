"""The text codec: masks, padding, decoding with the cache, and the place of the channel."""

from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from data.text.parallel import ParallelCorpus, load_parallel
from data.text.tokenizer import JointBPE
from deepsc.checkpoint import Checkpoint
from deepsc.codec.base import answer_loss
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.text.config import TextCodecConfig
from deepsc.text.evaluate import encode_sentences
from deepsc.text.material import TextBatches
from deepsc.text.model import (
    Link,
    TextBatch,
    TextCodec,
    collate,
    first_layers,
)

SHORT, LONG = [5, 6, 7, 1], [9, 8, 7, 6, 5, 4, 3, 2, 10, 11, 12, 1]


def make_codec(**changes: Any) -> TextCodec:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "preset": "test", "vocab_size": 40, "d_model": 16, "layers": 2, "heads": 2, "d_ff": 32,
        "dropout": 0.0, "k": (2, 4),
    }  # fmt: skip
    return TextCodec(TextCodecConfig(**fields | changes)).eval()


def moved(codec: TextCodec) -> TextCodec:
    """As after training: the features' layer, which starts at 0, has values."""
    if codec.jsc_encoder is not None and codec.jsc_encoder.shift is not None:
        torch.nn.init.normal_(codec.jsc_encoder.shift.weight, std=0.3)
    return codec


def link(size: int, *, k: int = 4, snr_db: float = 10.0, kind: str = "awgn") -> Link:
    return Link(
        channel=Channel(kind=kind),
        k=torch.full((size,), k),
        snr_db=torch.full((size,), snr_db),
        generator=torch.Generator().manual_seed(0),
    )


def local_features(codec: TextCodec, batch: TextBatch) -> torch.Tensor:
    features = codec.encode(batch.source, batch.mask).features
    assert features is not None
    return features


def test_collate_shifts_the_target_and_masks_the_padding() -> None:
    batch = collate([SHORT, LONG], [[20, 21, 1], [30, 1]], pad_id=0)
    assert batch.mask.sum(1).tolist() == [len(SHORT), len(LONG)]
    assert batch.source[0].tolist() == SHORT + [0] * (len(LONG) - len(SHORT))
    assert batch.target.tolist() == [[20, 21, 1], [30, 1, 0]]
    assert batch.decoder_input.tolist() == [[0, 20, 21], [0, 30, 1]]


def test_bpe_dropout_deals_the_same_pairs_in_other_pieces_each_epoch() -> None:
    pairs = load_parallel(dataset="captions", caption_count=600).train
    pairs = (*pairs, ("man " * 29, "ein"))  # too long in pieces
    tokenizer = JointBPE.train((sentence for pair in pairs for sentence in pair), vocab_size=400)
    options: dict[str, Any] = {"max_length": 32, "max_tokens": 500, "seed": 3}
    whole = TextBatches(pairs, tokenizer, **options)
    parts = TextBatches(pairs, tokenizer, bpe_dropout=0.1, **options)

    def tokens(batches: TextBatches, epoch: int) -> list[list[tuple[int, ...]]]:
        return [
            [tuple(row) for row in torch.cat([batch.source, batch.target], dim=1).tolist()]
            for batch in batches(epoch)
        ]

    def texts(batches: TextBatches, epoch: int) -> list[tuple[str, str]]:
        return sorted(
            pair
            for batch in batches(epoch)
            for pair in zip(
                tokenizer.decode(batch.source.tolist()), tokenizer.decode(batch.target.tolist()), strict=True
            )
        )

    assert tokens(parts, 0) == tokens(parts, 0)
    assert texts(parts, 0) == texts(parts, 1) == texts(whole, 0)
    first, second, usual = (
        {row for rows in tokens(batches, epoch) for row in rows}
        for batches, epoch in ((parts, 0), (parts, 1), (whole, 0))
    )
    assert len(first - second) > len(pairs) / 2
    assert len(first - usual) > len(pairs) / 2
    for batch in parts(0):
        assert batch.source.shape[1] <= 32
        assert batch.source.numel() <= 500
        assert batch.target.numel() <= 500


@pytest.mark.parametrize("split", [0, 1])
def test_padding_does_not_change_a_sentences_symbols(split: int) -> None:
    codec = moved(make_codec(split=split))
    assert codec.jsc_encoder is not None

    def symbols(batch: TextBatch) -> torch.Tensor:
        sent = codec.encode(batch.source, batch.mask)
        (size,) = batch.sizes
        return codec.jsc_encoder(*sent[:2], k=torch.full((size,), 4), features=sent.features)

    alone = symbols(collate([SHORT], [SHORT], pad_id=0))[0]
    beside = symbols(collate([SHORT, LONG], [SHORT, LONG], pad_id=0))[0]
    assert torch.allclose(alone, beside[: len(SHORT)], atol=1e-5)
    assert torch.all(beside[len(SHORT) :] == 0)


def test_padding_does_not_change_what_is_decoded() -> None:
    """The decoder looks at valid tokens alone, in training and in generation."""
    codec = make_codec(k=())
    for beams in (1, 3):
        decoded = []
        for sources in ([SHORT], [SHORT, LONG]):
            batch = collate(sources, sources, pad_id=0)
            ids = codec.generate(local_features(codec, batch), batch.mask, beams=beams)[0]
            decoded.append(ids[: 2 * len(SHORT)].tolist())
        assert decoded[0] == decoded[1]
    garbage = collate([SHORT, LONG], [SHORT, LONG], pad_id=0)
    received = local_features(codec, garbage)
    spoiled = torch.where(garbage.mask.bool().unsqueeze(2), received, torch.full_like(received, 1e3))
    assert torch.equal(codec.generate(received, garbage.mask), codec.generate(spoiled, garbage.mask))


def test_loss_is_transformers_own_on_the_same_features() -> None:
    """Same mask, same shift, padding out of the mean: the reference is MarianMTModel's labels path."""
    codec = make_codec(k=())
    batch = collate([SHORT, LONG], [[20, 21, 1], [30, 31, 32, 33, 1]], pad_id=0)
    reference = codec.transformer(
        input_ids=batch.source,
        attention_mask=batch.mask,
        decoder_input_ids=batch.decoder_input,
        labels=batch.target.masked_fill(batch.target == 0, -100),
    ).loss
    assert codec.loss(batch, None).item() == pytest.approx(reference.item(), rel=1e-5)
    twice = codec.loss(batch, None, consistency=3.0)
    assert twice.item() == pytest.approx(reference.item(), rel=1e-5), "without dropout both passes are alike"


def test_consistency_adds_the_divergence_of_two_passes() -> None:
    """R-Drop: torch's own Kullback-Leibler divergence, both directions, a mean over the answers."""
    drawn = torch.Generator().manual_seed(0)
    passes = [torch.randn(5, 7, generator=drawn) for _ in range(2)]
    target = torch.tensor([0, 6, 2, 2, 1])
    left = iter(passes)
    loss = answer_loss(lambda: next(left), target, label_smoothing=0.1, consistency=2.5)
    assert next(left, None) is None, "both were asked for"
    entropies = [torch.nn.functional.cross_entropy(one, target, label_smoothing=0.1) for one in passes]
    p, q = (one.log_softmax(dim=-1) for one in passes)
    both = [
        torch.nn.functional.kl_div(first, second, log_target=True, reduction="batchmean")
        for first, second in ((p, q), (q, p))
    ]
    assert loss.item() == pytest.approx((sum(entropies) / 2 + 2.5 * sum(both) / 2).item(), rel=1e-5)
    for none in (None, 0.0):
        one = answer_loss(lambda: passes[0], target, label_smoothing=0.1, consistency=none)
        assert one.item() == pytest.approx(entropies[0].item(), rel=1e-6)


@torch.inference_mode()
def test_generation_with_the_cache_follows_the_teacher_forced_argmax() -> None:
    codec = make_codec(k=())
    batch = collate([SHORT, LONG], [SHORT, LONG], pad_id=0)
    received = local_features(codec, batch)
    ids = codec.generate(received, batch.mask)
    logits = codec.transformer(
        encoder_outputs=BaseModelOutput(last_hidden_state=received),
        attention_mask=batch.mask,
        decoder_input_ids=ids[:, :-1],
        use_cache=False,
    ).logits
    logits[..., 0] = -torch.inf  # the pad token is never generated
    expected = logits.argmax(-1)
    for row, best in zip(ids[:, 1:].tolist(), expected.tolist(), strict=True):
        length = row.index(1) + 1 if 1 in row else len(row)
        assert row[:length] == best[:length]


def test_local_model_has_no_channel_and_a_codec_needs_a_link() -> None:
    batch = collate([SHORT], [SHORT], pad_id=0)
    local, codec = make_codec(k=()), make_codec()
    sent = local.encode(batch.source, batch.mask)
    assert sent.features is not None
    assert torch.equal(local.transmit(sent, None), sent.features)
    with pytest.raises(ValueError, match="needs a link"):
        codec.transmit(codec.encode(batch.source, batch.mask), None)


def test_receiver_hears_nothing_on_unused_symbols() -> None:
    """Noise beyond the k symbols that were sent, or on padding, must not reach the decoder."""
    codec = make_codec()
    heard = []
    assert codec.jsc_decoder is not None
    codec.jsc_decoder.register_forward_pre_hook(lambda _module, args: heard.append(args[0].symbols))
    batch = collate([SHORT, LONG], [SHORT, LONG], pad_id=0)
    codec.transmit(codec.encode(batch.source, batch.mask), link(2, k=2))
    (symbols,) = heard
    assert torch.all(symbols[..., 2:] == 0)
    assert torch.all(symbols[0, len(SHORT) :] == 0)
    assert torch.all(symbols[1, :, :2] != 0)


@torch.inference_mode()
def test_greedy_decoding_is_transformers_own_though_complete_sentences_leave(
    trained: Checkpoint, corpus: ParallelCorpus
) -> None:
    """Several k and SNR of a batch together say what `generate` says of each by itself."""
    codec = trained.codec
    batch = encode_sentences(codec, trained.tokenizer, [source for source, _ in corpus.test])[0]
    received = [
        codec.transmit(batch.sent, link_at(Channel(), k=k, snr_db=snr, like=batch.sent.mask, seed=(0, 0)))
        for k, snr in ((2, -6.0), (6, 0.0), (6, 18.0))
    ]
    together = codec.generate(torch.cat(received), batch.sent.mask.repeat(3, 1)).split(len(batch.rows))
    lengths = set()
    for ours, features in zip(together, received, strict=True):
        reference = codec.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=features),
            attention_mask=batch.sent.mask,
            num_beams=1,
            do_sample=False,
            max_new_tokens=min(2 * batch.sent.mask.shape[1] + 8, codec.config.max_length - 1),
            suppress_tokens=[codec.config.pad_id],
        )
        assert torch.equal(ours[:, : reference.shape[1]], reference)
        assert torch.all(ours[:, reference.shape[1] :] == codec.config.pad_id)
        lengths |= set((ours != codec.config.pad_id).sum(dim=1).tolist())
    assert len(lengths) > 3, "sentences are complete at different steps, so a mix-up would show"
    assert not torch.equal(together[0], together[2])


@torch.inference_mode()
@pytest.mark.parametrize("split", [0, 1, 2])
def test_what_arrives_for_certain_is_what_the_local_model_reads(split: int) -> None:
    """Untrained, without noise: the server has the local model's features, whatever runs at the UE."""
    codec, local = make_codec(split=split), make_codec(k=())
    codec.load_state_dict(local.state_dict(), strict=False)
    batch = collate([SHORT, LONG], [SHORT, LONG], pad_id=0)
    sent = codec.encode(batch.source, batch.mask)
    assert (sent.features is None) == (split == 0)
    received = codec.transmit(sent, link(2, snr_db=60.0))
    valid = batch.mask.bool()
    assert torch.allclose(received[valid], local_features(local, batch)[valid], atol=1e-5)


@torch.inference_mode()
def test_the_first_layers_are_those_of_the_encoder() -> None:
    codec = make_codec(k=())
    batch = collate([SHORT, LONG], [SHORT, LONG], pad_id=0)
    encoder = codec.transformer.get_encoder()
    states = encoder(
        input_ids=batch.source, attention_mask=batch.mask, output_hidden_states=True
    ).hidden_states
    one = first_layers(encoder, 1)(input_ids=batch.source, attention_mask=batch.mask).last_hidden_state
    assert torch.equal(one, states[1])
    assert len(encoder.layers) == 2, "the encoder keeps its layers"


def test_a_frozen_transformer_leaves_the_source_tokens_to_learn() -> None:
    codec = make_codec()
    batch = collate([SHORT, LONG], [[20, 21, 1], [30, 31, 1]], pad_id=0)
    logits = codec.posterior(codec.encode(batch.source, batch.mask), link(2))
    valid = batch.mask.bool()
    of_source = torch.nn.functional.cross_entropy(logits[valid], batch.source[valid])
    assert codec.loss(batch, link(2)) > of_source, "the translation's is added"
    codec.freeze_local()
    loss = codec.loss(batch, link(2))
    assert loss.item() == pytest.approx(of_source.item(), rel=1e-6)
    loss.backward()
    trained = {name.split(".")[0] for name, p in codec.named_parameters() if p.grad is not None}
    assert trained == {"jsc_encoder", "jsc_decoder"}


def test_training_meets_each_k_where_its_channel_carries_about_what_the_tokens_tell() -> None:
    codec = make_codec()
    codec.start([collate([SHORT, LONG], [SHORT, LONG], pad_id=0)], from_local=True)
    assert codec.jsc_decoder is not None
    entropy = torch.distributions.Categorical(logits=codec.jsc_decoder.log_frequency).entropy()
    k, uniform = torch.tensor([2, 4]).repeat(500), torch.full((1000,), 17.0)
    snr_db = codec.focus_snr_db(uniform, k, generator=torch.Generator().manual_seed(0))
    there = snr_db < 17
    assert 0.6 < there.float().mean() < 0.8
    capacity = k * torch.log1p(10 ** (snr_db / 10))
    assert (capacity[there & (snr_db > -6)] >= 0.499 * entropy).all()
    assert (capacity[there] <= 2.001 * entropy).all()
    assert snr_db.min() >= -6
