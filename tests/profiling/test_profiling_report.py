"""Side by side: residuals are named, disagreement is an error."""

from dataclasses import replace

import pytest

from data.artifacts import ToolkitError
from deepsc.config import TextCodecConfig
from profiling import Decoding, closed_form, report
from profiling.report import TextProfile, profile_text

TINY = TextCodecConfig.from_preset("tiny", k=(4, 16))


@pytest.fixture(scope="module")
def profile() -> TextProfile:
    return profile_text(TINY, k=4, source_length=5, target_length=3)


def test_both_counters_agree_with_the_closed_form(profile: TextProfile) -> None:
    for part in ("encoder", "jsc_encoder", "jsc_decoder", "decoder"):
        assert profile.flop_counter[part].matrix_flops == getattr(profile.corrected, part)
        assert profile.fvcore[part].matrix_flops == getattr(profile.corrected, part)
        for counts in (profile.flop_counter[part], profile.fvcore[part]):
            assert sum(counts.by_operator.values()) == counts.matrix_flops


def test_fvcore_residual_is_layer_norm_at_5_per_element(profile: TextProfile) -> None:
    assert profile.fvcore["encoder"].estimated == {"layer_norm": 5 * TINY.layers * 2 * 5 * TINY.d_model}
    assert profile.fvcore["decoder"].estimated == {"layer_norm": 5 * TINY.layers * 3 * 3 * TINY.d_model}
    assert profile.flop_counter["encoder"].estimated == {}


def test_operators_passed_over_are_named_with_their_size(profile: TextProfile) -> None:
    passed_over = profile.flop_counter["encoder"].not_counted
    assert passed_over["aten._softmax"] == TINY.layers * TINY.heads * 5 * 5
    assert passed_over["aten.silu"] == TINY.layers * 5 * TINY.d_ff
    assert not any(word in name for name in passed_over for word in ("mm", "scaled_dot", "linear", "matmul"))
    assert profile.fvcore["encoder"].not_counted["aten::softmax"] == TINY.layers


def test_shares_are_sums_of_parts(profile: TextProfile) -> None:
    file = profile.flops_file({})
    parts = profile.corrected
    assert parts.jsc_decoder is not None
    assert file.local_flops == parts.encoder + parts.decoder
    assert file.ue_flops == parts.encoder + parts.jsc_encoder
    assert file.server_flops == parts.jsc_decoder + parts.decoder
    assert (file.decoding, file.k, file.model) == ("greedy, KV cache", 4, TINY.model_name)
    for mode in Decoding:
        closed = closed_form.decoder_flops(TINY, source_length=5, target_length=3, decoding=mode)
        assert profile.decoder_by_mode[mode] == closed


def test_what_appendix_a_leaves_out_is_not_zero_in_the_table(profile: TextProfile) -> None:
    row = next(line for line in profile.table().splitlines() if line.startswith("JSC decoder"))
    assert "not counted" in row
    assert profile.flops_file({}).breakdown["as_printed"]["jsc_decoder"] is None


def test_a_count_that_differs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_two(*args: object, **kwargs: object) -> object:
        parts = closed_form.corrected(*args, **kwargs)  # type: ignore[arg-type]
        return replace(parts, encoder=parts.encoder + 2)

    monkeypatch.setattr(report, "corrected", off_by_two)
    with pytest.raises(ToolkitError, match=r"encoder: the closed form gives .* FlopCounterMode counts"):
        profile_text(TINY, k=4, source_length=2, target_length=1)
