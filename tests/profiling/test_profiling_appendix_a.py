"""Appendix A as printed, against numbers worked by hand from eqs (29) to (33)."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from deepsc.config import TextCodecConfig
from profiling import appendix_a, as_printed, corrected, slips

# d_model = h H = 6
SIZE = {"B": 1, "S": 2, "h": 2, "H": 3}
CODEC = TextCodecConfig(
    preset="hand", d_model=6, layers=3, heads=2, d_ff=10, vocab_size=7, dropout=0.0, k=(2, 5)
)


def test_equations_give_the_hand_worked_numbers() -> None:
    assert appendix_a.f_1(**SIZE) == 216  # (29): 6 x 2 x 2 x 9
    assert appendix_a.f_2(**SIZE) == 96  # (30): 4 x 2 x 3 x 4
    assert appendix_a.f_atten(**SIZE) == 768  # (31): 8 x 2 x 4 x 9 + 4 x 4 x 4 x 3
    assert appendix_a.f_ffn(**SIZE) == 72  # 2 x 2 x 2 x 9
    assert appendix_a.f_dense(**SIZE, n_out=5) == 120  # 2 x 2 x 2 x 3 x 5
    assert appendix_a.f_encoder(**SIZE, L=3, n_out=5) == 2640  # (32): 3 x 840 + 120
    assert appendix_a.f_vocab(B=1, S=2, H=3, n_vocab=7) == 84  # 2 x 2 x 3 x 7
    assert appendix_a.f_decoder(**SIZE, L=3, n_vocab=7) == 4908  # (33): 3 x (1536 + 72) + 84


def test_parts_of_a_codec_as_printed() -> None:
    parts = as_printed(CODEC, source_length=2, k=5)
    assert (parts.encoder, parts.jsc_encoder, parts.jsc_decoder, parts.decoder) == (2520, 120, None, 4908)
    assert (parts.local, parts.ue, parts.server) == (7428, 2640, 4908)


def test_batch_multiplies_every_equation() -> None:
    thrice = SIZE | {"B": 3}
    assert appendix_a.f_encoder(**thrice, L=3, n_out=5) == 3 * 2640
    assert appendix_a.f_decoder(**thrice, L=3, n_vocab=7) == 3 * 4908


def test_one_head_of_one_layer_has_no_slip_in_attention_and_vocabulary() -> None:
    single = replace(CODEC, heads=1)
    by_what = {slip.what: slip.flops for slip in slips(single, source_length=4, target_length=4, k=5)}
    assert by_what["S^2 term holds the heads twice"] == 0
    assert by_what["H for d_model = h H"] == 0


@given(
    heads=st.integers(1, 8),
    width=st.integers(1, 8),
    layers=st.integers(1, 6),
    d_ff=st.integers(1, 64),
    k=st.integers(1, 9),
    source=st.integers(1, 50),
    target=st.integers(1, 50),
)
@settings(max_examples=50, deadline=None)
def test_slips_add_up_to_corrected_minus_printed(
    heads: int, width: int, layers: int, d_ff: int, k: int, source: int, target: int
) -> None:
    codec = replace(CODEC, d_model=heads * width, heads=heads, layers=layers, d_ff=d_ff, k=(k, k + 3))
    printed = as_printed(codec, source_length=source, k=k)
    real = corrected(codec, source_length=source, target_length=target)
    found = slips(codec, source_length=source, target_length=target, k=k)
    for part in ("encoder", "jsc_encoder", "jsc_decoder", "decoder"):
        worth = sum(slip.flops for slip in found if slip.part == part)
        assert worth == getattr(real, part) - (getattr(printed, part) or 0)
