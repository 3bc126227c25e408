"""The training loop: exact resume, schedule, sandwich rule, early stopping, what is refused."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.full_disk import files_limited_to
from support.micro_media import image_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accuracy_maps.sweep.models import describe
from data.files.errors import ToolkitError
from data.files.record import Record
from data.files.tensors import read_metadata
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.codec.base import Codec
from deepsc.modality import modality
from deepsc.text.config import CorpusConfig, TextRunConfig
from deepsc.train import loop as training
from deepsc.train.links import draw_links, sandwich_k
from deepsc.train.loop import learning_rate_factor
from deepsc.train.run import train_codec

MakeRun = Callable[..., TextRunConfig]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_equal_tensors(one: Path, other: Path) -> None:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("channel", ["rayleigh", "none"])
def test_resumed_run_equals_the_undisturbed_one_bit_for_bit(make_run: MakeRun, channel: str) -> None:
    """Left off in the first epoch, between checkpoints, and again in the second; dropout is on."""
    schedule = {"channel": channel, "epochs": 3, "checkpoint_steps": 2}
    k = () if channel == "none" else (2, 4, 6)
    whole = make_run("whole", training=schedule, k=k)
    train_codec(whole)
    broken = make_run("broken", training=schedule, k=k)
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(broken, stop_after_steps=3)
    resumed = make_run("broken", training=schedule, k=k, resume=True)
    steps = json.loads(_header(whole, "state.safetensors")["position"])["step"]
    train_codec(resumed, stop_after_steps=steps // 2)
    train_codec(resumed)
    for name in ("model.safetensors", "state.safetensors"):
        assert_equal_tensors(Path(whole.output) / name, Path(broken.output) / name)
    assert _header(whole, "state.safetensors") == _header(broken, "state.safetensors")


def _header(config: TextRunConfig, name: str) -> dict[str, str]:
    return read_metadata(Path(config.output) / name)


def test_seed_decides_the_run(make_run: MakeRun) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_codec(make_run(name, training={"epochs": 1, "seed": seed}))
    weights = {name: load_file(Path(make_run(name).output) / "model.safetensors") for name in "abc"}
    assert all(torch.equal(weights["a"][name], weights["b"][name]) for name in weights["a"])
    assert any(not torch.equal(weights["a"][name], weights["c"][name]) for name in weights["a"])


def test_resume_of_another_run_is_refused_by_field(make_run: MakeRun) -> None:
    train_codec(make_run(training={"epochs": 1}))
    with pytest.raises(ToolkitError, match=r"output: .* holds a run already; give resume"):
        train_codec(make_run(training={"epochs": 1}))
    with pytest.raises(ToolkitError, match=r"training\.epochs was 1, is now 2$"):
        train_codec(make_run(training={"epochs": 2}, resume=True))


def test_training_learns_and_keeps_the_best_epoch(trained: Checkpoint, folders: dict[str, Path]) -> None:
    events = EventAccumulator(str(folders["codec"] / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("validation/loss")]
    assert len(losses) == trained.document["training"]["epochs"]
    assert min(losses) < 0.9 * losses[0]
    assert trained.metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert trained.metrics["epoch"] == losses.index(min(losses))
    assert {"train/loss", "train/learning_rate", "train/gradient_norm"} <= set(events.Tags()["scalars"])


def test_best_weights_stay_when_validation_gets_worse(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience counts epochs since the best one; the weights kept are those of that epoch."""
    losses = iter([3.0, 2.0, 2.5, 2.1, 2.2, 0.1])
    monkeypatch.setattr(training, "validation_loss", lambda *_args, **_options: next(losses))
    checkpoint = train_codec(make_run(training={"epochs": 6, "patience": 3}))
    assert checkpoint.metrics["epoch"] == 1
    assert checkpoint.metrics["validation_loss"] == 2.0
    assert next(losses) == 0.1, "stopped three epochs after the best, before the sixth"


def test_local_weights_initialise_the_codec(make_run: MakeRun, local: Checkpoint, folders: dict[str, Path]):
    config = make_run("codec", training={"epochs": 1, "learning_rate": 1e-9}, init_from=str(folders["local"]))
    codec = train_codec(config).codec
    for mine, theirs in zip(
        codec.transformer.parameters(), local.codec.transformer.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs), "the local model is kept as it is"
    energy = codec.jsc_encoder.points.square().mean(1)[codec.jsc_decoder.log_frequency.argsort()]
    assert energy[:300].mean() > 1.3 * energy[-60:].mean(), "started from the tokens' frequencies"
    assert from_pretrained(config.output).document["init_from"] == local.sha256


