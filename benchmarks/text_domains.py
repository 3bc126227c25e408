"""A text codec on Multi30k's test sets: captions as in training, later ones, and ambiguous ones of COCO.

    python benchmarks/text_domains.py --codec text-multi30k-en-de-mini --data-dir DATA

sacreBLEU of the local model, greedy and by beam search, and the codec's ratio to it (greedy) in some cells,
AWGN. DATA/multi30k holds the sets as Multi30k's repository names them, such as test_2017_mscoco.en.gz.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flag_types import positive_int

from data.terminal.command import Parser, run_command
from data.text.parallel import read_pairs
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.link.channel import Channel
from deepsc.text.evaluate import TextEvaluator
from deepsc.text.model import TextCodec
from deepsc.zoo.find import resolve

SETS = ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco")
CELLS = ((4, 6.0), (12, 0.0), (20, -3.0))
"""k and SNR in dB: each a little above the SNR at which the codecs that ship reach 0.9."""


def parser() -> Parser:
    flags = Parser(prog="text_domains.py", description=__doc__)
    flags.add_argument("--codec", metavar="DIR", required=True, help="a release, with its local model")
    flags.add_argument("--data-dir", metavar="DIR", default=os.environ.get("DEEPSC_DATA", "."))
    flags.add_argument("--beams", type=positive_int, default=4, help="of the beam search")
    flags.add_argument("--limit", type=positive_int, help="first sentences of each set only")
    flags.add_argument("--seed", type=int, default=0)
    return flags


def pairs_of(folder: Path, name: str, languages: list[str]) -> list[tuple[str, str]]:
    """Sentence pairs of a test set."""
    source, target = (folder / "multi30k" / f"{name}.{language}.gz" for language in languages)
    return list(read_pairs(source, target))


def evaluator_of(checkpoint: Checkpoint, pairs: list[tuple[str, str]], **how: Any) -> TextEvaluator:
    """What measures a model on pairs."""
    assert isinstance(checkpoint.codec, TextCodec)
    assert checkpoint.tokenizer is not None
    return TextEvaluator(checkpoint.codec, checkpoint.tokenizer, pairs, **how)


def report(options: Any) -> None:
    codec, local = (
        from_pretrained(resolve(options.codec, part, setting="codec")) for part in ("codec", "local")
    )
    languages = str(local.document["corpus"]["pair"]).split("-")
    cells = "".join(f" k = {k}, {snr_db:g} dB |" for k, snr_db in CELLS)
    print(f"| test set | sentences | local, greedy | {options.beams} beams |{cells}")
    print(f"|---|---|---|---|{'---|' * len(CELLS)}")
    for name in SETS:
        pairs = pairs_of(Path(options.data_dir), name, languages)[: options.limit]
        scores = []
        for beams in (1, options.beams):
            of_local = evaluator_of(local, pairs, channel=None, beams=beams)
            counts, _ = of_local.measure(k=0, snr_db=0.0, seed=options.seed)
            scores.append(TextEvaluator.score(counts.sum(0)))
        of_codec = evaluator_of(codec, pairs, channel=Channel())
        measured = of_codec.measure_together(list(CELLS), seed=options.seed)
        ratios = [TextEvaluator.score(counts.sum(0)) / scores[0] for counts, _ in measured]
        numbers = [f"{score:.2f}" for score in scores] + [f"{ratio:.3f}" for ratio in ratios]
        print(f"| {name} | {len(pairs)} | {' | '.join(numbers)} |", flush=True)


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return run_command("text_domains.py", lambda: report(options))


if __name__ == "__main__":
    raise SystemExit(main())
