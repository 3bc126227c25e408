"""Any module: closed form, counters and residuals, side by side."""

import json
import logging
from pathlib import Path

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils import flop_counter

from data.files.errors import ToolkitError
from profiling import Flops, Macs
from profiling.counted.copies import copied
from profiling.counted.library_models import hf_model, timm_model
from profiling.counted.residuals import (
    FLOP_COUNTER_MODE,
    FUSED,
    FVCORE,
    RECURRENT,
    SPARSE,
    Counted,
)
from profiling.profile import profile_model

META = torch.device("meta")


def counted(module: nn.Module, *inputs: Tensor, **options: bool) -> Counted:
    return profile_model(module, inputs, **options).counted[0]


def residuals(one: Counted, tool: str = FVCORE) -> dict[str, Flops]:
    return {residual.cause: residual.flops for residual in one.residuals() if residual.tool == tool}


class Attention(nn.Module):
    """Calls the fused kernel by a name of its own, which no patch reaches."""

    fused = staticmethod(nn.functional.scaled_dot_product_attention)

    def __init__(self, *, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        return self.fused(x, x, x, is_causal=self.causal)


def test_layers_of_every_kind_agree_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(6 * 16, 5), nn.Softmax(-1),
    ).to(META)  # fmt: skip
    one = counted(model, torch.empty(2, 4, 8, 8, device=META))
    assert one.closed == {"0": Macs(2 * 64 * 9 * 2 * 6), "5": Macs(2 * 96 * 5)}
    assert one.torch.modules == {path: macs.flops for path, macs in one.closed.items()}
    assert one.fvcore is not None
    assert one.fvcore.modules == one.closed
    assert one.products.elements.keys() == {"bias", "batch_norm", "relu", "max_pool2d", "softmax"}
    assert one.products.elements["bias"] == 2 * 6 * 64 + 2 * 5
    assert residuals(one)["MAC printed as one FLOP"] == Flops(Macs.total(one.closed.values()).count)


@given(
    dimension=st.integers(1, 3), groups=st.integers(1, 3), width=st.integers(1, 4), kernel=st.integers(1, 3),
    stride=st.integers(1, 2), transposed=st.booleans(),
)  # fmt: skip
@settings(max_examples=15, deadline=None, phases=(Phase.generate,))
def test_convolutions_agree(
    dimension: int, groups: int, width: int, kernel: int, stride: int, transposed: bool
) -> None:
    name = f"Conv{'Transpose' if transposed else ''}{dimension}d"
    layer = getattr(nn, name)(groups * width, 2 * groups, kernel, stride=stride, groups=groups)
    one = counted(layer, torch.zeros(1, groups * width, *(5,) * dimension))
    assert list(one.problems()) == []
    assert one.torch.total == one.corrected != Flops(0)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_that_fvcore_counts_as_zero_are_named(layer: type[nn.RNNBase]) -> None:
    one = counted(layer(8, 16, num_layers=2, bidirectional=True).to(META), torch.empty(5, 3, 8, device=META))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[layer.__name__]
    weights = 2 * gates * 16 * ((8 + 16) + (32 + 16))  # two directions, two layers
    assert one.torch.total == one.corrected == Macs(15 * weights).flops
    assert residuals(one)[f"{RECURRENT} counted as zero"] == one.corrected


def test_torch_transformer_has_no_fast_path_while_counted() -> None:
    layer = nn.TransformerEncoderLayer(
        32, 4, 64, batch_first=True
    ).eval()  # on the CPU, where it would take it
    one = counted(layer, torch.zeros(2, 10, 32))
    assert one.corrected == Flops(2 * 2 * (10 * (4 * 32**2 + 2 * 32 * 64) + 2 * 10 * 10 * 32))
    assert one.torch.total == one.corrected
    assert torch.backends.mha.get_fastpath_enabled()


def test_fused_attention_that_a_tool_counts_as_zero_is_named() -> None:
    one = counted(Attention(), torch.empty(1, 2, 6, 4, device=META))
    assert one.torch.total == one.corrected == Flops(2 * 2 * 2 * 6 * 6 * 4)
    assert residuals(one) == {"MAC printed as one FLOP": Flops(0), f"{FUSED} counted as zero": one.corrected}


