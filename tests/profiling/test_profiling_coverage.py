"""Models that are not ours, counted by the operators they dispatch, and left as they were."""

import json
import random
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from data.files.errors import ToolkitError
from profiling import report
from profiling.command import main
from profiling.counted.residuals import (
    ANOTHER_FORMULA,
    COMPLEX,
    EINSUM,
    FLOP_COUNTER_MODE,
    FVCORE,
    RECURRENT,
    UNEXPLAINED,
    Counted,
)
from profiling.profile import profile_model
from profiling.units import Macs

F, zeros = nn.functional, torch.zeros
IMAGE, ROWS = zeros(1, 3, 8, 8), zeros(2, 4)


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def counted(module: nn.Module | Callable[..., Any], *inputs: Any, **options: bool) -> Counted:
    module = module if isinstance(module, nn.Module) else Call(module)
    return profile_model(module, inputs, **options).counted[0]


def residuals(one: Counted, tool: str) -> dict[str, int]:
    return {residual.cause: residual.flops.count for residual in one.residuals() if residual.tool == tool}


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda p, q: torch.matmul(p, other=q), (zeros(4, 5), zeros(5, 6))),
        (lambda p, q: torch.mm(p, mat2=q), (zeros(4, 5), zeros(5, 6))),
        (lambda p, q: F.linear(input=p, weight=q), (zeros(4, 5), zeros(6, 5))),
        (lambda r, p, q: r.addmm(mat1=p, mat2=q), (zeros(4, 6), zeros(4, 5), zeros(5, 6))),
        (lambda p, q: F.conv1d(input=p, weight=q), (zeros(1, 5, 4), zeros(6, 5, 1))),
        (lambda p, q: torch.ops.aten.mm(self=p, mat2=q), (zeros(4, 5), zeros(5, 6))),
        (lambda p, q: torch.tensordot(p, q, dims=([1], [0])), (zeros(4, 5), zeros(5, 6))),
        (lambda p, q: torch.vmap(lambda row: row @ q)(p), (zeros(4, 5), zeros(5, 6))),
        (torch.inference_mode()(torch.mm), (zeros(4, 5), zeros(5, 6))),
    ],
)
def test_a_product_counts_however_it_is_called(function: Any, inputs: tuple[Tensor, ...]) -> None:
    assert counted(function, *inputs).corrected.count == 2 * 4 * 5 * 6


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("bij,jk->bik", [(3, 101, 103), (103, 107)], 3 * 101 * 103 * 107),
        ("...id,...jd->...ij", [(2, 3, 5, 4), (2, 3, 6, 4)], 2 * 3 * 5 * 6 * 4),
        ("bn,bn->bn", [(2, 3), (2, 3)], 0),
        ("i,j->ij", [(2,), (3,)], 0),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], 2 * 3 * 4 + 2 * 4 * 5),
        ("ii->i", [(3, 3)], 0),
    ],
)
def test_einsum_of_any_form(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    one = counted(lambda *x: torch.einsum(equation, *x), *map(zeros, shapes))
    assert one.corrected.count == 2 * macs
    assert residuals(one, FLOP_COUNTER_MODE) == {}
    assert UNEXPLAINED not in residuals(one, FVCORE)


def test_fvcores_rounded_einsum_is_named() -> None:
    one = counted(lambda p, q: torch.einsum("bij,jk->bik", p, q), zeros(3, 101, 103), zeros(103, 107))
    assert residuals(one, FVCORE)[EINSUM] == 2 * 3 * 101 * 103 * 107 - 6679000


def test_an_einsum_further_off_than_its_rounding_is_not_called_rounded() -> None:
    one = counted(lambda p, q: torch.einsum("bij,jk->bik", p, q), zeros(3, 101, 103), zeros(103, 107))
    assert one.fvcore is not None
    wrong = replace(one.fvcore, operators={"einsum": Macs(6675000)}, modules={"": Macs(6675000)})
    causes = residuals(replace(one, fvcore=wrong), FVCORE)
    assert EINSUM not in causes
    assert ANOTHER_FORMULA in causes


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda a, b: torch.einsum("bi,bi->b", a, b), (2, 5)),
        (torch.linalg.vecdot, (2, 5)),
        (lambda a, b: torch.linalg.vecdot(a, b, dim=0), (5, 2)),
    ],
)
def test_dot_products_count_alike(function: Any, shape: tuple[int, ...]) -> None:
    one = counted(function, zeros(shape), zeros(shape))
    assert one.corrected.count == 20
    assert list(one.problems()) == []
    assert UNEXPLAINED not in residuals(one, FVCORE)


class Packed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(pack_padded_sequence(x, [5, 3, 2]))[0].data


