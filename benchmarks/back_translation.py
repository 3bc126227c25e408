"""Sentences of the target language become training pairs: a local model translates them back.

    train-deepsc --modality text --preset medium --pair de-en --channel none --output runs/back
    python benchmarks/back_translation.py --local runs/back --captions train.1.de.gz ... --output runs/pairs
    train-deepsc --modality text --preset medium --channel none --init-from text-multi30k-en-de-medium \
        --source runs/pairs/back-translated.en.gz --target runs/pairs/back-translated.de.gz --output runs/wide

Method: Sennrich, Haddow and Birch (2016). The local model reads the other direction and decodes greedily. Its
translation is the source of a pair, the sentence itself the target. The files also hold the pairs that it was
trained on. No pair holds a sentence of the validation or test split of its corpus. Processes share the work.
"""

from __future__ import annotations

import functools
import gzip
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from flag_types import positive_int
from tqdm import tqdm

from data.files.atomic import atomic_path
from data.files.errors import ToolkitError
from data.terminal.command import Parser, run_command
from data.text.parallel import read_pairs
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.text.evaluate import decode_sentences, encode_sentences
from deepsc.text.material import corpus_of
from deepsc.text.model import TextCodec

_AT_ONCE = 1000
"""Sentences that a process takes at a time."""


def parser() -> Parser:
    flags = Parser(prog="back_translation.py", description=__doc__)
    flags.add_argument("--local", metavar="DIR", required=True, help="local model of the other direction")
    flags.add_argument(
        "--captions", metavar="FILE", nargs="+", required=True, help="sentences, one a line, plain or .gz"
    )
    flags.add_argument("--output", metavar="DIR", required=True, help="folder of the two files of pairs")
    flags.add_argument("--data-dir", metavar="DIR", default=os.environ.get("DEEPSC_DATA"))
    flags.add_argument("--processes", type=positive_int, default=2)
    flags.add_argument("--limit", type=positive_int, help="first sentences only")
    return flags


def translate(folder: str, sentences: Sequence[str]) -> list[str]:
    """Translate with a local model, greedily."""
    torch.set_num_threads(1)
    local = _read_once(folder)
    assert isinstance(local.codec, TextCodec)
    assert local.tokenizer is not None
    codec, translations = local.codec.eval(), [""] * len(sentences)
    for batch in encode_sentences(codec, local.tokenizer, sentences):
        (texts,) = decode_sentences(codec, local.tokenizer, batch, [None])
        for row, text in zip(batch.rows, texts, strict=True):
            translations[row] = text
    return translations


@functools.cache
def _read_once(folder: str) -> Checkpoint:
    """A checkpoint, which a process reads for its first sentences and keeps."""
    return from_pretrained(folder)


def require_translator(folder: str) -> Checkpoint:
    """The local model in a folder.

    Raises:
        ToolkitError: if it translates no text, or is a codec.
    """
    local = from_pretrained(folder)
    if local.modality.name != "text" or local.task != "translate" or local.codec.config.uplinks:
        what = "codec" if local.codec.config.uplinks else "local model"
        raise ToolkitError(
            f"--local: {folder} is a {what} of modality {local.modality.name}, task {local.task}; a local "
            "model of text that translates is allowed"
        )
    return local


def write_pairs(options: Any) -> None:
    local = require_translator(options.local)
    corpus = corpus_of(local.document, options.data_dir)
    target, source = str(local.document["corpus"]["pair"]).split("-")
    held_out = {sentence for pair in (*corpus.validation, *corpus.test) for sentence in pair}
    known = held_out | {sentence for sentence, _ in corpus.train}
    lines = dict.fromkeys(line for path in options.captions for line, _ in read_pairs(Path(path), Path(path)))
    captions = [line for line in lines if line not in known]
    print(f"{len(lines)} sentences, {len(lines) - len(captions)} of them left out", flush=True)
    captions = captions[: options.limit]

    chunks = [captions[start : start + _AT_ONCE] for start in range(0, len(captions), _AT_ONCE)]
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        of_chunks = pool.map(translate, [options.local] * len(chunks), chunks)
        translations = [text for texts in tqdm(of_chunks, total=len(chunks)) for text in texts]

    of_captions = [pair for pair in zip(translations, captions, strict=True) if held_out.isdisjoint(pair)]
    of_corpus = [(back, forth) for forth, back in corpus.train if held_out.isdisjoint((back, forth))]
    pairs = of_captions + of_corpus
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    for side, language in enumerate((source, target)):
        with atomic_path(output / f"back-translated.{language}.gz") as path:
            path.write_bytes(gzip.compress("".join(f"{pair[side]}\n" for pair in pairs).encode(), mtime=0))
    print(f"{len(pairs)} pairs, {len(of_captions)} of them of captions, in {output}")


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return run_command("back_translation.py", lambda: write_pairs(options))


if __name__ == "__main__":
    raise SystemExit(main())
