"""The corrected closed form against known figures, and against counters around the real codecs."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deepsc.image.config import IMAGE_PRESETS, ImageCodecConfig
from deepsc.image.model import ImageCodec
from deepsc.link.channel import Channel
from deepsc.link.transmission import Link
from deepsc.text.config import TEXT_PRESETS, TextCodecConfig
from deepsc.text.model import TextCodec, collate
from deepsc.vqa.config import VQA_PRESETS, VQACodecConfig
from deepsc.vqa.model import VQABatch, VQACodec
from profiling import Flops, Macs
from profiling.closed.decoding import (
    Decoding,
    decoder,
    masked,
    prefill,
    step,
)
from profiling.closed.image import image_parts
from profiling.closed.parts import Part, Place, split
from profiling.closed.text import encoder, text_parts
from profiling.closed.vqa import vqa_parts
from profiling.counted.codec_parts import parts_of
from profiling.counted.copies import Method, Workload, for_counting
from profiling.counted.library_models import timm_model
from profiling.counted.other_tools import count_with_fvcore, count_with_torch
from profiling.counted.residuals import UNEXPLAINED
from profiling.counted.text_decoder import generation
from profiling.profile import CodecProfile, profile_codec

TINY = TextCodecConfig.from_preset("tiny", k=(4, 8, 16))
BASE = TextCodecConfig.from_preset("base", k=(16,), vocab_size=8)  # the encoder knows no vocabulary
QUICK = settings(
    max_examples=20, deadline=None, phases=(Phase.generate,)
)  # to shrink a failure takes minutes


def total(modules: Mapping[str, Macs]) -> Flops:
    return Macs.total(modules.values()).flops


def check_exact(profile: CodecProfile) -> None:
    """Both counters give the closed form for every module, and nothing is left unexplained."""
    for part, counted in zip(profile.parts, profile.counted, strict=True):
        closed = {path: macs for path, macs in part.modules.items() if macs}
        assert counted.torch.modules == {path: macs.flops for path, macs in closed.items()}, part.name
        assert counted.fvcore is not None
        assert counted.fvcore.modules == closed, part.name
        assert not counted.products.uncounted
        assert UNEXPLAINED not in {residual.cause for residual in counted.residuals()}


@pytest.mark.parametrize("preset", TEXT_PRESETS)
def test_counters_equal_the_closed_form_of_every_text_preset(preset: str) -> None:
    config = TextCodecConfig.from_preset(preset, k=(4, 8, 12, 16, 20))
    check_exact(profile_codec(config, k=16, source_length=20, target_length=20))


@pytest.mark.parametrize("layers", [1, 2])
def test_counters_equal_the_closed_form_of_encoder_layers_at_the_ue(layers: int) -> None:
    profile = profile_codec(replace(TINY, split=layers), k=4, source_length=5, target_length=3)
    assert "encoder layers at the UE" in {part.name for part in profile.parts}
    check_exact(profile)


@pytest.mark.parametrize("preset", IMAGE_PRESETS)
def test_counters_equal_the_closed_form_of_every_image_preset(preset: str) -> None:
    check_exact(profile_codec(ImageCodecConfig.from_preset(preset, classes=1000, k=(8, 32)), k=8))


@pytest.mark.parametrize(("preset", "image_size"), [("tiny", 16), ("tiny", 48), ("deit-small", 224)])
def test_counters_equal_the_closed_form_of_hybrids(preset: str, image_size: int) -> None:
    config = ImageCodecConfig.from_preset(
        preset, classes=10, k=(8, 32), stem="tf_efficientnet_lite0", image_size=image_size
    )
    profile = profile_codec(config, k=8)
    check_exact(profile)
    encoder = next(part for part in profile.parts if part.name == "semantic encoder")
    assert encoder.place is Place.UE
    assert any(slip.what == "hybrid patch embedding left out" for slip in encoder.slips)
    assert encoder.as_printed is not None
    assert encoder.as_printed + Flops.total(slip.flops for slip in encoder.slips) == encoder.corrected


def test_the_stem_is_what_timms_network_has_up_to_stride_16() -> None:
    """timm's own network, not our codec, without what comes after its fifth stage."""
    config = ImageCodecConfig.from_preset("deit-small", classes=10, stem="tf_efficientnet_lite0", k=(8,))
    encoder = image_parts(config, k=8)[0].modules
    stem = {path: macs for path, macs in encoder.items() if "backbone" in path}
    assert Macs.total(stem.values()).count / 1e6 == pytest.approx(243.3, abs=0.05)
    network = timm_model("tf_efficientnet_lite0").workload.module
    del network.blocks[5:]
    network.conv_head, network.bn2 = torch.nn.Identity(), torch.nn.Identity()
    network.global_pool, network.classifier = torch.nn.Identity(), torch.nn.Identity()
    inputs = (torch.zeros(1, 3, 224, 224, device="meta"),)
    assert count_with_torch(Workload(module=network, inputs=inputs)).total == total(stem)


