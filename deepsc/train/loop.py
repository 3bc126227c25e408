"""The training loop of every codec: AdamW, warm-up, bf16 autocast, early stopping, exact resume.

Nothing random outlives a step: batches follow from (seed, epoch), dropout, k, SNR and noise from (seed,
step). A run that was killed and resumed therefore does what the undisturbed run does, bit for bit.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.files.errors import ToolkitError
from data.files.paths import exists
from data.files.record import Record
from data.memory import keep_freed_memory
from data.settings import named
from data.terminal.progress import Progress, announced
from deepsc.checkpoint import (
    is_over,
    load_state,
    save_best,
    save_state,
)
from deepsc.codec.base import Batch, Codec
from deepsc.config import TrainConfig
from deepsc.link.transmission import Link
from deepsc.train.links import draw_links
from deepsc.train.pace import Pace
from deepsc.train.processes import Processes
from deepsc.train.workers import batches_from, workers_for

logger = logging.getLogger(__name__)


ALONE = Processes()


def learning_rate_factor(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Linear warm-up to 1, then cosine to 0 at `total_steps` and after; `step` counts from 0.

    A short run warms up in a fifth of its steps if `warmup_steps` are more.
    """
    warmup_steps = min(warmup_steps, total_steps // 5 + 1)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1)))


@torch.inference_mode()
def validation_loss(
    codec: Codec,
    batches: Sequence[Batch],
    config: TrainConfig,
    device: torch.device,
    processes: Processes = ALONE,
) -> float:
    """Mean of the loss in nats, of all `Codec.loss_terms`; same k, SNR and noise each call."""
    codec.eval()
    total = terms = 0.0
    with announced(f"validating: {len(batches)} batches"):
        for number in range(processes.rank, len(batches), processes.count):
            batch = batches[number]
            links = draw_links(codec, config, batch.sizes, seed=number, device=device)
            of_batch = codec.loss_terms(batch)
            total += codec.loss(batch.to(device), *links).item() * of_batch
            terms += of_batch
    codec.train()
    total, terms = processes.sum(torch.tensor((total, terms), dtype=torch.float64, device=device)).tolist()
    return total / terms


def shared_loss(
    codec: Codec,
    batch: Batch,
    links: Sequence[Link],
    processes: Processes,
    *,
    config: TrainConfig,
    device: torch.device,
) -> Tensor:
    """This process's part of the loss of a batch; the parts of all processes sum to the loss.

    Args:
        codec: the model.
        batch: of all processes.
        links: of the whole batch.
        processes: who shares it.
        config: of the run; what it says of the loss.
        device: where the codec is.

    Returns:
        Scalar.
    """
    how = {"label_smoothing": config.label_smoothing}
    if config.consistency:
        how["consistency"] = config.consistency
    if processes.count == 1:
        return codec.loss(batch.to(device), *links, **how)
    part, rows = batch.part(processes.rank, processes.count)
    share = codec.loss_terms(part) / codec.loss_terms(batch)
    if share == 0:  # fewer items than processes: the first one's are gone through for nothing
        part, rows = batch.part(0, processes.count)
    links = [
        dataclasses.replace(link, rows=items.to(device))
        for link, items in zip(links, rows[: len(links)], strict=True)
    ]
    return codec.loss(part.to(device), *links, **how) * share


def train(
    codec: Codec,
    *,
    config: TrainConfig,
    batches: Callable[[int], Sequence[Batch]],
    validation: Sequence[Batch],
    output: Path,
    resume: bool,
    stop_after_steps: int | None = None,
    processes: Processes = ALONE,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a codec on the device it is on; keep the best weights on validation data.

    Args:
        codec: the model, changed in place.
        config: the run.
        batches: training batches of an epoch, the same whenever asked for the same epoch.
        validation: validation batches.
        output: folder for model.safetensors, state.safetensors and tensorboard/.
        resume: continue from state.safetensors where there is one.
        stop_after_steps: leave off after so many steps of this call, as a kill would.
        processes: they share each batch. Dropout is drawn anew in each, all else as in one process.
        quiet: no progress.

    Returns:
        The last position: epoch, batch, step, best validation loss.

    Raises:
        ToolkitError: if the loss or its gradient is not finite, or the state cannot be read.
    """
    run = _Run(codec=codec, config=config, output=output, processes=processes)
    position = run.position
    if resume and run.resume() and is_over(config, position):
        return position
    processes.agree_on(codec)
    batches = lru_cache(maxsize=2)(batches)  # each epoch is dealt once; workers may be an epoch ahead
    if config.epochs == 0:
        run.end_epoch(validation)  # of what it starts from
        return position
    run.start(total_steps=config.epochs * len(batches(0)))
    steps_left = stop_after_steps if stop_after_steps is not None else math.inf
    stream = batches_from(
        batches, epoch=position["epoch"], batch=position["batch"], epochs=config.epochs,
        workers=workers_for(run.device, sharing=processes.on_this_machine),
    )  # fmt: skip
    with Progress(
        f"training {output}", total=run.total_steps, done=position["step"], unit="step",
        quiet=quiet,
    ) as progress:  # fmt: skip
        while not is_over(config, position):
            for _ in range(position["batch"], len(batches(position["epoch"]))):
                if steps_left <= 0:
                    return position
                steps_left -= 1
                run.step(next(stream), progress)
            run.end_epoch(validation)
    return position


@dataclass(kw_only=True)
class _Run:
    """What the steps of a training share."""

    codec: Codec
    config: TrainConfig
    output: Path
    processes: Processes
    total_steps: int = 0
    record: Record | None = None
    """None: another process writes."""

    def __post_init__(self) -> None:
        keep_freed_memory(bounded=False)
        self.device = next(self.codec.parameters()).device
        if self.device.type == "cpu":
            attend_by_plain_products(self.codec)
        self.optimizer = torch.optim.AdamW(
            self.codec.parameters(),
            lr=self.config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.config.weight_decay,
            fused=True,  # saves 0.1 s of a CPU in a step of DeiT-small (benchmarks/stem_steps.py)
        )
        self.position: dict[str, Any] = {
            "epoch": 0, "batch": 0, "step": 0, "best_loss": None, "best_epoch": -1,
        }  # fmt: skip
        """Where the run stands, changed in place."""
        self.pace = Pace()
        self.autocast = autocast_of(self.codec)

    def resume(self) -> bool:
        """Go on where the saved state stands; False where there is none."""
        if not exists(self.output / "state.safetensors"):
            return False
        self.position.update(load_state(self.output, self.codec, self.optimizer))
        logger.info("resumed at epoch %d, batch %d", self.position["epoch"], self.position["batch"])
        return True

    def start(self, *, total_steps: int) -> None:
        """Get ready for the first step of so many in all."""
        self.total_steps = total_steps
        if self.processes.writes:
            self.record = Record(self.output / "tensorboard", done=self.position["step"])
        self.codec.train()

    def step(self, batch: Batch, progress: Progress) -> None:
        """Take one step."""
        config, step = self.config, self.position["step"]
        step_seed = config.seed * 1_000_003 + step + 1
        rate = config.learning_rate * learning_rate_factor(
            step, warmup_steps=config.warmup_steps, total_steps=self.total_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Dropout has no generator argument.
        torch.manual_seed(dropout_seed(step_seed, self.processes.rank))
        links = draw_links(self.codec, config, batch.sizes, seed=step_seed, device=self.device)
        with self.autocast:
            part = shared_loss(self.codec, batch, links, self.processes, config=config, device=self.device)
        loss = self.processes.sum(part.detach()).item()
        _require_finite(loss, f"loss at step {step}", self.output)
        self.optimizer.zero_grad(set_to_none=True)
        part.backward()
        self.processes.sum_gradients(self.codec)
        norm = torch.nn.utils.clip_grad_norm_(self.codec.parameters(), config.clip_norm).item()
        _require_finite(norm, f"gradient at step {step}", self.output)
        self.optimizer.step()
        self.position |= {"step": step + 1, "batch": self.position["batch"] + 1}
        progress.update()
        if step % 10 == 0:
            scalars = {"train/loss": loss, "train/learning_rate": rate, "train/gradient_norm": norm}
            self._note(scalars)
            self.pace.look()
            progress.show(epoch=self.position["epoch"], loss=f"{loss:.3f}", best=self.position["best_loss"])
        if self.position["step"] % config.checkpoint_steps == 0:
            self._save()

    def end_epoch(self, validation: Sequence[Batch]) -> None:
        """Validate, and keep the weights if they are the best so far."""
        position, epoch = self.position, self.position["epoch"]
        with self.autocast:
            loss = validation_loss(self.codec, validation, self.config, self.device, self.processes)
        _require_finite(loss, f"validation loss after step {position['step']}", self.output)
        self._note({"validation/loss": loss})
        logger.info("epoch %d: validation loss %.4f", epoch, loss)
        position |= {"epoch": epoch + 1, "batch": 0}
        if position["best_loss"] is None or loss < position["best_loss"]:
            position |= {"best_loss": loss, "best_epoch": epoch}
            if self.processes.writes:
                metrics = {"epoch": epoch, "step": position["step"], "validation_loss": loss}
                save_best(self.output, self.codec, metrics)
        self._save()

    def _note(self, scalars: Mapping[str, float]) -> None:
        if self.record is not None:
            for name, value in scalars.items():
                self.record.add(name, value, step=self.position["step"])

    def _save(self) -> None:
        if self.processes.writes:
            save_state(self.output, self.codec, self.optimizer, self.position)


def dropout_seed(step_seed: int, rank: int) -> int:
    """Seed of one process's dropout: of the step alone for the first, another for each of the others.

    torch's CPU generator reads the low 32 bits of a seed, so the rank goes there.
    """
    return step_seed + rank * 2_654_435_761


def _require_finite(value: float, what: str, output: Path) -> None:
    if not math.isfinite(value):
        # A folder without a finished state may be used again, see `deepsc.train.run`.
        where = f", in another {named('output')}" if exists(output / "state.safetensors") else ""
        raise ToolkitError(f"{what} is {value}; try a lower {named('learning_rate')}{where}")


def autocast_of(codec: Codec) -> torch.autocast:
    """Context in which a training computes products in bf16, where that is supported and faster."""
    kind = next(codec.parameters()).device.type
    if kind == "cuda":
        helps = torch.cuda.is_bf16_supported()
    else:
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        # Without the instructions bf16 is emulated, and slower; a small model loses more by the casts.
        helps = bool(supported()) and sum(p.numel() for p in codec.parameters()) > 2_000_000
    return torch.autocast(kind, torch.bfloat16, enabled=helps)


def attend_by_plain_products(codec: Codec) -> None:
    """Have timm's blocks and transformers' models attend without torch's fused kernel; torch's own keep it.

    On a CPU its backward pass takes longer than the plain products': 22 % of a step of DeiT-small of depth 6
    at 65 tokens, against 4 % (torch.profiler; a step of 64 images takes 1.63 s for 2.09 s, one core, bf16).
    Of text models: `benchmarks/text_steps.py`.
    """
    for module in codec.modules():
        if "fused_attn" in vars(module):
            vars(module)["fused_attn"] = False
        set_attention = getattr(module, "set_attn_implementation", None)
        if set_attention is not None:
            set_attention("eager")
