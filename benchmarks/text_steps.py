"""CPU seconds of a training step of a local text model, by how it attends.

    python benchmarks/text_steps.py --preset medium --dataset multi30k --data-dir DATA

A step is the loss, its gradient and AdamW. "fused, with dropout" is torch's fused kernel, with the model's
own share of dropout in attention; "fused" is without that; "plain products" is without either, as
`train-deepsc` has it on a CPU. All ways take the same batches, in turns. Times are medians of CPU seconds of
this process on one thread: other work on the machine does not count, as far as it leaves the caches alone.
Start it with THP_MEM_ALLOC_ENABLE=0 to see what pages of 2 MB save.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from flag_types import positive_int
from training_step import take_step
from transformers.models.marian.modeling_marian import MarianAttention

from data.files.errors import ToolkitError
from data.terminal.command import Parser, run_command
from data.text.parallel import load_parallel
from data.text.tokenizer import JointBPE
from deepsc.text.config import TEXT_PRESETS, TextCodecConfig
from deepsc.text.material import TextBatches
from deepsc.text.model import TextBatch, TextCodec
from deepsc.train.loop import attend_by_plain_products, autocast_of

WAYS = ("fused, with dropout", "fused", "plain products")


class Way:
    """One way to attend; every `step` is one more.

    Args:
        name: one of `WAYS`.
        config: of the local model.
    """

    def __init__(self, name: str, config: TextCodecConfig) -> None:
        torch.manual_seed(0)
        self._codec = TextCodec(config).train()
        self._codec.transformer.set_attn_implementation("sdpa")
        if name == "plain products":
            attend_by_plain_products(self._codec)
        for module in self._codec.modules():
            if isinstance(module, MarianAttention):
                module.dropout = config.dropout if "dropout" in name else 0.0
        self._optimizer = torch.optim.AdamW(self._codec.parameters(), fused=True)
        self._autocast = autocast_of(self._codec)

    def step(self, batch: TextBatch) -> float:
        """CPU seconds of a step."""
        start = time.process_time()
        take_step(self._codec, self._optimizer, batch, self._autocast)
        return time.process_time() - start


def report(args: Namespace) -> None:
    torch.set_num_threads(1)
    preset = TEXT_PRESETS[args.preset]
    corpus = load_parallel(dataset=args.dataset, data_dir=args.data_dir)
    tokenizer = JointBPE.train((text for pair in corpus.train for text in pair), vocab_size=preset.vocab_size)
    config = TextCodecConfig.from_preset(args.preset, vocab_size=tokenizer.vocab_size)
    tokens = args.batch_tokens or preset.batch_tokens
    batches = TextBatches(corpus.train, tokenizer, max_length=config.max_length, max_tokens=tokens, seed=0)(0)
    if len(batches) <= args.steps:
        raise ToolkitError(
            f"--steps: {args.steps} given, {len(batches) - 1} at most are allowed of these data"
        )
    ways = {name: Way(name, config) for name in WAYS}
    rounds = [[way.step(batch) for way in ways.values()] for batch in islice(batches, 1 + args.steps)][1:]
    seconds = np.median(rounds, axis=0)
    print(f"{corpus.name}, {args.preset}, at most {tokens} tokens a step, {args.steps} steps")
    print(f"{'':<24}{'step':>10}{'against the first':>19}")
    for name, step in zip(WAYS, seconds, strict=True):
        print(f"{name:<24}{step:>10.3f}{seconds[0] / step:>18.2f}x")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog="text_steps.py", description=__doc__)
    parser.add_argument("--preset", choices=TEXT_PRESETS, default="medium")
    parser.add_argument("--dataset", default="captions")
    parser.add_argument("--data-dir")
    parser.add_argument("--batch-tokens", type=positive_int, help="of a step (default: the preset's)")
    parser.add_argument("--steps", type=positive_int, default=8, help="each, after one more (%(default)s)")
    args = parser.parse_args(argv)
    return run_command("text_steps.py", lambda: report(args))


if __name__ == "__main__":
    raise SystemExit(main())
