"""Cells per second of a text map: ours against the plain loop over cells, in one run, with identical results.

    python benchmarks/map_throughput.py --codec runs/codec --data-dir DATA --limit 100

The plain loop is what a script does that knows nothing of sweeps: for each cell it encodes every batch anew,
sends it, and decodes it greedily by transformers' `generate` without a KV cache; "cached" does the same with
the KV cache, which is `generate`'s default. Both get our batches of like lengths, which favours them: in the
corpus's order each batch would be as long as its longest sentence. Ours encodes once, decodes nine cells of a
batch together with a KV cache, and lets complete sentences leave. Noise follows from the same seeds, so the
counts that maps are made of must be equal, and the script fails if they are not. Scoring is in all three.

It also fails if "plain" is not at least ten times as slow as ours.

The three take turns, k by k. Times are CPU seconds of this process on one thread: other work on the machine
does not count.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from flag_types import int_list, positive_int
from transformers.modeling_outputs import BaseModelOutput

from data.settings.flags import float_grid
from data.terminal.command import Parser
from deepsc.checkpoint import Checkpoint, from_pretrained
from deepsc.link.channel import Channel
from deepsc.link.transmission import link_at
from deepsc.modality import modality
from deepsc.text.evaluate import (
    BleuStatistics,
    TextEvaluator,
    encode_sentences,
    nltk_bleu,
)
from deepsc.text.material import load_corpus
from deepsc.text.model import TextCodec

SEED = 0
LEAST_RATIO = 10.0
"""Times that ours must be faster than the plain loop."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(prog="map_throughput.py", description=__doc__)
    parser.add_argument("--codec", required=True, help="text checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--k", type=int_list, help="default: all trained")
    parser.add_argument("--snr-db", type=float_grid, default=float_grid("-6:18:3"))
    parser.add_argument("--limit", type=positive_int, help="first test sentences only")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    checkpoint = from_pretrained(args.codec)
    assert isinstance(checkpoint.codec, TextCodec)
    fields = {**checkpoint.document["corpus"], "data_dir": args.data_dir}
    corpus = load_corpus(modality("text").corpus_config(**fields), task=checkpoint.document["task"])
    pairs = corpus.test[: args.limit]
    ours: list[TextEvaluator] = []

    def together(points: Sequence[tuple[int, float]]) -> list[np.ndarray]:
        if not ours:  # encoding counts, once
            ours.append(TextEvaluator(checkpoint.codec, checkpoint.tokenizer, pairs, channel=Channel()))
        return [counts for counts, _ in ours[0].measure_together(points, seed=SEED)]

    def plain(points: Sequence[tuple[int, float]], *, cache: bool) -> list[np.ndarray]:
        return [one_cell(checkpoint, pairs, k=k, snr_db=snr, cache=cache) for k, snr in points]

    ways: dict[str, Callable[[Sequence[tuple[int, float]]], list[np.ndarray]]] = {
        "ours": together,
        "cached": lambda points: plain(points, cache=True),
        "plain": lambda points: plain(points, cache=False),
    }
    together([(checkpoint.codec.config.k[0], 0.0)])  # what is imported late
    ours.clear()
    seconds = dict.fromkeys(ways, 0.0)
    cells = 0
    for k in args.k or checkpoint.codec.config.k:
        points = list(itertools.product([k], args.snr_db))
        cells += len(points)
        results = {}
        for name, way in ways.items():
            start = time.process_time()
            results[name] = way(points)
            seconds[name] += time.process_time() - start
        for name in ("cached", "plain"):
            for point, one, other in zip(points, results["ours"], results[name], strict=True):
                if not np.array_equal(one, other):
                    sys.exit(f"{name} and ours differ at k = {point[0]}, {point[1]:g} dB")
        print(f"k = {k}: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in ways), flush=True)
    print(f"{len(pairs)} sentences of {corpus.name}, {cells} cells, identical counts")
    print(f"{'':>8}{'CPU s':>10}{'s/cell':>10}{'against ours':>14}")
    for name in ways:
        ratio = seconds[name] / seconds["ours"]
        print(f"{name:>8}{seconds[name]:>10.1f}{seconds[name] / cells:>10.3f}{ratio:>13.1f}x")
    if (ratio := seconds["plain"] / seconds["ours"]) < LEAST_RATIO:
        sys.exit(f"ours is {ratio:.1f} times as fast as the plain loop, at least {LEAST_RATIO:g} is required")


@torch.inference_mode()
def one_cell(
    checkpoint: Checkpoint, pairs: Sequence[tuple[str, str]], *, k: int, snr_db: float, cache: bool
) -> np.ndarray:
    """Counts of one cell, nothing kept from another."""
    codec, tokenizer = checkpoint.codec, checkpoint.tokenizer
    assert isinstance(codec, TextCodec)
    assert tokenizer is not None
    references = [reference for _, reference in pairs]
    hypotheses = [""] * len(pairs)
    for number, batch in enumerate(encode_sentences(codec, tokenizer, [source for source, _ in pairs])):
        link = link_at(Channel(), k=k, snr_db=snr_db, like=batch.sent.mask, seed=(SEED, number))
        ids = codec.transformer.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=codec.transmit(batch.sent, link)),
            attention_mask=batch.sent.mask,
            num_beams=1,
            do_sample=False,
            max_new_tokens=min(2 * batch.sent.mask.shape[1] + 8, codec.config.max_length - 1),
            suppress_tokens=[codec.config.pad_id],
            use_cache=cache,
        )
        for row, text in zip(batch.rows, tokenizer.decode(ids.tolist()), strict=True):
            hypotheses[row] = text
    nltk_bleu(hypotheses, references)
    return BleuStatistics(hypotheses, references).counts


if __name__ == "__main__":
    main()
