"""What `transmit` is told; no torch here, so that `--help` is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from data.images.formats import SUFFIXES
from data.settings import Flag, Problem, Range, Settings, named
from deepsc.codec.config import CHANNEL_CODES, SNR_LIMIT_DB, TrainedK, empty_texts
from deepsc.zoo.find import DEFAULTS

PORT = 7860
"""Gradio's own."""
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class TransmitConfig(Settings):
    """What `transmit` does."""

    items: Annotated[tuple[str, ...], Flag("items", metavar="ITEM", nargs="*")] = ()
    """What to send: a sentence, in quotes; to an image codec an image file; to a VQA codec an image file and
    a question, in quotes."""
    codec: Annotated[str | None, Flag(metavar="NAME")] = None
    """A codec that ships (docs/model-zoo.md), or the folder of one from train-deepsc (default: one that ships
    and sends such items)."""
    local: Annotated[str | None, Flag(metavar="DIR")] = None
    """Its local model; one that ships has its own."""
    k: TrainedK | None = None
    """Symbols per token, of the trained ones (default: the smallest, the middle and the largest)."""
    snr_db: Annotated[
        tuple[float, ...] | None,
        Range(-SNR_LIMIT_DB, SNR_LIMIT_DB, rising=True),
        Flag(metavar="START:STOP:STEP"),
    ] = None
    """E_s/N_0 in dB: a grid or a list; of a fading channel the mean (default: -6:18:6; of an image
    -15:9:6)."""
    channel: str | None = None
    """AWGN, Rayleigh or Rician (awgn, rayleigh, rician; default: what the codec was trained for)."""
    seed: Annotated[int, Range(0, LARGEST_SEED)] = 0
    """Of noise and fading."""
    digital: bool = False
    """Set separate source and channel coding beside it; text: it is learned from the training data."""
    code: Annotated[str, Range(choices=CHANNEL_CODES)] = "capacity"
    """Channel code of --digital: ideal; the best of its length; 5G NR's LDPC with QAM."""
    data_dir: Annotated[str | None, Flag(metavar="DIR")] = None
    """Folder that holds the training data that --digital reads ($DEEPSC_DATA)."""
    reference: Annotated[str | None, Flag(metavar="TEXT")] = None
    """Text: what the sentence should become; BLEU is shown."""
    gallery: Annotated[str | None, Flag(metavar="DIR")] = None
    """Image: show the nearest of this folder's images."""
    serve: bool = False
    """Open a local page instead (pip install 'deepsc-toolkit[demo]')."""
    port: Annotated[int, Range(1, 65535)] = PORT
    """Of the page; only this machine can reach it."""

    @property
    def codec_name(self) -> str:
        """The codec that is named, or the one that ships and sends such items."""
        if self.codec is not None:
            return self.codec
        if not (self.items and self.items[0].lower().endswith(SUFFIXES)):
            return DEFAULTS["text"]
        return DEFAULTS["image" if len(self.items) == 1 else "vqa"]

    def problems(self) -> Iterator[Problem]:
        """Names that name nothing, and what nothing reads."""
        yield from empty_texts(self)
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        changed = {name for name, default in usual.items() if getattr(self, name) != default}
        for name, switch in (("code", "digital"), ("data_dir", "digital"), ("port", "serve")):
            if name in changed and not getattr(self, switch):
                yield Problem(name, f"given, {named(switch)} alone reads it")
        for name in ("k", "snr_db", "reference", "gallery"):
            if name in changed and self.serve:
                yield Problem(name, f"given, the page of {named('serve')} does not read it")
        for name in ("k", "snr_db"):
            if getattr(self, name) == ():
                yield Problem(name, "() given, leave it out or say what it is")