@pytest.mark.parametrize("preset", VQA_PRESETS)
def test_counters_equal_the_closed_form_of_every_vqa_preset(preset: str) -> None:
    config = VQACodecConfig.from_preset(preset, answers=("yes", "no", "red"), k_text=(8, 16), k_image=(32,))
    check_exact(profile_codec(config, k_text=8, k_image=32, source_length=9))


def test_counters_equal_the_closed_form_of_a_hybrid_vqa_codec() -> None:
    config = VQACodecConfig.from_preset(
        "tiny", answers=("yes", "no"), k_text=(8,), k_image=(32,), stem="tf_efficientnet_lite0"
    )
    check_exact(profile_codec(config, k_text=8, k_image=32, source_length=9))


def test_no_formula_of_fvcores_own_explains_a_codec() -> None:
    part = profile_codec(ImageCodecConfig.from_preset("tiny", classes=3, k=(8,)), k=8).counted[0]
    assert part.fvcore is not None
    assert list(part.problems()) == []
    (name, macs), *_ = part.fvcore.operators.items()
    (path, own), *_ = part.fvcore.modules.items()
    wrong = replace(
        part.fvcore,
        operators={**part.fvcore.operators, name: macs + Macs(7)},
        modules={**part.fvcore.modules, path: own + Macs(7)},
    )
    (problem,) = replace(part, fvcore=wrong).problems()
    assert "fvcore counts" in problem
    (residual,) = [r for r in replace(part, fvcore=wrong).residuals() if r.cause == UNEXPLAINED]
    assert residual.flops == Flops(-14)
    assert list(replace(part, fvcore=wrong, strict=False).problems()) == []  # foreign models: named
    shifted = replace(part.fvcore, modules={**part.fvcore.modules, path: own + Macs(7), "other": Macs(-7)})
    assert list(replace(part, fvcore=shifted).problems())  # the same sum in other modules


@given(data=st.data())
@QUICK
def test_counters_equal_the_closed_form_of_any_text_codec(data: st.DataObject) -> None:
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
    lengths = {
        "source_length": data.draw(st.integers(1, 9), "S"),
        "target_length": data.draw(st.integers(1, 9), "T"),
    }
    check_exact(profile_codec(config, k=1, **lengths, beams=data.draw(st.integers(1, 3), "beams")))


@given(data=st.data())
@QUICK
def test_counters_equal_the_closed_form_of_any_image_codec(data: st.DataObject) -> None:
    heads, patch = data.draw(st.integers(1, 4), "heads"), data.draw(st.integers(1, 5), "patch")
    depth = data.draw(st.integers(2, 4), "depth")
    config = ImageCodecConfig(
        preset="random",
        classes=data.draw(st.integers(1, 9), "classes"),
        width=heads * data.draw(st.integers(1, 9), "head width"),
        heads=heads,
        depth=depth,
        split=data.draw(st.integers(1, depth - 1), "split"),
        image_size=patch * data.draw(st.integers(1, 5), "patches a side"),
        patch_size=patch,
        k=(1, data.draw(st.integers(2, 12), "k_max")),
    )
    check_exact(profile_codec(config, k=1))


