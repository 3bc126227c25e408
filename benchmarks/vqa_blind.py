"""How much a VQA model looks: right answers with each image, with another one, and by language alone.

python benchmarks/vqa_blind.py --local vqa-daquar-easy --limit 300 --data-dir DATA
"""

from __future__ import annotations

import sys

import numpy as np

from data.questions.sets import Question, VQASplit
from data.settings import Parser, run_command
from deepsc.checkpoint import from_pretrained
from deepsc.vqa.evaluate import VQAEvaluator
from deepsc.vqa.model import VQACodec
from deepsc.zoo.find import resolve


def main() -> None:
    from data.questions.load import load_vqa

    flags = Parser(prog="vqa_blind.py", description=__doc__)
    flags.add_argument("--local", required=True, help="checkpoint of a local model, or a codec that ships")
    flags.add_argument("--data-dir", help="folder that holds the data")
    flags.add_argument("--limit", type=int, help="test images")
    options = flags.parse_args()

    def body() -> None:
        checkpoint = from_pretrained(resolve(options.local, "local", setting="local"))
        assert isinstance(checkpoint.codec, VQACodec)
        vqa = load_vqa(**dict(checkpoint.document["corpus"]) | {"data_dir": options.data_dir})
        split = vqa.test.head(options.limit)
        # The images in turn, so that each question is asked of the next one.
        count = len(split.images)
        turned = [Question((q.image + 1) % count, q.text, q.answer) for q in split.questions]
        other = VQASplit(images=split.images, questions=tuple(sorted(turned, key=lambda q: q.image)))
        frequent = np.mean([question.answer == vqa.answers[0] for question in split.questions])
        print(f"{len(split.questions)} questions about {count} images of {vqa.name}, right in percent")
        print(f"the most frequent answer          {100 * frequent:6.2f}")
        print(f"two words of the question         {vqa.language_prior(split.questions):6.2f}")
        for name, asked in (("the model, with another image", other), ("the model", split)):
            evaluator = VQAEvaluator(checkpoint.codec, checkpoint.tokenizer, asked, channel=None)
            counts, _ = evaluator.measure(k=(0, 0), snr_db=(0.0, 0.0), seed=0)
            print(f"{name:32}  {evaluator.score(counts.sum(axis=0)):6.2f}", flush=True)

    sys.exit(run_command("vqa_blind.py", body))


if __name__ == "__main__":
    main()