@pytest.mark.parametrize(
    ("module", "steps", "gates"),
    [
        (nn.LSTM(8, 16), 15, 4), (nn.GRU(8, 16), 15, 3), (nn.RNN(8, 16), 15, 1),
        (Packed(nn.LSTM(8, 16)), 10, 4), (Packed(nn.GRU(8, 16)), 10, 3), (Packed(nn.RNN(8, 16)), 10, 1),
    ],
)  # fmt: skip
def test_recurrent_layers_on_the_cpu(module: nn.Module, steps: int, gates: int) -> None:
    one = counted(module, zeros(5, 3, 8))
    assert one.corrected.count == 2 * steps * gates * 16 * (8 + 16)
    assert residuals(one, FLOP_COUNTER_MODE) == {}
    if one.fvcore is not None:
        assert residuals(one, FVCORE)[f"{RECURRENT} counted as zero"] == one.corrected.count


@pytest.mark.parametrize("order", [[5, 3, 2], [2, 5, 3]])
def test_a_packed_sequence_as_input(order: list[int]) -> None:
    packed = pack_padded_sequence(zeros(5, 3, 8), order, enforce_sorted=False)
    assert counted(nn.LSTM(8, 16), packed).corrected.count == 2 * 10 * 4 * 16 * 24
    assert isinstance(packed, PackedSequence)
    assert packed.data.device == packed.batch_sizes.device == torch.device("cpu")


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_recurrent_cells(cell: type[nn.Module], gates: int) -> None:
    assert counted(cell(8, 16), zeros(3, 8)).corrected.count == 2 * 3 * gates * 16 * 24


@pytest.mark.parametrize("option", ["add_bias_kv", "add_zero_attn"])
def test_attention_with_an_extra_key(option: str) -> None:
    layer = nn.MultiheadAttention(8, 2, **{option: True})
    one = counted(layer, zeros(5, 3, 8), zeros(7, 3, 8), zeros(7, 3, 8))
    assert one.corrected.count == 2 * (2 * 3 * 5 * 64 + 2 * 3 * 7 * 64 + 2 * 3 * 5 * (7 + 1) * 8)


class Ranged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.profiler.record_function("block"):
            return self.fc(x)


@pytest.mark.parametrize(
    ("module", "inputs", "macs"),
    [
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (IMAGE,), 64 * 27 * 4),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"), (IMAGE,), 64 * 27 * 4),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (IMAGE,), 64 * 27 * 4),
        (nn.Sequential(nn.Unfold(2), nn.Fold((8, 8), 2)), (IMAGE,), 0),
        (nn.PixelUnshuffle(2), (IMAGE,), 0),
        (nn.RReLU(), (IMAGE,), 0),
        (Call(lambda x: x.roll((1, 2), (2, 3))), (IMAGE,), 0),
        (nn.LogSigmoid(), (IMAGE,), 0),
        (nn.AdaptiveMaxPool2d(3), (IMAGE,), 0),
        (nn.EmbeddingBag(9, 4), (zeros(2, 3, dtype=torch.long),), 0),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), (zeros(1, 3),), 9),
        (Ranged(), (zeros(1, 3),), 9),
        (nn.DataParallel(nn.Linear(3, 3)), (zeros(1, 3),), 9),
        (Call(lambda a, b: a @ b), (zeros(4, 5), zeros(5)), 20),
        (Call(lambda a: a[0] @ a[1]), (ROWS,), 4),
        (nn.Bilinear(4, 4, 5), (ROWS, ROWS), 2 * 5 * 4 * 4 + 2 * 5 * 4),
        (nn.LazyLinear(3), (ROWS,), 2 * 4 * 3),
        (torch.compile(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), backend="eager"), (zeros(3, 8),), 3 * 64),
        (nn.Sequential(torch.compile(nn.Linear(8, 8), backend="eager")), (zeros(3, 8),), 3 * 64),
        (torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU())), (zeros(3, 8),), 3 * 64),
        (nn.Linear(4, 5), (zeros(0, 4),), 0),
    ],
)
def test_ordinary_layers_are_counted(module: nn.Module, inputs: tuple[Tensor, ...], macs: int) -> None:
    one = counted(module, *inputs)
    assert one.corrected.count == 2 * macs
    assert list(one.problems()) == []


@pytest.mark.parametrize(
    ("module", "inputs", "macs"),
    [
        (nn.Linear(5, 6, dtype=torch.cfloat), (zeros(4, 5, dtype=torch.cfloat),), 4 * 5 * 6),
        (nn.Conv1d(5, 6, 1, dtype=torch.cfloat), (zeros(1, 5, 4, dtype=torch.cfloat),), 4 * 5 * 6),
        (Call(torch.bmm), [zeros(2, 3, 3, dtype=torch.cdouble)] * 2, 2 * 27),
    ],
)
def test_a_complex_multiply_add_is_four_real_ones(module: nn.Module, inputs: Any, macs: int) -> None:
    one = counted(module, *inputs)
    assert one.corrected.count == 8 * macs
    assert COMPLEX in residuals(one, FLOP_COUNTER_MODE)