@given(data=st.data())
@QUICK
def test_counters_equal_the_closed_form_of_any_vqa_codec(data: st.DataObject) -> None:
    widths = {}
    for part in ("text", "image", "fusion"):
        heads = data.draw(st.integers(1, 3), f"{part} heads")
        widths[f"{part}_heads"] = heads
        widths[f"{part}_width"] = 2 * heads * data.draw(st.integers(1, 4), f"{part} half head width")
        widths[f"{part}_layers"] = data.draw(st.integers(1, 2), f"{part} layers")
    config = VQACodecConfig(
        preset="random",
        answers=tuple("abcdefgh"[: data.draw(st.integers(2, 8), "answers")]),
        vocab_size=30,
        image_size=4 * data.draw(st.integers(1, 4), "patches a side"),
        patch_size=4,
        k_text=(1, data.draw(st.integers(2, 9), "k_text")),
        k_image=(1, data.draw(st.integers(2, 9), "k_image")),
        **widths,
    )
    check_exact(profile_codec(config, k_text=1, k_image=1, source_length=data.draw(st.integers(1, 9), "S")))


# Known figures


def test_transformer_base_encoder_is_2517_million_multiply_adds_at_128_tokens() -> None:
    # 6 x (4 d^2 + 2 d d_ff) x 128 + 6 x 2 x 128^2 d: linear layers 2.416, attention 0.101 GMAC
    macs = Macs.total(encoder(BASE, source_length=128, depth=6).values())
    assert macs == Macs(2_415_919_104 + 100_663_296)
    assert macs.count / 1e9 == pytest.approx(2.517, abs=5e-4)
    codec = TextCodec(BASE)
    for_counting(codec)
    codec.to("meta")
    task = {"source_length": 128, "target_length": 1, "k": 16, "beams": 1}
    run = parts_of(codec, task)["semantic encoder"]
    assert count_with_torch(run).total == macs.flops
    assert count_with_fvcore(run).total == macs


def test_one_encoder_layer_is_650_million_flops_at_100_tokens() -> None:
    layer = replace(BASE, layers=1)
    assert total(encoder(layer, source_length=100, depth=1)) == Flops(649_625_600)
    # torch's own layer of the same size
    module = torch.nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True, device="meta").eval()
    run = Workload(module=module, inputs=(torch.empty(1, 100, 512, device="meta"),))
    assert count_with_torch(run).total == Flops(649_625_600)


def test_deit_small_is_22_million_parameters_and_9_198_gflop() -> None:
    config = ImageCodecConfig.from_preset("deit-small", classes=1000, k=(32,))
    local = split(image_parts(config, k=32)).local
    assert local.count / 1e9 == pytest.approx(9.198, abs=5e-4)
    assert local.count / 2e9 == pytest.approx(4.599, abs=5e-4)
    model = timm_model("deit_small_patch16_224")  # timm's own, not our codec
    assert model.parameters == 22_050_664
    assert count_with_torch(model.workload).total == local


# Split


def test_shares_are_sums_of_parts() -> None:
    for parts, at_ue in (
        (text_parts(TINY, source_length=5, target_length=3, k=4), 1),
        (text_parts(replace(TINY, split=1), source_length=5, target_length=3, k=4), 2),
        (image_parts(ImageCodecConfig.from_preset("tiny", classes=3, k=(4,)), k=4), 2),
        (vqa_of_tiny(), 3),
    ):
        counts = [part.corrected for part in parts]
        shares = split(parts)
        assert shares.ue == Flops.total(counts[:at_ue])
        assert shares.server == Flops.total(counts[at_ue:])
        jsc = Flops.total(part.corrected for part in parts if "JSC" in part.name or "layers" in part.name)
        assert shares.local == Flops.total(counts) - jsc
        assert shares.channel == jsc


def vqa_of_tiny() -> tuple[Part, ...]:
    config = VQACodecConfig.from_preset("tiny", answers=("yes", "no"), k_text=(4,), k_image=(8,))
    return vqa_parts(config, source_length=5, k_text=4, k_image=8)


def test_the_nested_code_costs_its_largest_k() -> None:
    def jsc(config: TextCodecConfig, k: int) -> Flops:
        return text_parts(config, source_length=9, target_length=1, k=k)[1].corrected

    assert jsc(TINY, 4) == jsc(TINY, 16) == jsc(replace(TINY, k=(16,)), 16)
    shorter = jsc(replace(TINY, k=(4,)), 4)
    saved = 9 * (TINY.d_model + TINY.vocab_size) * 2 * (16 - 4) + TINY.vocab_size * (16 - 4)
    assert jsc(TINY, 16) - shorter == Flops(2 * saved)


