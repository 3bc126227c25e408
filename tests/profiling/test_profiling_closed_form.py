"""The corrected closed form against known figures, and against counters around the real model as it runs."""

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deepsc.channels import Channel
from deepsc.config import TextCodecConfig
from deepsc.text import Link, TextCodec, collate
from profiling import Decoding, corrected
from profiling.closed_form import decoder_flops, encoder_flops, jsc_decoder_flops, jsc_encoder_flops
from profiling.measured import count_with_fvcore, count_with_torch
from profiling.workloads import (
    Workload,
    decoder_workload,
    encoder_workload,
    jsc_decoder_workload,
    jsc_encoder_workload,
    meta_codec,
)

TINY = TextCodecConfig.from_preset("tiny", k=(4, 8, 16))
BASE = TextCodecConfig.from_preset("base", k=(16,), vocab_size=8)  # the encoder does not know the vocabulary


def torch_flops(workload: Workload) -> int:
    return count_with_torch(lambda: workload.module(*workload.inputs)).matrix_flops


def test_transformer_base_encoder_is_2517_million_multiply_adds_at_128_tokens() -> None:
    # 6 x (4 d^2 + 2 d d_ff) x 128 + 6 x 2 x 128^2 d: linear layers 2.416, attention 0.101 GMAC
    flops = encoder_flops(BASE, source_length=128)
    assert flops == 2 * (2_415_919_104 + 100_663_296)
    assert flops / 2 / 1e9 == pytest.approx(2.517, abs=5e-4)
    workload = encoder_workload(meta_codec(BASE), source_length=128)
    assert torch_flops(workload) == flops
    assert count_with_fvcore(workload).matrix_flops == flops


def test_one_encoder_layer_is_650_million_flops_at_100_tokens() -> None:
    layer = replace(BASE, layers=1)
    flops = encoder_flops(layer, source_length=100)
    assert flops == 649_625_600
    assert torch_flops(encoder_workload(meta_codec(layer), source_length=100)) == flops


@given(data=st.data())
@settings(max_examples=6, deadline=None, phases=(Phase.generate,))  # to shrink a failure takes minutes
def test_closed_form_equals_the_counters_for_any_size(data: st.DataObject) -> None:
    heads = data.draw(st.integers(1, 4), "heads")
    config = TextCodecConfig(
        preset="random",
        d_model=heads * 2 * data.draw(st.integers(1, 6), "half head width"),
        heads=heads,
        layers=data.draw(st.integers(1, 2), "layers"),
        d_ff=data.draw(st.integers(1, 40), "d_ff"),
        vocab_size=data.draw(st.integers(2, 60), "vocab_size"),
        dropout=0.1,
        k=(1, data.draw(st.integers(2, 12), "k_max")),
    )
    source, target = data.draw(st.integers(1, 9), "S"), data.draw(st.integers(1, 5), "T")
    codec = meta_codec(config)
    parts = corrected(config, source_length=source, target_length=target)
    for workload, flops in (
        (encoder_workload(codec, source_length=source), parts.encoder),
        (jsc_encoder_workload(codec, source_length=source, k=1), parts.jsc_encoder),
        (jsc_decoder_workload(codec, source_length=source, k=1), parts.jsc_decoder),
    ):
        assert torch_flops(workload) == flops
        assert count_with_fvcore(workload).matrix_flops == flops
    for mode in Decoding:
        lengths = {"source_length": source, "target_length": target}
        decoder = decoder_workload(codec, **lengths, decoding=mode)
        assert torch_flops(decoder) == decoder_flops(config, **lengths, decoding=mode)
        assert count_with_fvcore(decoder).matrix_flops == decoder_flops(config, **lengths, decoding=mode)


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def real_codec(request: pytest.FixtureRequest) -> TextCodec:
    """A codec with weights on the CPU that never ends a sentence early."""
    codec = TextCodec(TINY).eval()
    codec.transformer.set_attn_implementation(request.param)
    codec.transformer.final_logits_bias[0, TINY.eos_id] = -1e9
    return codec


