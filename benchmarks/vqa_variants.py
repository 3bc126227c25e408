"""What lets a VQA model compare a word with a shape: the gate of its fusion, and pre-norm question layers.

    python benchmarks/vqa_variants.py --preset easy --text-layers 6 --epochs 8 --seeds 3

Local models on easy-VQA, alike but for one thing, at the preset's learning rate with warm-up and cosine
decay. After each epoch: percent right of the questions of 100 test images that are answered by yes or no,
mean over the seeds, the lowest and the highest. Last, CPU seconds of a training.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from flag_types import positive_int
from torch import Tensor, nn

from data.files.printable import markdown_lines
from data.questions.load import load_vqa
from data.questions.sets import VQASet, VQASplit
from data.settings import Parser, run_command
from data.text.tokenizer import JointBPE
from deepsc.train.loop import learning_rate_factor
from deepsc.vqa.config import VQA_PRESETS, VQACodecConfig
from deepsc.vqa.evaluate import VQAEvaluator
from deepsc.vqa.material import VQABatches
from deepsc.vqa.model import VQACodec

TEST_IMAGES = 100


def as_shipped(codec: VQACodec) -> None:
    """The codec's own."""


def without_gate(codec: VQACodec) -> None:
    """What cross-attention returns is added to the question as it is."""
    codec.fusion.gates = nn.ModuleList(Unit() for _ in codec.fusion.layers)


def post_norm(codec: VQACodec) -> None:
    """The question's layers normalise what they have added to, as Marian's do."""
    for layer in codec.text_encoder.context.layers:
        layer.norm_first = False
    codec.text_encoder.context.norm = None


VARIANTS: Mapping[str, Callable[[VQACodec], None]] = {
    "pre-norm, gate (as shipped)": as_shipped,
    "pre-norm, no gate": without_gate,
    "post-norm, gate": post_norm,
}
"""Changes of a new model, by the norm of its question layers and the gate of its fusion."""


def training(
    vqa: VQASet, tokenizer: JointBPE, config: VQACodecConfig, variant: str, *, seed: int, epochs: int
) -> Iterator[tuple[float, float]]:
    """Train a local model; after each epoch the percentage right and the CPU seconds so far."""
    preset = VQA_PRESETS[config.preset]
    torch.manual_seed(seed)
    codec = VQACodec(config)
    VARIANTS[variant](codec)
    batches = VQABatches(
        vqa.train, tokenizer, config=config, max_tokens=preset.batch_tokens, augment=preset.augment,
        flip=not vqa.tells_sides, seed=seed,
    )  # fmt: skip
    questions = yes_or_no(vqa.test.head(TEST_IMAGES))
    total = epochs * len(batches(0))
    optimizer = torch.optim.AdamW(codec.parameters(), lr=preset.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(step, warmup_steps=preset.warmup_steps, total_steps=total),
    )
    seconds = 0.0
    for epoch in range(epochs):
        start = time.process_time()
        codec.train()
        for batch in batches(epoch):
            optimizer.zero_grad()
            codec.loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        seconds += time.process_time() - start
        evaluator = VQAEvaluator(codec, tokenizer, questions, channel=None)
        counts, _ = evaluator.measure(k=(0, 0), snr_db=(0.0, 0.0), seed=0)
        right = evaluator.score(counts.sum(axis=0))
        print(f"{variant}, seed {seed}, epoch {epoch + 1}: {right:.1f} %, {seconds:.0f} s", file=sys.stderr)
        yield right, seconds


class Unit(nn.Module):
    """A gate that leaves what it multiplies as it is."""

    def forward(self, question: Tensor) -> float:
        return 1.0


def yes_or_no(split: VQASplit) -> VQASplit:
    """The questions that are answered by yes or no."""
    questions = tuple(question for question in split.questions if question.answer in ("yes", "no"))
    return VQASplit(images=split.images, questions=questions)


def main(argv: Sequence[str] | None = None) -> int:
    flags = Parser(prog="vqa_variants.py", description=__doc__)
    flags.add_argument("--preset", choices=list(VQA_PRESETS), default="easy")
    flags.add_argument("--text-layers", type=positive_int, help="of the question encoder (the preset's)")
    flags.add_argument("--epochs", type=positive_int, default=8)
    flags.add_argument("--seeds", type=positive_int, default=3)
    options = flags.parse_args(argv)

    def body() -> None:
        vqa = load_vqa(dataset="easy-vqa")
        size = VQA_PRESETS[options.preset].vocab_size
        tokenizer = JointBPE.train((question.text for question in vqa.train.questions), vocab_size=size)
        rows = []
        config = VQACodecConfig.from_preset(
            options.preset, answers=vqa.answers, vocab_size=tokenizer.vocab_size
        )
        if options.text_layers:
            config = dataclasses.replace(config, text_layers=options.text_layers)
        for variant in VARIANTS:
            runs = [
                list(training(vqa, tokenizer, config, variant, seed=seed, epochs=options.epochs))
                for seed in range(options.seeds)
            ]
            right, seconds = np.moveaxis(np.array(runs), 2, 0)  # (seeds, epochs) each
            cells = [
                f"{mean:.1f} ({low:.1f} to {high:.1f})"
                for mean, low, high in zip(right.mean(0), right.min(0), right.max(0), strict=True)
            ]
            rows.append([variant, *cells, f"{seconds[:, -1].mean():.0f}"])
        head = ["", *(f"epoch {epoch + 1}" for epoch in range(options.epochs)), "CPU s"]
        print("\n".join(markdown_lines(head, rows)))

    return run_command("vqa_variants.py", body)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
