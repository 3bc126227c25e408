"""Image and VQA codecs that train in seconds, and the data they train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepsc.config import TrainConfig
from deepsc.image.config import ImageRunConfig, ImageSetConfig
from deepsc.vqa.config import VQARunConfig, VQASetConfig

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}


def image_run(output: Path, *, training: dict[str, Any] | None = None, **changes: Any) -> ImageRunConfig:
    """Digits by preset tiny."""
    schedule: dict[str, Any] = {
        "epochs": 1, "batch_tokens": 272, "learning_rate": 3e-3, "warmup_steps": 10
    }  # fmt: skip
    fields: dict[str, Any] = {
        "corpus": ImageSetConfig(dataset="digits"), "preset": "tiny", "k": (1, 4), "output": str(output)
    }  # fmt: skip
    return ImageRunConfig(training=TrainConfig.from_dict(schedule | (training or {})), **fields | changes)


def vqa_run(
    output: Path, data_dir: Path, *, training: dict[str, Any] | None = None, **changes: Any
) -> VQARunConfig:
    """Coloured squares in CLEVR's layout, by preset tiny."""
    schedule: dict[str, Any] = {
        "epochs": 1, "batch_tokens": 400, "learning_rate": 3e-3, "warmup_steps": 10
    }  # fmt: skip
    fields: dict[str, Any] = {
        "corpus": VQASetConfig(dataset="clevr", data_dir=str(data_dir)), "preset": "tiny",
        "k_text": (1, 3), "k_image": (1, 2), "output": str(output),
    }  # fmt: skip
    return VQARunConfig(training=TrainConfig.from_dict(schedule | (training or {})), **fields | changes)


def write_daquar(root: Path) -> Path:
    """Twelve training and three test images of rooms, DAQUAR's layout; the folder that holds it."""
    folder = root / "daquar"
    (folder / "images").mkdir(parents=True)
    lists = {"train": range(1, 13), "test": range(13, 16)}
    pairs = []
    for split, numbers in lists.items():
        (folder / f"{split}_images_list.txt").write_text("\n".join(f"image{number}" for number in numbers))
        for number in numbers:
            Image.new("RGB", (9, 6), (number, 0, 0)).save(folder / "images" / f"image{number}.png")
            pairs += [f"what is next to the image{number} of a cat in the image{number} ?", "lamp"]
            pairs += [f"how many chairs are there in image{number} ?", "2" if number % 2 else "white_board"]
    (folder / "all_qa_pairs.txt").write_text("\n".join(pairs))
    return root


def write_clevr(root: Path, *, train: int = 80, test: int = 30) -> Path:
    """Images of one coloured square with two questions each, laid out as CLEVR is published."""
    draw = np.random.default_rng(0)
    for split, count in (("train", train), ("val", test)):
        folder = root / "clevr" / "images" / split
        folder.mkdir(parents=True)
        questions = []
        for number in range(count):
            colour = list(COLOURS)[number % 3]
            pixels = np.full((32, 32, 3), 200, dtype=np.uint8)
            y, x = draw.integers(0, 12, size=2)
            pixels[y : y + 20, x : x + 20] = COLOURS[colour]
            name = f"CLEVR_{split}_{number:06d}.png"
            Image.fromarray(pixels).save(folder / name)
            asked = list(COLOURS)[draw.integers(3)]
            questions += [
                {"image_filename": name, "question": "What color is the cube?", "answer": colour},
                {
                    "image_filename": name,
                    "question": f"Is there a {asked} cube to be seen?",
                    "answer": "yes" if asked == colour else "no",
                },
            ]
        path = root / "clevr" / "questions" / f"CLEVR_{split}_questions.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"questions": questions}))
    return root