@pytest.mark.parametrize(("module", "x"), [(nn.ReLU(), zeros(2, 3)), (nn.Linear(4, 5), zeros(0, 4))])
def test_tables_of_a_model_without_products(module: nn.Module, x: Tensor) -> None:
    tables = report.tables(profile_model(module, [x]))
    row = next(row for table in tables for row in table.rows if row[0] == "corrected")
    assert row[1:] == ("0.000", "–")


class HalfTokens(nn.Module):
    """A size is a tensor while jit traces."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.mask = zeros(6, requires_grad=True) * 2  # neither parameter nor buffer, and no leaf

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x[:, : round(x.shape[1] * 0.5)])


class Values(nn.Module):
    """Looks at values, draws at random, and changes its input, its buffers and itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("steps", zeros(()))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.steps += 1
        x += torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002  numpy's global generator
        return self.norm(x) if x.sum() > -1e9 else x


class Broken(Values):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise RuntimeError("broken")


def _state(module: nn.Module, x: Tensor) -> Any:
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]
    tensors = dict(module.named_parameters()) | dict(module.named_buffers()) | {"input": x}
    return (
        {name: (id(t), t.device, t.requires_grad, t.grad, t.tolist()) for name, t in tensors.items()},
        [(id(m), type(m), m.training, m.__dict__.get("calls")) for m in module.modules()],
        hooks, torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.is_grad_enabled(), torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled(),
        F.scaled_dot_product_attention,
    )  # fmt: skip


_FROZEN = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout()).train()
_FROZEN[1].eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (HalfTokens(), zeros(1, 6, 8)),
        (nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)), zeros(1, 2, 2, 2, 2, 8)),
        (nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)), zeros(8)),
        (_FROZEN, zeros(3, 8)),
        (nn.Sequential(nn.Dropout(), nn.ReLU(inplace=True)).train(), torch.full((2, 8), -1.0)),
        (Values(), zeros(3, 8)),
        (Broken(), zeros(3, 8)),
        (Call(torch.linalg.svdvals), torch.eye(3)),
    ],
)
def test_the_model_is_left_as_it_was(module: nn.Module, x: Tensor) -> None:
    before = _state(module, x)
    try:
        profile_model(module, [x])
    except (ToolkitError, RuntimeError) as error:
        assert "linalg_svd" in str(error) or "broken" in str(error)  # noqa: PT017  either outcome leaves it
    assert _state(module, x) == before


GLOBAL, _RELU = nn.BatchNorm1d(8), nn.ReLU()


class Shared(nn.Module):
    """Reaches modules by what a copy does not follow."""

    def __init__(self, way: str, *, looks: bool) -> None:
        super().__init__()
        self.lin, self.bn = nn.Linear(8, 8), nn.BatchNorm1d(8)
        own = weakref.ref(self)
        self.run: Callable[[Tensor], Tensor] = {
            "closure": lambda x: self.lin(self.bn(x)),
            "weak reference": lambda x: own().bn(x),
            "global": lambda x: GLOBAL(x),
        }[way]
        self.looks = looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks and x.sum() > 1e9:  # on the CPU alone
            return x
        return self.run(x)


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("way", ["closure", "weak reference", "global"])
def test_a_model_whose_copy_would_run_the_original_is_refused(way: str, looks: bool) -> None:
    module = Shared(way, looks=looks).train()
    every, x = nn.ModuleList([module, GLOBAL]), torch.ones(3, 8)
    before = _state(every, x)
    with pytest.raises(ToolkitError, match=f"Shared: the model calls a module that its copy .*{way}.*BatchN"):
        counted(module, x)
    assert _state(every, x) == before
    assert not nn.modules.module._global_forward_pre_hooks


def test_modules_in_lists_and_made_on_the_way_are_counted() -> None:
    class Loose(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(8, 8)]

        def forward(self, x: Tensor) -> Tensor:
            return nn.Linear(8, 4, device=x.device)(_RELU(self.layers[0](x)))

    assert counted(Loose(), zeros(3, 8)).corrected.count == 2 * 3 * 8 * (8 + 4)


def test_a_model_that_cannot_be_copied_is_refused_in_one_line() -> None:
    module = Call(lambda x: x)
    module.lock = __import__("threading").Lock()
    with pytest.raises(ToolkitError, match="Call: Python cannot copy it"):
        counted(module, ROWS)


def test_gradients_taken_in_the_forward_pass_are_counted() -> None:
    def forces(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad((x @ x.T).sum(), x)[0]

    assert counted(forces, ROWS).corrected.count == 3 * 2 * (2 * 2 * 4)


def test_bloom_is_counted_module_by_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    config = {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99}
    path.write_text(json.dumps(config))
    assert main(["--hf-config", str(path), "--source-length", "20", "--detail"]) == 0
    assert "h.*.self_attention.query_key_value" in capsys.readouterr().out
