"""Appendix A as printed, against numbers worked by hand from eqs (29) to (33), and the slips."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from deepsc.image.config import ImageCodecConfig
from deepsc.text.config import TextCodecConfig
from deepsc.vqa.config import VQACodecConfig
from profiling import Flops
from profiling.closed import appendix_a
from profiling.closed.decoding import Decoding
from profiling.closed.image import image_parts
from profiling.closed.parts import Part, split
from profiling.closed.text import text_parts
from profiling.closed.vqa import vqa_parts

# d_model = h H = 6
SIZE = {"B": 1, "S": 2, "h": 2, "H": 3}
CODEC = TextCodecConfig(
    preset="hand", d_model=6, layers=3, heads=2, d_ff=10, vocab_size=7, dropout=0.0, k=(2, 5)
)
IMAGE = ImageCodecConfig.from_preset("tiny", classes=7, k=(2, 5))
VQA = VQACodecConfig.from_preset("tiny", answers=("yes", "no"), k_text=(2, 5), k_image=(3,))


def of_text(config: TextCodecConfig, k: int, **lengths: int) -> dict[str, Part]:
    return {part.name: part for part in text_parts(config, k=k, **lengths)}


def test_equations_give_the_hand_worked_numbers() -> None:
    assert appendix_a.f_1(**SIZE) == Flops(216)  # (29): 6 x 2 x 2 x 9
    assert appendix_a.f_2(**SIZE) == Flops(96)  # (30): 4 x 2 x 3 x 4
    assert appendix_a.f_atten(**SIZE) == Flops(768)  # (31): 8 x 2 x 4 x 9 + 4 x 4 x 4 x 3
    assert appendix_a.f_ffn(**SIZE) == Flops(72)  # 2 x 2 x 2 x 9
    assert appendix_a.f_dense(**SIZE, n_out=5) == Flops(120)  # 2 x 2 x 2 x 3 x 5
    assert appendix_a.f_encoder(**SIZE, L=3, n_out=5) == Flops(2640)  # (32): 3 x 840 + 120
    assert appendix_a.f_vocab(B=1, S=2, H=3, n_vocab=7) == Flops(84)  # 2 x 2 x 3 x 7
    assert appendix_a.f_decoder(**SIZE, L=3, n_vocab=7) == Flops(4908)  # (33): 3 x (1536 + 72) + 84


def test_batch_multiplies_every_equation() -> None:
    thrice = SIZE | {"B": 3}
    assert appendix_a.f_encoder(**thrice, L=3, n_out=5) == Flops(3 * 2640)
    assert appendix_a.f_decoder(**thrice, L=3, n_vocab=7) == Flops(3 * 4908)


def test_parts_of_a_text_codec_as_printed() -> None:
    parts = text_parts(CODEC, source_length=2, target_length=2, k=5)
    assert [part.as_printed for part in parts] == [Flops(120), None, Flops(2520), Flops(4908)]
    printed = split(parts, printed=True)
    assert (printed.local, printed.ue, printed.server) == (Flops(7428), Flops(120), Flops(7428))


def test_parts_of_a_text_codec_corrected_by_hand() -> None:
    parts = text_parts(CODEC, source_length=2, target_length=2, k=5)
    by_hand = [
        0,  # points are looked up
        # Points against what arrives, and their energy; the bigrams, twice forward and once back; embeddings
        # three times; symbols and condition in.
        (2 * 10 * 7 + 5 * 7)
        + 3 * (CODEC.bigrams + 7)
        + 3 * (2 * 7 * 6)
        + 2 * 10 * 6
        + (128 + 4096)
        + 64 * 6
        + 3 * (12 * 72 + 2 * 24)
        + 72,  # three context layers of inner width 24, and the layer behind them
        3 * (4 * 72 + 2 * 24 + 2 * 120),  # layers of Q, K, V and output; scores; feedforward
        3 * (6 * 72 + 2 * 72 + 36 + 48 + 2 * 120)
        + 84,  # steps 1 and 2: 1 + 2 pairs of 12; 4 of cross-attention
    ]
    assert [part.corrected for part in parts] == [Flops(2 * macs) for macs in by_hand]
    shares = split(parts)
    assert shares.channel == Flops(2 * by_hand[1])


def test_image_and_vqa_as_printed_are_the_same_equations_of_other_sizes() -> None:
    image = {"B": 1, "S": 17, "h": 3, "H": 16}  # 4 x 4 patches and the class token, 48 = 3 x 16
    assert [part.as_printed for part in image_parts(IMAGE, k=5)] == [
        appendix_a.f_encoder(**image, L=2, n_out=0),
        appendix_a.f_dense(**image, n_out=5),
        None,
        appendix_a.f_decoder(**image, L=2, n_vocab=7),
    ]
    # Section III: the sum of the text and the image task. A question crosses as tokens, as a sentence does:
    # the UE's part is the dense layer of eq. (32), the encoder's layers are the server's.
    text = {"B": 1, "S": 4, "h": 2, "H": 16}
    printed = split(vqa_parts(VQA, source_length=4, k_text=5, k_image=3), printed=True)
    assert printed.ue == appendix_a.f_dense(**text, n_out=5) + appendix_a.f_encoder(**image, L=2, n_out=3)
    decoders = appendix_a.f_decoder(**text, L=1, n_vocab=300) + appendix_a.f_decoder(**image, L=2, n_vocab=2)
    assert printed.server == appendix_a.f_encoder(**text, L=1, n_out=0) + decoders


def test_one_head_has_no_slip_in_attention_and_vocabulary() -> None:
    decoder = of_text(replace(CODEC, heads=1), k=5, source_length=4, target_length=4)["semantic decoder"]
    by_what = {slip.what: slip.flops for slip in decoder.slips}
    assert by_what["S^2 term holds the heads twice"] == Flops(0)
    assert by_what["H for d_model = h H"] == Flops(0)


def test_real_layers_contradict_that_attention_is_far_more_than_the_ffn() -> None:
    # Appendix A after eq. (33): F_atten >> F_FFN. At S = 20 (d = 512) and S = 197 (DeiT-small) it is less.
    base = TextCodecConfig.from_preset("base", k=(16,))
    text = of_text(base, k=16, source_length=20, target_length=20)["semantic encoder"]
    image = image_parts(ImageCodecConfig.from_preset("deit-small", classes=1000, k=(32,)), k=32)[0]
    for part, ffn in ((text, ("fc1", "fc2")), (image, ("mlp.fc1", "mlp.fc2"))):
        in_ffn = Flops.total(macs.flops for path, macs in part.modules.items() if path.endswith(ffn))
        attention = Flops.total(macs.flops for path, macs in part.modules.items() if "attn" in path)
        assert attention < in_ffn


def check_slips(parts: tuple[Part, ...]) -> None:
    for part in parts:
        missing = Flops.total(slip.flops for slip in part.slips)
        assert (part.as_printed or Flops(0)) + missing == part.corrected


@given(
    heads=st.integers(1, 8),
    width=st.integers(1, 8),
    layers=st.integers(1, 6),
    d_ff=st.integers(1, 64),
    k=st.integers(1, 9),
    source=st.integers(1, 50),
    target=st.integers(1, 50),
    decoding=st.sampled_from(Decoding),
)
@settings(max_examples=50, deadline=None)
def test_slips_of_text_add_up_to_corrected_minus_printed(
    heads: int, width: int, layers: int, d_ff: int, k: int, source: int, target: int, decoding: Decoding
) -> None:
    codec = replace(CODEC, d_model=heads * width, heads=heads, layers=layers, d_ff=d_ff, k=(k, k + 3))
    lengths = {"source_length": source, "target_length": target}
    check_slips(text_parts(codec, k=k, **lengths, decoding=decoding, beams=3))


@given(
    heads=st.integers(1, 4),
    head=st.integers(1, 8),
    split_at=st.integers(1, 3),
    after=st.integers(1, 3),
    patches=st.integers(1, 14),
    k=st.integers(1, 9),
    source=st.integers(1, 30),
)
@settings(max_examples=50, deadline=None)
def test_slips_of_image_and_vqa_add_up_to_corrected_minus_printed(
    heads: int, head: int, split_at: int, after: int, patches: int, k: int, source: int
) -> None:
    size = {"image_size": 8 * patches}
    image = replace(
        IMAGE, width=heads * head, heads=heads, depth=split_at + after, split=split_at, k=(k, k + 2), **size
    )
    check_slips(image_parts(image, k=k))
    vqa = replace(
        VQA, image_width=heads * head, image_heads=heads, fusion_layers=after, k_text=(k, k + 2), **size
    )
    check_slips(vqa_parts(vqa, source_length=source, k_text=k, k_image=3))