def test_doubling_the_source_quadruples_the_scores_alone() -> None:
    once, twice = (total(encoder(TINY, source_length=S, depth=TINY.layers)) for S in (10, 20))
    assert twice - 2 * once == Flops(TINY.layers * 4 * (20**2 - 2 * 10**2) * TINY.d_model)


def test_image_size_changes_the_tokens() -> None:
    config = ImageCodecConfig.from_preset("deit-small", classes=10, k=(32,))
    small, large = (split(image_parts(replace(config, image_size=size), k=32)).ue for size in (224, 384))
    tokens = (384 // 16) ** 2 / (224 // 16) ** 2
    assert tokens < large / small < tokens**2


# Decoding


def cost(
    mode: Decoding, *, S: int = 20, T: int = 20, config: TextCodecConfig = TINY, beams: int = 1
) -> Flops:
    return total(decoder(config, source_length=S, target_length=T, decoding=mode, beams=beams))


def test_one_token_costs_the_same_in_every_mode() -> None:
    assert len({cost(mode, S=7, T=1) for mode in Decoding}) == 1


def test_a_cache_spares_the_masked_half() -> None:
    spared = cost(Decoding.TEACHER_FORCED) - cost(Decoding.GREEDY_KV_CACHE)
    assert spared == masked(TINY, target_length=20).flops == Flops(TINY.layers * 4 * 190 * TINY.d_model)


def test_decoding_without_cache_costs_15_times_one_pass_at_30_tokens() -> None:
    lengths = {"S": 30, "T": 30, "config": TextCodecConfig.from_preset("base", k=(16,))}
    assert 14 < cost(Decoding.GREEDY_NO_CACHE, **lengths) / cost(Decoding.TEACHER_FORCED, **lengths) < 18


def test_prefill_and_steps_add_up() -> None:
    steps = Macs.total(step(TINY, source_length=9, position=t) for t in range(1, 8))
    whole = prefill(TINY, source_length=9) + steps
    assert whole.flops == cost(Decoding.GREEDY_KV_CACHE, S=9, T=7)
    assert 3 * whole.flops == cost(Decoding.BEAM_KV_CACHE, S=9, T=7, beams=3)


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def real_codec(request: pytest.FixtureRequest) -> TextCodec:
    """A codec with weights on the CPU that never ends a sentence early."""
    codec = TextCodec(TINY).eval()
    codec.transformer.set_attn_implementation(request.param)
    codec.transformer.final_logits_bias[0, TINY.eos_id] = -1e9
    return codec


def count(codec: TextCodec, run: object) -> Flops:
    return count_with_torch(Workload(module=Method(codec, run), inputs=())).total  # type: ignore[arg-type]


@pytest.mark.parametrize("source_length", [3, 6])
@pytest.mark.parametrize("beams", [1, 3])
def test_generate_costs_the_closed_form_of_the_kv_cache(
    real_codec: TextCodec, source_length: int, beams: int
) -> None:
    received = torch.randn(1, source_length, TINY.d_model)
    mask = torch.ones(1, source_length, dtype=torch.long)
    tokens: list[torch.Tensor] = []
    flops = count(real_codec, lambda: tokens.append(real_codec.generate(received, mask, beams=beams)))
    steps = tokens[0].shape[1] - 1  # the start token is given, not generated
    assert steps == 2 * source_length + 8
    mode = Decoding.BEAM_KV_CACHE if beams > 1 else Decoding.GREEDY_KV_CACHE
    assert flops == cost(mode, S=source_length, T=steps, beams=beams)


def test_steps_on_a_line_are_what_a_whole_generation_counts(real_codec: TextCodec) -> None:
    real_codec.transformer.final_logits_bias[0, TINY.eos_id] = 0
    run = generation(real_codec, source_length=6, target_length=9, beams=2)
    profile = profile_codec(TINY, k=4, source_length=6, target_length=9, beams=2)
    assert count_with_torch(run).modules == profile.counted[-1].torch.modules


def test_generate_without_cache_costs_its_closed_form(real_codec: TextCodec) -> None:
    from transformers.modeling_outputs import BaseModelOutput

    def run() -> None:
        tokens = real_codec.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=torch.randn(1, 5, TINY.d_model)),
            attention_mask=torch.ones(1, 5, dtype=torch.long),
            do_sample=False,
            use_cache=False,
            min_new_tokens=7,
            max_new_tokens=7,
        )
        assert tokens.shape == (1, 8)

    assert count(real_codec, run) == cost(Decoding.GREEDY_NO_CACHE, S=5, T=7)


