"""A training run of the text codec, from corpus to checkpoint."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import MarianMTModel

from data.artifacts import ToolkitError, provenance
from data.batching import token_batches
from data.parallel import Pair, ParallelCorpus, load_parallel
from data.tokenizer import JointBPE, TextTokenizer
from deepsc.checkpoint import Checkpoint, from_pretrained, read_config, write_config
from deepsc.config import TEXT_PRESETS, CorpusConfig, TextCodecConfig, TextRunConfig
from deepsc.opus_mt import load_opus_mt
from deepsc.text import TextBatch, TextCodec, collate
from deepsc.training import train, uplink

logger = logging.getLogger(__name__)


def load_corpus(config: CorpusConfig, *, task: str) -> ParallelCorpus:
    """Load the corpus; for "reconstruct" each source sentence is its own target."""
    corpus = load_parallel(**dataclasses.asdict(config))
    if task == "translate":
        return corpus
    splits: dict[str, Any] = {
        split: tuple((source, source) for source, _ in getattr(corpus, split))
        for split in ("train", "validation", "test")
    }
    return dataclasses.replace(corpus, **splits)


class TextBatches:
    """Tokenised pairs, dealt to length-bucketed batches.

    Args:
        pairs: sentences; those longer than `max_length` are left out, and counted in the log.
        tokenizer: of the checkpoint.
        max_length: most tokens of a side, end of sentence included.
        max_tokens: most tokens of a batch and side, padding included.
        seed: of the shuffling; None keeps the sentences sorted by length.
    """

    def __init__(
        self,
        pairs: tuple[Pair, ...],
        tokenizer: TextTokenizer,
        *,
        max_length: int,
        max_tokens: int,
        seed: int | None,
    ) -> None:
        sources = tokenizer.encode([source for source, _ in pairs])
        targets = tokenizer.encode_target([target for _, target in pairs])
        encoded = list(zip(sources, targets, strict=True))
        self._pairs = [pair for pair in encoded if max(map(len, pair)) <= max_length]
        if dropped := len(encoded) - len(self._pairs):
            logger.warning("%d sentence pairs longer than %d tokens are left out", dropped, max_length)
        if not self._pairs:
            raise ToolkitError(f"no sentence pair is shorter than {max_length} tokens")
        self._lengths = [max(map(len, pair)) for pair in self._pairs]
        self._max_tokens, self._seed, self._pad_id = max_tokens, seed, tokenizer.pad_id

    def __call__(self, epoch: int) -> list[TextBatch]:
        """Batches of an epoch, the same whenever asked for the same epoch."""
        rows = token_batches(self._lengths, max_tokens=self._max_tokens, seed=self._seed, epoch=epoch)
        return [
            collate([self._pairs[i][0] for i in row], [self._pairs[i][1] for i in row], pad_id=self._pad_id)
            for row in rows
        ]


def train_text(config: TextRunConfig, *, stop_after_steps: int | None = None) -> Checkpoint:
    """Train a text codec, or resume its training; see `TextRunConfig`.

    Args:
        config: the run.
        stop_after_steps: leave off after so many steps, as a kill would.

    Returns:
        The best checkpoint so far.

    Raises:
        ToolkitError: on any mistake of the user's; then nothing half-written is left.
    """
    output = Path(config.output)
    corpus = load_corpus(config.corpus, task=config.task)
    local = config.training.channel == "none"
    size = TEXT_PRESETS[config.preset]
    codec_fields: dict[str, Any] = {"k": () if local else config.k, "snr_range_db": config.snr_range_db}
    initial = from_pretrained(config.init_from) if config.init_from else None
    weights: MarianMTModel | None = None
    tokenizer: TextTokenizer
    if initial is not None:
        codec_config = dataclasses.replace(initial.codec.config, **codec_fields)
        tokenizer, weights = initial.tokenizer, initial.codec.transformer
    elif config.pretrained is not None:
        opus_mt = load_opus_mt(config.pretrained)
        codec_config = dataclasses.replace(opus_mt.config, **codec_fields)
        tokenizer, weights = opus_mt.tokenizer, opus_mt.transformer
    else:
        sentences = (sentence for pair in corpus.train for sentence in pair)
        tokenizer = JointBPE.train(sentences, vocab_size=size.vocab_size)
        codec_config = TextCodecConfig.from_preset(
            config.preset, vocab_size=tokenizer.vocab_size, **codec_fields
        )
    fields = {
        "modality": "text",
        "task": config.task,
        "dataset": corpus.name,
        "synthetic": corpus.synthetic,
        "corpus": dataclasses.asdict(config.corpus) | {"data_dir": None},
        "codec": codec_config.to_dict(),
        "training": dataclasses.asdict(config.training),
        "init_from": initial.sha256 if initial else config.pretrained,
    }
    _claim_output(output, fields, resume=config.resume)
    uplink(config.training)  # a wrong channel shows before anything is written
    options: dict[str, Any] = {
        "tokenizer": tokenizer,
        "max_length": codec_config.max_length,
        "max_tokens": config.training.batch_tokens,
    }
    batches = TextBatches(corpus.train, seed=config.training.seed, **options)
    validation = TextBatches(corpus.validation, seed=None, **options)(0)
    if not (output / "config.json").exists():
        origin = provenance(
            config=dataclasses.asdict(config), seed=config.training.seed, data_sha256=corpus.sha256
        )
        tokenizer.save(output)
        write_config(output, fields | {"provenance": origin})
    torch.manual_seed(config.training.seed)  # initial weights
    codec = TextCodec(codec_config).to(config.device)
    if weights is not None:
        codec.transformer.load_state_dict(weights.state_dict())
    train(
        codec,
        config=config.training,
        batches=batches,
        validation=validation,
        output=output,
        resume=config.resume,
        stop_after_steps=stop_after_steps,
    )
    return from_pretrained(output, device=config.device)


def _claim_output(output: Path, fields: dict[str, Any], *, resume: bool) -> None:
    """Make sure that `output` is free, or holds this very run and is to be resumed."""
    if not (output / "config.json").exists():
        return
    if not resume:
        raise ToolkitError(
            f"--output: {output} holds a run already; give --resume to go on, or another folder"
        )
    stored, wanted = _flat(read_config(output)), _flat(json.loads(json.dumps(fields)))
    changed = [name for name in wanted if stored.get(name) != wanted[name]]
    if changed:
        details = "; ".join(f"{name} was {stored.get(name)}, is now {wanted[name]}" for name in changed)
        raise ToolkitError(f"--resume: {output} holds another run: {details}")


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat
