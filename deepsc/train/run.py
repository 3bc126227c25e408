"""A training run of any codec, from data to checkpoint."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from data.device import device_name
from data.files.atomic import remove_unfinished
from data.files.errors import ToolkitError, parsing
from data.files.lock import LOCK_NAME, locked
from data.files.paths import exists, is_folder
from data.files.provenance import provenance, sha256_of
from data.files.runs import Identity
from data.settings import named
from data.text.tokenizer import OpusMTTokenizer
from deepsc.checkpoint import (
    WEIGHTS,
    config_beside,
    from_pretrained,
    model_sha256,
    read_config,
    write_config,
)
from deepsc.codec.base import Codec
from deepsc.codec.config import CodecConfig
from deepsc.config import RunConfig
from deepsc.modality import Checkpoint, Material, modality
from deepsc.train.loop import train
from deepsc.train.processes import Processes, join
from deepsc.zoo.find import resolve

logger = logging.getLogger(__name__)


def train_codec(config: RunConfig, *, stop_after_steps: int | None = None, wait_s: float = 0.0) -> Checkpoint:
    """Train a codec, or resume its training; see `RunConfig`.

    Several processes started by `accelerate launch` or torchrun share each batch; see
    `deepsc.train.processes`.

    Args:
        config: the run.
        stop_after_steps: leave off after so many steps, as a kill would.
        wait_s: how long to wait for another process that writes to the run's folder; see `data.files.lock`.

    Returns:
        The best checkpoint so far.

    Raises:
        ToolkitError: on any mistake of the user's; then nothing half-written is left.
    """
    _require_folder(Path(config.output))
    with _memory_error_in_a_line(), join(config.device) as (processes, device):
        return _train_codec(config, processes, device, stop_after_steps, wait_s)


def _train_codec(
    config: RunConfig, processes: Processes, device: str, stop_after_steps: int | None, wait_s: float
) -> Checkpoint:
    kind = modality(config.modality)
    initial = None
    if config.init_from:
        part: Final = "local" if config.training.epochs else "codec"
        initial = from_pretrained(resolve(config.init_from, part, setting="init_from"))
        _require_same_model(config, initial)
    logger.info("reading the data")
    material = kind.material(config, initial)
    _require_dropout(config, material.codec_config)
    start = _start(config, initial, material.weights_file)
    fields = _description(config, material, start[0])
    logger.info("preparing the batches")
    batches, validation = material.batches(), material.validation()
    output = Path(config.output)
    with _alone(output, processes, device, wait_s):
        _claim_output(output, fields, starts=start, may_lack=material.description, resume=config.resume)
        processes.wait()  # until everyone has seen the output as it was
        if processes.writes:
            remove_unfinished(output)
            if _is_untrained(output):
                _clear_untrained(output)
        if processes.writes and not exists(output / "config.json"):
            origin = provenance(
                config=config.to_dict(),
                seed=config.training.seed,
                data_sha256=material.dataset.sha256,
                device=device_name(device),
                **_history(config, initial, material.weights_file),
            )
            if material.tokenizer is not None:
                material.tokenizer.save(output)
            write_config(output, fields | {"provenance": origin})
        logger.info("building the model")
        torch.manual_seed(config.training.seed)  # initial weights
        codec = kind.codec(material.codec_config)
        weights = initial.codec.state_dict() if initial else material.weights
        start_from(codec, weights)
        codec.to(device)
        if weights and codec.config.uplinks:
            codec.freeze_local()
        if codec.config.uplinks and not exists(output / "state.safetensors"):
            logger.info("starting the JSC codec from the training data")
            codec.start(batches(0), from_local=bool(weights))
        train(
            codec,
            config=config.training,
            batches=batches,
            validation=validation,
            output=output,
            resume=config.resume,
            stop_after_steps=stop_after_steps,
            processes=processes,
        )
        processes.wait()  # until the first has written
        return from_pretrained(output, device=device)


def _description(config: RunConfig, material: Material, start: str | None) -> dict[str, Any]:
    """What config.json says of a run, its provenance aside."""
    return {
        "modality": config.modality,
        "task": config.task,
        "dataset": material.dataset.name,
        "synthetic": material.dataset.synthetic,
        "corpus": dataclasses.asdict(config.corpus) | {"data_dir": None},
        "codec": material.codec_config.to_dict(),
        "training": config.training.to_dict(),
        "init_from": start,
        **material.description,
    }


@contextmanager
def _alone(output: Path, processes: Processes, device: str, wait_s: float) -> Iterator[None]:
    """Have the process that writes lock the folder of a run; if it cannot, all of the run end."""
    with ExitStack() as stack:
        refused = None
        if processes.writes:
            try:
                stack.enter_context(locked(output / LOCK_NAME, wait_s=wait_s))
            except ToolkitError as error:
                refused = error
        if processes.sum(torch.tensor(int(refused is not None), device=device)):
            raise refused or ToolkitError(f"{output}: another process writes there")
        yield


def _history(config: RunConfig, initial: Checkpoint | None, weights: Path | None) -> dict[str, Any]:
    """`initial`: how the checkpoint that a run starts from was trained, with that one's own `initial`.

    Empty if it starts from none.
    """
    if initial is not None:
        folder, document = Path(str(config.init_from)), initial.document
    elif weights is not None and (found := config_beside(weights)) is not None:
        folder, document = weights.parent, found
    else:
        return {}
    with parsing(folder / "config.json"):
        return {"initial": {name: document[name] for name in ("training", "init_from", "provenance")}}


def _require_same_model(config: RunConfig, initial: Checkpoint) -> None:
    """Check that a run asks for the model that it starts from; its preset brings the schedule, too."""
    if (theirs := initial.modality.name) != config.modality:
        raise ToolkitError(
            f"{named('init_from')}: {config.init_from} is of modality {theirs}, {config.modality} is allowed"
        )
    model = initial.codec.config
    if config.training.epochs == 0 and not model.uplinks:
        raise ToolkitError(
            f"{named('init_from')}: {config.init_from} is a local model, with {named('epochs')} 0 a codec is "
            "allowed"
        )
    wanted: dict[str, Any] = dict(config.sizes)
    if model.preset in config.presets:  # else its name is that of pretrained weights
        wanted["preset"] = config.preset
    for name, value in wanted.items():
        if (size := getattr(model, name)) != value:
            start = f"{named('init_from')} {config.init_from}"
            how = "given, or by default" if name == "preset" else "given"
            raise ToolkitError(f"{named(name)}: {value!r} {how}, {start} has {size!r}")


def _require_dropout(config: RunConfig, codec: CodecConfig) -> None:
    """Check that two passes of a model differ where they are to agree."""
    shares = [getattr(codec, name) for name in ("dropout", "drop_path") if hasattr(codec, name)]
    if config.training.consistency and shares and not any(shares):
        raise ToolkitError(
            f"{named('training.consistency')}: {config.training.consistency:g} given, without dropout both "
            "passes are alike"
        )


def start_from(codec: Codec, weights: Mapping[str, Tensor]) -> None:
    """Put weights in place, all but those of JSC codecs, which belong to their own k and SNRs.

    Raises:
        ToolkitError: if they do not fit.
    """
    wanted = {name: tensor for name, tensor in weights.items() if "jsc_" not in name}
    try:
        unexpected = codec.load_state_dict(wanted, strict=False).unexpected_keys
    except RuntimeError as error:
        raise ToolkitError(f"the weights to start from do not fit the model ({error})") from error
    if unexpected:
        raise ToolkitError(f"the weights to start from have no place in the model: {', '.join(unexpected)}")


def _require_folder(output: Path) -> None:
    """Check that a run can have its folder, before the data are read.

    Raises:
        ToolkitError: if it is a file, or lies below one.
    """
    for path in (output, *output.parents):
        if exists(path) and not is_folder(path):
            raise ToolkitError(
                f"{named('output')}: {output} given, but {path} is a file; a folder is allowed"
            )


@contextmanager
def _memory_error_in_a_line() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        cpu = any(text in str(error) for text in ("allocate memory", "not enough memory"))
        full = cpu or isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not full:
            raise
        raise ToolkitError(
            f"the run does not fit into memory; a lower {named('batch_tokens')} or a smaller "
            f"{named('preset')} may ({error})"
        ) from error


def _is_untrained(output: Path) -> bool:
    """Whether a folder holds a run that failed or was killed before it had saved anything of its training."""
    if any(exists(output / name) for name in ("state.safetensors", WEIGHTS)):
        return False
    try:
        read_config(output)
    except ToolkitError:  # none, or none of ours
        return False
    return True


def _clear_untrained(output: Path) -> None:
    """Remove what such a run has left, so that another may take its folder."""
    shutil.rmtree(output / OpusMTTokenizer.folder, ignore_errors=True)
    for name in ("tokenizer.json", "config.json"):  # the last is what tells that the others are ours
        (output / name).unlink(missing_ok=True)


def _start(config: RunConfig, initial: Checkpoint | None, weights: Path | None) -> tuple[str | None, ...]:
    """What tells the weights that a run starts from, and what earlier releases told them by.

    Published weights are told by their file, or by their name where that is not known.
    """
    if initial is not None:
        return initial.sha256, initial.file_sha256
    if weights is None:
        return (config.pretrained,)
    if config_beside(weights) is not None:
        return model_sha256(weights), sha256_of(weights)
    return (sha256_of(weights),)


def _claim_output(
    output: Path,
    fields: Mapping[str, Any],
    *,
    starts: Sequence[str | None],
    may_lack: Mapping[str, Any],
    resume: bool,
) -> None:
    """Make sure that `output` is free, or holds this very run and is to be resumed.

    Args:
        output: the run's folder.
        fields: what its config.json would say.
        starts: all that a config.json of this run may say of its start.
        may_lack: fields that earlier releases did not write.
        resume: whether a run there is to be resumed.

    Raises:
        ToolkitError: if it cannot be had.
    """
    if not exists(output / "config.json") or _is_untrained(output):
        return
    if not resume:
        raise ToolkitError(
            f"{named('output')}: {output} holds a run already; give {named('resume')} to go on, or another "
            "folder"
        )
    document = {**may_lack, **read_config(output)}
    if document.get("init_from") in starts:
        fields = {**fields, "init_from": document["init_from"]}
    stored = Identity.of({name: value for name, value in document.items() if name in fields})
    if changes := Identity.of(fields).changes(stored):
        raise ToolkitError(f"{named('resume')}: {output} holds another run: {changes}")