def test_a_teacher_forced_pass_costs_its_closed_form() -> None:
    from transformers.modeling_outputs import BaseModelOutput

    codec = TextCodec(TINY)
    for_counting(codec)
    codec.to("meta")

    def run(received: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return codec.transformer(
            encoder_outputs=BaseModelOutput(last_hidden_state=received),
            decoder_input_ids=tokens,
            use_cache=False,
        ).logits

    received = torch.zeros(1, 5, TINY.d_model, device="meta")
    tokens = torch.zeros(1, 7, dtype=torch.long, device="meta")
    workload = Workload(module=Method(codec, run), inputs=(received, tokens))
    closed = decoder(TINY, source_length=5, target_length=7, decoding=Decoding.TEACHER_FORCED)
    assert count_with_torch(workload).modules == {path: macs.flops for path, macs in closed.items()}


# The codecs' own forward passes, with weights, channel and mask


def link(k: int) -> Link:
    return Link(
        channel=Channel(kind="rayleigh"),
        k=torch.tensor([k]),
        snr_db=torch.tensor([6.0]),
        generator=torch.Generator().manual_seed(0),
    )


def test_loss_of_a_text_codec_costs_its_parts(real_codec: TextCodec) -> None:
    batch = collate([[5, 6, 7, 8, 1]], [[9, 10, 1]], pad_id=TINY.pad_id)
    lengths = {"source_length": 5, "target_length": 3}
    parts = text_parts(TINY, **lengths, k=4, decoding=Decoding.TEACHER_FORCED)
    flops = count(real_codec, lambda: real_codec.loss(batch, link(4)))
    # The channel itself has no matrix product.
    assert flops == Flops.total(part.corrected for part in parts)
    assert count(real_codec, lambda: real_codec.encode(batch.source, batch.mask)) == Flops(0)


def test_image_and_vqa_codecs_cost_their_parts() -> None:
    config = ImageCodecConfig.from_preset("tiny", classes=3, k=(4, 8))
    codec = ImageCodec(config).eval()
    images = torch.randn(1, 3, 32, 32)

    def classify() -> torch.Tensor:
        return codec.classify(codec.embed(codec.transmit(codec.encode(images), link(4))))

    run = Workload(module=Method(codec, classify), inputs=())
    assert count_with_torch(run).total == Flops.total(part.corrected for part in image_parts(config, k=4))

    vqa = VQACodecConfig.from_preset("tiny", answers=("yes", "no"), k_text=(4,), k_image=(8,))
    vqa_codec = VQACodec(vqa).eval()
    batch = VQABatch(
        images=images,
        question=torch.tensor([[5, 6, 7, 8, 1]]),
        mask=torch.ones(1, 5, dtype=torch.long),
        image_of=torch.tensor([0]),
        target=torch.tensor([1]),
    )
    run = Workload(module=Method(vqa_codec, lambda: vqa_codec.loss(batch, link(4), link(8))), inputs=())
    assert count_with_torch(run).total == Flops.total(part.corrected for part in vqa_of_tiny())


def test_fvcore_on_the_meta_device_falls_back_to_the_cpu_for_convolutions() -> None:
    codec = ImageCodec(ImageCodecConfig.from_preset("tiny", classes=3, k=(4,))).eval().to("meta")
    run = Workload(module=Method(codec, codec.encode), inputs=(torch.empty(1, 3, 32, 32, device="meta"),))
    assert count_with_fvcore(run).total.flops == count_with_torch(run).total
    assert {parameter.device.type for parameter in codec.parameters()} == {"meta"}