class Sparse(nn.Module):
    """Multiplies by a matrix that is mostly zeros."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        dense = torch.zeros(6, 6).index_put(
            (torch.tensor([0, 2, 2, 5]), torch.tensor([1, 0, 5, 3])), torch.ones(4)
        )
        self.register_buffer("matrix", getattr(dense, f"to_{layout}")())
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x


@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
def test_a_sparse_matrix_counts_by_what_it_holds(layout: str) -> None:
    one = counted(Sparse(layout), torch.ones(6, 7))
    assert one.corrected == Macs(4 * 7).flops
    assert residuals(one, FLOP_COUNTER_MODE) == {SPARSE: Macs((4 - 36) * 7).flops}
    assert not list(one.problems())


def test_two_sparse_matrices_count_the_pairs_that_meet() -> None:
    class Square(Sparse):
        def forward(self, x: Tensor) -> Tensor:
            return (self.matrix @ self.matrix).to_dense() @ x

    # Column 1 meets row 1, which is empty; 0 meets a row of 1; 5 a row of 1; 3 an empty one.
    assert (
        counted(Square("sparse_csr"), torch.ones(6, 7), allow_uncounted=True).corrected
        == Macs(2 + 36 * 7).flops
    )


def test_a_causal_mask_counted_dense_is_named_with_its_worth() -> None:
    one = counted(Attention(causal=True), torch.empty(1, 2, 6, 4, device=META))
    assert one.products.masked["attention"].flops == Flops(2 * 2 * 2 * (6 * 5 // 2) * 4)


def test_functional_products_count_for_the_module_that_runs_them() -> None:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(x) @ x.transpose(1, 2)
            return torch.einsum("bij,bjk->bik", y, x) + torch.baddbmm(x, y, x)

    one = counted(Products().to(META), torch.empty(2, 5, 4, device=META))
    assert one.closed == {"inner": Macs(2 * 5 * 16), "": Macs(3 * 2 * 5 * 5 * 4)}
    assert list(one.problems()) == []
    assert residuals(one)["baddbmm counted as zero"] == Macs(200).flops


class Inner(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_layer_called_from_two_places_counts_once_for_itself() -> None:
    layer = nn.Linear(4, 4)
    one = counted(nn.Sequential(Inner(layer), Inner(layer)).to(META), torch.empty(3, 4, device=META))
    assert one.closed == {"0.layer": Macs(2 * 3 * 16)}
    assert one.torch.modules == {"0.layer": Flops(4 * 3 * 16)}
    assert list(one.problems()) == []


def test_a_parameter_may_be_a_modules_input_and_goes_on_learning() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(2, 4))
            self.layer = Inner(nn.Linear(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.layer(self.token)

    model = Token()
    model.layer.layer.bias.requires_grad_(False)
    assert counted(model, torch.zeros(2, 4)).torch.total == Flops(2 * 2 * 16)
    assert model.token.requires_grad
    assert not model.layer.layer.bias.requires_grad


def test_a_view_in_place_writes_nothing() -> None:
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().t_()

    one = counted(Turned(), torch.empty(2, 3, device=META))
    assert not one.products.elements
    assert not one.products.uncounted


def test_a_convolution_padded_by_name_that_fvcore_counts_as_zero_is_named() -> None:
    layer = nn.Conv2d(3, 4, 3, padding="same")
    one = counted(layer, torch.zeros(1, 3, 5, 5))
    assert one.torch.total == one.corrected == Macs(25 * 9 * 3 * 4).flops
    assert residuals(one)["convolution padded by name counted as zero"] == one.corrected


class Uncounted(nn.Module):
    """Work that FlopCounterMode has no formula for, and nobody here a name."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x).real


def test_an_unexplained_residual_is_an_error_unless_allowed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dict(flop_counter.flop_registry) | {torch.ops.aten.mm: lambda *args, **kwargs: 108}
    monkeypatch.setattr(flop_counter, "flop_registry", wrong)
    layer = nn.Linear(3, 3, bias=False)
    x = torch.zeros(1, 3)
    with pytest.raises(ToolkitError, match=r"the model itself.*gives 18 FLOPs, FlopCounterMode counts 108"):
        counted(layer, x)
    with caplog.at_level(logging.WARNING):
        one = counted(layer, x, allow_uncounted=True)
    assert residuals(one, "FlopCounterMode") == {"unexplained": Flops(-90)}
    assert "FlopCounterMode counts 108" in caplog.text


def test_an_uncounted_operator_is_an_error_unless_allowed() -> None:
    with pytest.raises(ToolkitError, match=r"uncounted operators aten\._fft.*allow_uncounted"):
        counted(Uncounted(), torch.zeros(4))
    assert counted(Uncounted(), torch.zeros(4), allow_uncounted=True).products.uncounted


def test_a_model_that_jit_cannot_trace_has_no_fvcore_column(caplog: pytest.LogCaptureFixture) -> None:
    class Choosy(nn.Module):
        def forward(self, x: Tensor) -> dict[str, object]:
            return {"answer": x @ x, "word": object()}

    one = counted(Choosy(), torch.zeros(2, 2))
    assert one.fvcore is None
    assert "fvcore cannot count Choosy" in caplog.text


