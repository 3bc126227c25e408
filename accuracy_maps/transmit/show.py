"""A user's item sent at several k and SNRs: what arrives, line by line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accuracy_maps.transmit.config import TransmitConfig
from accuracy_maps.transmit.words import marked, quiet
from data.files.errors import ToolkitError
from data.files.paths import is_file, is_folder
from data.files.printable import printable
from data.images.formats import SUFFIXES
from data.settings import named
from data.terminal.colour import has_colour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepsc.modality import Answer
    from deepsc.transceiver import SeparateCoding, Transceiver

    Embeddings = NDArray[np.float32]

_SNRS_DB, _IMAGE_SNRS_DB = (-6.0, 0.0, 6.0, 12.0, 18.0), (-15.0, -9.0, -3.0, 3.0, 9.0)
"""Sent at where none is given: the shipped codecs fail at the lower ends."""
_NEAREST = 3
_LABEL = 9
"""Characters before what a line shows."""


def show_transmissions(config: TransmitConfig, *, write: Callable[[str], None]) -> None:
    """Send the item of a config and show what arrives.

    Args:
        config: what to send, and how.
        write: takes each line when it is ready.

    Raises:
        ToolkitError: if the codec, the item or a setting is none of what is allowed.
    """
    if not config.items:
        raise ToolkitError(
            f"{named('items')}: none given, a sentence in quotes, an image or {named('serve')} is needed"
        )
    colour = has_colour(sys.stdout)
    for word in config.items:
        write(_line("sent", printable(word)))
    model = load_model(config)
    item = model.sender.read(config.items)
    _require_fit(config, model)
    channel, ks = model.channel_of(config.channel), chosen_k(config, model)
    local = model.local_answers([item])[0] if model.local_model is not None else None
    if local is not None:
        write(_line("local", _said(local, None, config, model, colour=colour)))
    write(_line("codec", f"{printable(config.codec_name)}, {channel.kind} channel"))
    digital = None
    if config.digital:
        digital = model.separate(item, channel=channel, code=config.code, data_dir=config.data_dir)
        write(_line("digital", f"{digital.size}, channel code {config.code}, then the local model"))
    gallery = _Gallery(model, Path(config.gallery)) if config.gallery else None
    for k in ks:
        lines = _of_k(config, model, item, k, local=local, digital=digital, gallery=gallery, colour=colour)
        for line in lines:
            write(line)
    if local is not None:
        beside = "; BLEU is to that" if model.modality.name == "text" and config.reference is None else ""
        write(quiet(f"\n= : what the local model says, too{beside}", colour=colour))


def load_model(config: TransmitConfig) -> Transceiver:
    """The codec of a config, with its local model.

    Raises:
        ToolkitError: if there is none, or an image is given to a codec of text.
    """
    import deepsc

    model = deepsc.load(config.codec_name, local=config.local)
    if model.modality.name == "text":
        for word in config.items:
            if word.lower().endswith(SUFFIXES) and is_file(word):
                raise ToolkitError(
                    f"{word}: an image given, {named('codec')} {config.codec_name} sends text; give the "
                    "folder of an image or VQA codec"
                )
    return model


def chosen_k(config: TransmitConfig, model: Transceiver) -> list[tuple[int, ...]]:
    """k of each transmission: those asked for, or the smallest, the middle and the largest.

    Raises:
        ToolkitError: if one is not trained.
    """
    if config.k is not None:
        return [model.require_k((k,) * len(model.ks)) for k in config.k]
    shares = (0.0, 0.5, 1.0)
    return list(dict.fromkeys(tuple(ks[int(share * (len(ks) - 1))] for ks in model.ks) for share in shares))


def _require_fit(config: TransmitConfig, model: Transceiver) -> None:
    """Refuse what the codec's modality has no use for."""
    kind = model.modality.name
    for name, needed in (("reference", "text"), ("gallery", "image")):
        if getattr(config, name) is not None and kind != needed:
            raise ToolkitError(f"{named(name)}: given, a codec of {needed} reads it; this one is of {kind}")


