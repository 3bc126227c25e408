"""Text by separate coding: bits of each source code, and the SNR at which 0.9 of the sentences arrive.

    python benchmarks/digital_text.py --data-dir DATA --output benchmarks/results/digital-text.json

needs no model: a sentence that arrives counts 1, another 0. That is the ratio to the local model, but for
what an empty sentence scores, which is nothing or next to it. k = 4 are 4 complex symbols for each token of
the tokenizer that a text codec of --vocab-size tokens would train on this corpus. AWGN.

For --code ldpc the SNR is sought upwards from where the best code of that length would get there.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from flag_types import int_list, positive_int
from numpy.typing import NDArray

from accuracy_maps.show.compare import LEVEL, snr_at
from data.files.documents import write_json
from data.files.provenance import provenance
from data.terminal.command import Parser, run_command
from data.text.parallel import DATASETS, load_parallel
from data.text.tokenizer import JointBPE
from deepsc.codec.config import CHANNEL_CODES
from deepsc.digital import Digital, TextSource, channel_code
from deepsc.link.channel import Channel
from deepsc.text.config import TextCodecConfig

Counts = NDArray[np.int64]
GRID_DB = np.arange(-20.0, 30.25, 0.25)
"""SNRs of the codes that are a formula."""
STEP_DB = 0.5
"""Of the code that is simulated."""
_LONGEST = TextCodecConfig.from_preset("small", vocab_size=300, k=(1,)).max_length


def parser() -> Parser:
    flags = Parser(prog="digital_text.py", description=__doc__)
    flags.add_argument("--dataset", choices=DATASETS, default="multi30k")
    flags.add_argument("--pair", default="en-de")
    flags.add_argument("--data-dir", metavar="DIR")
    flags.add_argument("--vocab-size", type=positive_int, default=5000, help="5000 is the preset small's")
    flags.add_argument("--k", type=int_list, default=(4, 8, 12, 16, 20))
    flags.add_argument("--codes", nargs="+", choices=CHANNEL_CODES, default=list(CHANNEL_CODES))
    flags.add_argument("--limit", type=positive_int, help="first test sentences only")
    flags.add_argument("--ldpc-limit", type=positive_int, default=200, help="of them for ldpc")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--output", metavar="FILE", help="the numbers, as JSON")
    return flags


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return run_command("digital_text.py", lambda: report(options))


def report(options: Any) -> None:
    torch.set_num_threads(1)
    corpus = load_parallel(dataset=options.dataset, pair=options.pair, data_dir=options.data_dir)
    tokenizer = JointBPE.train(
        (sentence for pair in corpus.train for sentence in pair), vocab_size=options.vocab_size
    )
    source = TextSource(
        [one for one, _ in corpus.train], tokenizer, vocab_size=tokenizer.vocab_size, max_length=_LONGEST
    )
    sentences = [one for one, _ in corpus.test[: options.limit]]
    tokens = np.array([len(ids) for ids in tokenizer.encode(sentences)])
    print(f"{corpus.name}: {len(sentences)} test sentences of {tokens.mean():.2f} tokens", flush=True)
    sizes, shares = code_sizes(source, sentences)
    print(f"{'source code':24}{'bits a sentence':>16}{'a token':>9}{'shortest for':>14}")
    for name, bits in sizes.items():
        share = f"{100 * shares[name]:.1f} %" if name in shares else ""
        print(f"{name:24}{bits.mean():16.1f}{bits.sum() / tokens.sum():9.2f}{share:>14}", flush=True)
    thresholds: dict[str, dict[str, float | None]] = {}
    print(f"SNR in dB at which {LEVEL} of the sentences arrive, by k")
    print(f"{'':32}" + "".join(f"{k:>8}" for k in options.k))
    for name in ("bytes", *options.codes):
        bits = sizes["byte Huffman or deflate" if name == "bytes" else "the shortest"]
        code = "capacity" if name == "bytes" else name
        part = slice(options.ldpc_limit if code == "ldpc" else None)
        label = f"{name}, {len(bits[part])} sentences" if name != "bytes" else "byte codes alone, capacity"
        print(f"{label:32}", end="", flush=True)
        thresholds[label] = {}
        for k in options.k:
            snr = threshold(bits[part], tokens[part], k=k, code=code, seed=options.seed)
            thresholds[label][str(k)] = snr
            print("   never" if snr is None else f"{snr:8.2f}", end="", flush=True)
        print()
    if options.output:
        document = {
            "kind": "digital-text",
            "schema_version": 1,
            "bits_a_sentence": {name: float(bits.mean()) for name, bits in sizes.items()},
            "bits_a_token": {name: float(bits.sum() / tokens.sum()) for name, bits in sizes.items()},
            "shortest_for": shares,
            "snr_db_at_level": thresholds,
            "level": LEVEL,
            "provenance": provenance(config=vars(options), seed=options.seed, data_sha256=corpus.sha256),
        }
        write_json(options.output, document)


def code_sizes(source: TextSource, sentences: list[str]) -> tuple[dict[str, Counts], dict[str, float]]:
    """Bits of each sentence by code, and the share for which each is the shortest.

    A code by itself needs no bits that tell which; "byte Huffman or deflate" has one.
    """
    words = [source.words(sentence) for sentence in sentences]
    lengths = {
        code.name: np.array([len(one[code.name]) for one in words if code.name in one])
        for code in source.codes
    }
    coded = [source.shortest(one) for one in words]
    shortest = np.array([len(bits) for _, bits in coded])
    shares = {code.name: sum(name == code.name for name, _ in coded) / len(coded) for code in source.codes}
    in_bytes = 1 + np.minimum(lengths["byte Huffman"], lengths["deflate"])
    return {**lengths, "byte Huffman or deflate": in_bytes, "the shortest": shortest}, shares


def threshold(bits: Counts, tokens: Counts, *, k: int, code: str, seed: int) -> float | None:
    """The SNR in dB at which `LEVEL` of the sentences arrive, linear between the SNRs that are tried."""
    items = len(bits)
    digital = Digital(
        bits=bits[:, None], outcome=lambda arrived, _: np.ones((len(arrived), 1), dtype=np.int64),
        nothing=np.zeros((items, 1), dtype=np.int64), tokens=tokens, channel=Channel(),
        code=channel_code(code),
    )  # fmt: skip

    def share(snr_db: float) -> float:
        return float(digital.measure(k=k, snr_db=snr_db, seed=seed)[0].mean())

    if code != "ldpc":
        shares = np.maximum.accumulate([share(snr_db) for snr_db in GRID_DB])
        return snr_at(GRID_DB.tolist(), shares.tolist())
    start = threshold(bits, tokens, k=k, code="finite", seed=seed)
    if start is None:
        return None
    tried, shares_tried = [start], [share(start)]
    while shares_tried[-1] < LEVEL and tried[-1] < GRID_DB[-1]:
        tried.append(tried[-1] + STEP_DB)
        shares_tried.append(share(tried[-1]))
    return snr_at(tried, np.maximum.accumulate(shares_tried).tolist())


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    raise SystemExit(main())