def test_no_epochs_keep_what_the_run_starts_from(
    make_run: MakeRun, trained: Checkpoint, folders: dict[str, Path]
) -> None:
    """A codec's own Transformer becomes a local model, so that a UE holds one."""
    kept = {"channel": "none", "epochs": 0}
    config = make_run("own", training=kept, k=(), init_from=str(folders["codec"]))
    for run in (config, dataclasses.replace(config, resume=True)):
        own = train_codec(run)
        assert own.codec.config.uplinks == ()
        assert own.document["init_from"] == trained.sha256
        for name, tensor in own.codec.state_dict().items():
            assert torch.equal(tensor, trained.codec.state_dict()[name]), name
        assert 0 < own.metrics["validation_loss"] < 10
    with pytest.raises(ToolkitError, match="none and a codec for init_from are needed"):
        make_run(training=kept, k=())
    with pytest.raises(ToolkitError, match="local is a local model, with epochs 0 a codec is allowed"):
        train_codec(make_run("none", training=kept, k=(), init_from=str(folders["local"])))


def test_provenance_tells_the_whole_history(make_run: MakeRun, folders: dict[str, Path]) -> None:
    first = json.loads((folders["local"] / "config.json").read_text())
    second = json.loads((folders["codec"] / "config.json").read_text())
    assert "initial" not in first["provenance"]
    config = make_run("third", training={"epochs": 1}, init_from=str(folders["codec"]))
    train_codec(config)
    third = train_codec(dataclasses.replace(config, resume=True))
    told = describe(third)["provenance"]["initial"]
    for wanted in (second, first):
        assert told["training"] == wanted["training"]
        assert told["init_from"] == wanted["init_from"]
        assert told["provenance"] == wanted["provenance"]
        told = told["provenance"].get("initial")
    assert told is None


def test_sandwich_rule_gives_a_third_each_to_the_ends() -> None:
    picks = torch.cat([sandwich_k((4, 8, 12, 16), 7, generator=seeded(i)) for i in range(3000)])
    share = {k: (picks == k).float().mean().item() for k in (4, 8, 12, 16)}
    assert share[4] == pytest.approx(1 / 3 + 1 / 12, abs=0.01)
    assert share[16] == pytest.approx(1 / 3 + 1 / 12, abs=0.01)
    assert share[8] == pytest.approx(1 / 12, abs=0.01)
    assert share[12] == pytest.approx(1 / 12, abs=0.01)
    batch = sandwich_k((4, 8, 12, 16), 30, generator=seeded())
    assert (batch == 4).sum() >= 10
    assert (batch == 16).sum() >= 10
    assert sandwich_k((16,), 5, generator=seeded()).tolist() == [16] * 5


@pytest.mark.parametrize("kind", ["text", "image"])
def test_local_models_of_text_and_images_attend_by_plain_products_on_a_cpu(
    kind: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backwards, torch's fused kernel takes longer there."""

    def fused(*_args: object, **_options: object) -> None:
        raise AssertionError("the fused kernel attended")

    schedule = {"channel": "none", "epochs": 1}
    run = image_run(tmp_path / "image", training=schedule) if kind == "image" else make_run(training=schedule)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fused)
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(run, stop_after_steps=1)


def test_link_draws_one_snr_an_item_uniform_in_db(trained: Checkpoint, make_run: MakeRun) -> None:
    config, codec = make_run().training, Codec()
    codec.config = trained.codec.config
    (link,) = draw_links(codec, config, (20_000,), seed=5, device=torch.device("cpu"))
    low, high = codec.config.snr_range_db
    assert low <= link.snr_db.min() < low + 0.1
    assert high - 0.1 < link.snr_db.max() <= high
    assert link.snr_db.mean().item() == pytest.approx((low + high) / 2, abs=0.2)
    assert link.snr_db.std().item() == pytest.approx((high - low) / 12**0.5, rel=0.02)
    (again,) = draw_links(codec, config, (20_000,), seed=5, device=torch.device("cpu"))
    assert torch.equal(link.snr_db, again.snr_db)
    assert torch.equal(link.k, again.k)


def test_schedule_warms_up_then_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, warmup_steps=10, total_steps=100) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))
    short = [learning_rate_factor(step, warmup_steps=10, total_steps=4) for step in range(4)]
    assert max(short) == 1, "a run shorter than its warm-up still reaches the peak"


def test_loss_that_is_not_finite_stops_the_run_and_names_the_flag(make_run: MakeRun) -> None:
    with pytest.raises(ToolkitError, match="learning_rate"):
        train_codec(make_run(training={"learning_rate": 1e30, "clip_norm": 1e30}))