def test_training_mode_is_given_back() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    profile_model(model, [torch.zeros(1, 3)])
    assert model.training


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "resnet18"])
def test_timm_models_agree(name: str) -> None:
    model = timm_model(name, image_size=96)
    one = counted(model.workload.module, *model.workload.inputs)
    assert list(one.problems()) == []
    assert one.fvcore is not None
    assert one.fvcore.total.flops == one.torch.total == one.corrected


def test_resnet50_is_4_1_gmac() -> None:
    model = timm_model("resnet50", image_size=224)
    assert model.parameters == 25_557_032
    one = counted(model.workload.module, *model.workload.inputs)
    assert one.corrected.count / 2e9 == pytest.approx(4.09, abs=5e-3)


CONFIGS = {
    "bert": {
        "model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 50,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50},
    "t5": {
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 16, "d_kv": 8,
        "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 50,
    },
    "vit": {
        "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 24, "image_size": 32, "patch_size": 8,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_models_from_a_transformers_config_agree(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS[name]))
    device = "cpu" if name == "gpt2" else "meta"  # transformers' decoder-only models look at values
    model = hf_model(str(path), source_length=6, target_length=4, device=device)
    one = counted(model.workload.module, *model.workload.inputs)
    assert list(one.problems()) == []
    assert one.torch.total == one.corrected
    assert one.fvcore is not None
    if name == "bert":  # encoder layers, the head's own layer, the vocabulary
        layer = 6 * (4 * 16 * 16 + 2 * 16 * 24) + 2 * 36 * 16
        assert one.corrected == Macs(2 * layer + 6 * 16 * 16 + 6 * 16 * 50).flops


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({"model_type": "altclip_text_model", "vocab_size": 99}, "AltCLIPTextModel), input_ids [6],"),
        ({"model_type": "wav2vec2"}, "Wav2Vec2Model), input_values [16000],"),
        ({"model_type": "speech_to_text"}, "input_features [6, 80], decoder_input_ids [4],"),
        ({"model_type": "videomae", "image_size": 32}, "VideoMAEModel), pixel_values [16, 3, 32, 32],"),
    ],
)
def test_a_transformers_model_gets_what_it_reads(
    tmp_path: Path, fields: dict[str, object], inputs: str
) -> None:
    small = {"hidden_size": 48, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 4,
             "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(small | fields))
    model = hf_model(str(tmp_path / "config.json"), source_length=6, target_length=4)
    assert inputs in f"{model.name},"
    copied(model.workload, META).run()


def hf_counted(tmp_path: Path, **fields: object) -> Counted:
    (tmp_path / "config.json").write_text(json.dumps(fields))
    model = hf_model(str(tmp_path / "config.json"), source_length=6, target_length=4)
    return counted(model.workload.module, *model.workload.inputs)


def test_a_config_may_hold_infinity_as_transformers_writes_it(tmp_path: Path) -> None:
    """mamba2's time steps have no upper limit."""
    fields = {
        "model_type": "mamba2", "hidden_size": 16, "num_heads": 4, "head_dim": 8, "num_hidden_layers": 1,
        "vocab_size": 50, "n_groups": 1, "state_size": 4,
    }  # fmt: skip
    limits = {"time_step_limit": [0.0, {"__float__": "Infinity"}]}
    one = hf_counted(tmp_path, **fields, **limits)
    assert one.corrected == hf_counted(tmp_path, **fields).corrected
    assert one.closed["layers.*.mixer.in_proj"] == Macs(6 * 16 * (32 + 32 + 2 * 4 + 4))


def test_paddings_in_buffers_keep_their_values(tmp_path: Path) -> None:
    """EnCodec's convolutions read theirs; as zeros they leave nothing of the sound."""
    one = hf_counted(
        tmp_path, model_type="encodec", num_filters=4, hidden_size=8, codebook_dim=8, codebook_size=16,
        num_lstm_layers=1, sampling_rate=3200, target_bandwidths=[1.5],
    )  # fmt: skip
    assert list(one.problems()) == []
    assert one.closed["encoder.layers.*.conv"].count > 3200 * 7 * 4


def test_a_model_may_give_a_plain_tensor(tmp_path: Path) -> None:
    one = hf_counted(
        tmp_path, model_type="flava_image_codebook", num_groups=2, hidden_size=4, num_blocks_per_group=1,
        vocab_size=16, image_size=16,
    )  # fmt: skip
    assert list(one.problems()) == []
    assert one.corrected.count > 0