@pytest.mark.parametrize("source_length", [3, 6])
def test_generate_costs_the_closed_form_of_the_kv_cache(real_codec: TextCodec, source_length: int) -> None:
    received = torch.randn(1, source_length, TINY.d_model)
    mask = torch.ones(1, source_length, dtype=torch.long)
    tokens: list[torch.Tensor] = []
    count = count_with_torch(lambda: tokens.append(real_codec.generate(received, mask)))
    steps = tokens[0].shape[1] - 1  # the start token is given, not generated
    assert steps == 2 * source_length + 8
    assert count.matrix_flops == decoder_flops(
        TINY, source_length=source_length, target_length=steps, decoding=Decoding.GREEDY_KV_CACHE
    )


def test_generate_without_cache_costs_its_closed_form(real_codec: TextCodec) -> None:
    from transformers.modeling_outputs import BaseModelOutput

    def run() -> None:
        tokens = real_codec.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=torch.randn(1, 5, TINY.d_model)),
            attention_mask=torch.ones(1, 5, dtype=torch.long),
            do_sample=False,
            use_cache=False,
            max_new_tokens=7,
        )
        assert tokens.shape == (1, 8)

    assert count_with_torch(run).matrix_flops == decoder_flops(
        TINY, source_length=5, target_length=7, decoding=Decoding.GREEDY_NO_CACHE
    )


def test_encode_transmit_and_loss_cost_their_closed_forms(real_codec: TextCodec) -> None:
    batch = collate([[5, 6, 7, 8, 1]], [[9, 10, 1]], pad_id=TINY.pad_id)
    encoder = encoder_flops(TINY, source_length=5)
    assert count_with_torch(lambda: real_codec.encode(batch.source, batch.mask)).matrix_flops == encoder

    link = Link(
        channel=Channel(kind="rayleigh"),
        k=torch.tensor([4]),
        snr_db=torch.tensor([6.0]),
        generator=torch.Generator().manual_seed(0),
    )
    features = torch.randn(1, 5, TINY.d_model)
    # The channel itself has no matrix product.
    both = jsc_encoder_flops(TINY, source_length=5) + jsc_decoder_flops(TINY, source_length=5)
    assert count_with_torch(lambda: real_codec.transmit(features, batch.mask, link)).matrix_flops == both

    decoder = decoder_flops(TINY, source_length=5, target_length=3, decoding=Decoding.TEACHER_FORCED)
    assert count_with_torch(lambda: real_codec.loss(batch, link)).matrix_flops == encoder + both + decoder


def test_doubling_the_source_quadruples_the_scores_alone() -> None:
    once, twice = (encoder_flops(TINY, source_length=S) for S in (10, 20))
    assert twice - 2 * once == TINY.layers * 4 * (20**2 - 2 * 10**2) * TINY.d_model


def test_one_token_costs_the_same_in_every_mode() -> None:
    counts = {decoder_flops(TINY, source_length=7, target_length=1, decoding=mode) for mode in Decoding}
    assert len(counts) == 1


def test_a_cache_spares_the_masked_half_and_no_cache_multiplies_the_cost() -> None:
    cost = {mode: decoder_flops(TINY, source_length=20, target_length=20, decoding=mode) for mode in Decoding}
    masked_pairs = 20 * 19 // 2
    spared = TINY.layers * 4 * masked_pairs * TINY.d_model
    assert cost[Decoding.TEACHER_FORCED] - cost[Decoding.GREEDY_KV_CACHE] == spared
    assert cost[Decoding.GREEDY_NO_CACHE] > 10 * cost[Decoding.GREEDY_KV_CACHE]


def test_the_nested_code_costs_its_largest_k() -> None:
    alone = replace(TINY, k=(16,))
    assert jsc_encoder_flops(TINY, source_length=9) == jsc_encoder_flops(alone, source_length=9)
    shorter = jsc_encoder_flops(replace(TINY, k=(4,)), source_length=9)
    assert jsc_encoder_flops(alone, source_length=9) - shorter == 2 * 9 * TINY.d_model * 2 * (16 - 4)