def _of_k(
    config: TransmitConfig, model: Transceiver, item: Any, k: tuple[int, ...], *, local: Answer | None,
    digital: SeparateCoding | None, gallery: _Gallery | None, colour: bool,
) -> Iterator[str]:  # fmt: skip
    """The lines of one k: a heading, then each SNR."""
    usual_db = _IMAGE_SNRS_DB if model.modality.name == "image" else _SNRS_DB
    for number, snr_db in enumerate(config.snr_db or usual_db):
        sent = model.transmit([item], k=k, snr_db=snr_db, channel=config.channel, seed=config.seed)
        if not number:
            yield f"\n{_heading(config, model, k, sent.uses[0])}"
        (answer,) = sent.answers
        same = local is not None and answer.text == local.text
        label = f"{snr_db:g} dB {'=' if same else ' '}"
        yield _line(label, _said(answer, local, config, model, colour=colour), right=True)
        if gallery is not None:
            yield _line("", quiet(f"nearest: {', '.join(gallery.nearest(answer))}", colour=colour))
        if digital is not None:
            arrived = digital.transmit(k=k[0], snr_db=snr_db, seed=config.seed)
            text = (
                "(nothing arrives)" if arrived is None else _said(arrived, local, config, model, colour=False)
            )
            yield _line("", quiet(f"digital: {text}", colour=colour))


def _heading(config: TransmitConfig, model: Transceiver, k: tuple[int, ...], uses: int) -> str:
    names = (f"k of the {name}" if name else "k" for name in model.modality.transmissions)
    ks = ", ".join(f"{name} = {one}" for name, one in zip(names, k, strict=True))
    if model.modality.name != "text":
        return f"{ks}: {uses} symbols"
    return f"{ks}: {uses} symbols, {uses / len(config.items[0].split()):.1f} a word"


def _line(label: str, text: str, *, right: bool = False) -> str:
    head = label.rjust(_LABEL) if right else label.ljust(_LABEL)
    return f"{head} {text}"


def _said(
    answer: Answer, local: Answer | None, config: TransmitConfig, model: Transceiver, *, colour: bool
) -> str:
    """An answer, with its probability; a sentence with its BLEU, to the local model's without a reference."""
    text = marked(answer.text, None if local is None else local.text, colour=colour)
    if answer.probability is not None:
        return f"{text} ({answer.probability:.2f})"
    reference = config.reference
    if reference is None and local is not None and answer.text != local.text:
        reference = local.text
    if reference is None:
        return text
    from deepsc.text.send import TextSender

    assert isinstance(model.sender, TextSender)
    bleu = model.sender.bleu(answer.text, reference)
    return f"{text}  (BLEU {bleu:.0f})" if config.reference is None else f"{text}  BLEU {bleu:.1f}"


class _Gallery:
    """Images of a folder, embedded as a server fills a gallery: sent at the largest k and highest SNR."""

    def __init__(self, model: Transceiver, folder: Path) -> None:
        import numpy as np

        from deepsc.image.evaluate import GALLERY_SEED

        if not is_folder(folder):
            raise ToolkitError(f"{named('gallery')}: {folder} given, a folder of images is allowed")
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise ToolkitError(
                f"{named('gallery')}: {folder} given, it holds no image ({', '.join(SUFFIXES)})"
            )
        best_db = model.codec.config.snr_range_db[1]
        sent = model.transmit(self._paths, snr_db=best_db, seed=GALLERY_SEED)
        self._embeddings: Embeddings = np.stack([_unit(answer) for answer in sent.answers])

    def nearest(self, answer: Answer) -> Sequence[str]:
        """Names of the images whose embeddings have the largest cosine with the received one."""
        order = (-self._embeddings @ _unit(answer)).argsort(kind="stable")
        return [printable(self._paths[number].name) for number in order[:_NEAREST]]


def _unit(answer: Answer) -> Embeddings:
    import numpy as np

    assert answer.embedding is not None
    unit: Embeddings = answer.embedding / np.linalg.norm(answer.embedding)
    return unit