def test_truncated_state_is_refused_and_left_alone(make_run: MakeRun, tmp_path: Path) -> None:
    config = make_run(training={"epochs": 2})
    train_codec(config, stop_after_steps=10**6)
    state = Path(config.output) / "state.safetensors"
    stored = state.read_bytes()
    for length in (0, 7, 500, len(stored) // 2, len(stored) - 1):
        shutil.copytree(config.output, tmp_path / "copy", dirs_exist_ok=True)
        damaged = tmp_path / "copy" / "state.safetensors"
        damaged.write_bytes(stored[:length])
        with pytest.raises(ToolkitError, match=r"state\.safetensors: damaged"):
            train_codec(make_run("copy", training={"epochs": 2}, resume=True))
        assert damaged.read_bytes() == stored[:length]


def test_a_folder_without_a_finished_step_may_be_used_again(make_run: MakeRun) -> None:
    """What advises a lower learning rate must not refuse the folder that it is tried in."""
    with pytest.raises(ToolkitError, match=r"try a lower learning_rate$"):
        train_codec(make_run(training={"learning_rate": 1e30, "clip_norm": 1e30}))
    folder = Path(make_run().output)
    (folder / "opus-mt-tokenizer").mkdir()  # of a failed run with other weights: not this one's tokenizer
    checkpoint = train_codec(make_run(training={"epochs": 1}))
    assert checkpoint.document["training"]["learning_rate"] == 1e-2
    with pytest.raises(ToolkitError, match="holds a run already"):
        train_codec(make_run(training={"epochs": 1}))


def test_a_folder_with_a_finished_step_is_kept(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolkitError, match="first epoch"):
        train_codec(make_run(training={"checkpoint_steps": 1}), stop_after_steps=1)
    with pytest.raises(ToolkitError, match="holds a run already"):
        train_codec(make_run(training={"checkpoint_steps": 1, "learning_rate": 1e-3}))
    monkeypatch.setattr(training, "shared_loss", lambda *_args, **_options: torch.tensor(float("nan")))
    with pytest.raises(ToolkitError, match=r"try a lower learning_rate, in another output"):
        train_codec(make_run(training={"checkpoint_steps": 1}, resume=True))


def test_a_foreign_folder_is_never_cleared(make_run: MakeRun) -> None:
    folder = Path(make_run().output)
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text('{"model_type": "marian"}')
    with pytest.raises(ToolkitError, match="holds a run already"):
        train_codec(make_run())
    assert (folder / "tokenizer.json").read_text() == '{"model_type": "marian"}'


@pytest.mark.parametrize("below", ["", "run"])
def test_an_output_that_is_a_file_is_refused_before_the_data_are_read(
    make_run: MakeRun, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    config = dataclasses.replace(
        make_run(corpus=CorpusConfig(dataset="none")), output=str(tmp_path / "file" / below)
    )
    with pytest.raises(ToolkitError, match=r"output: .*file is a file; a folder is allowed"):
        train_codec(config)


def test_a_step_that_memory_cannot_hold_is_one_line(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (
        MemoryError("no room"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    ):

        def full(*_args: object, error: Exception = error, **_options: object) -> None:
            raise error

        monkeypatch.setattr(training, "shared_loss", full)
        with pytest.raises(ToolkitError, match="batch_tokens"):
            train_codec(make_run(training={"epochs": 1}))


@pytest.mark.parametrize("at", [0, 3])
def test_the_record_keeps_every_point_whatever_the_resumes(make_run: MakeRun, at: int) -> None:
    """Left off at an epoch's end and resumed: the epoch's validation point stays, and no point is twice."""
    schedule = {"epochs": 3, "checkpoint_steps": 2}
    steps = len(modality("text").material(make_run(), None).batches()(0))
    train_codec(make_run("whole", training=schedule))
    train_codec(make_run("broken", training=schedule), stop_after_steps=steps + at)
    train_codec(make_run("broken", training=schedule, resume=True))
    whole, broken = (scalars(make_run(name)) for name in ("whole", "broken"))
    assert [step for step, _ in whole["validation/loss"]] == [steps, 2 * steps, 3 * steps]
    assert broken == whole


def scalars(config: TextRunConfig) -> dict[str, list[tuple[int, float]]]:
    """Points of a run's record, by name."""
    events = EventAccumulator(str(Path(config.output) / "tensorboard"))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in names}


@pytest.mark.parametrize("fault", ["removed", "full"])
def test_a_record_that_cannot_be_written_ends_with_a_warning(
    make_run: MakeRun, fault: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    add = Record.add

    def spoil(self: Record, name: str, value: float, *, step: int) -> None:
        if fault == "removed":
            shutil.rmtree(Path(make_run().output) / "tensorboard", ignore_errors=True)
            add(self, name, value, step=step)
        else:
            with files_limited_to(40):
                add(self, name, value, step=step)

    monkeypatch.setattr(Record, "add", spoil)
    checkpoint = train_codec(make_run(training={"epochs": 1}))
    assert checkpoint.metrics["epoch"] == 0
    assert sum("without a TensorBoard record" in line for line in caplog.messages) == 1
    assert "Traceback" not in capfd.readouterr().err
