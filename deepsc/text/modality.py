"""Text: sentences, translated or reconstructed."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.files.errors import ToolkitError
from data.terminal.flag_types import int_list, positive_int
from data.text.parallel import DATASETS
from deepsc.modality import Dataset, Material, Modality, TestData
from deepsc.text.config import CorpusConfig, TextCodecConfig, TextRunConfig
from deepsc.train.config import TrainConfig

if TYPE_CHECKING:
    from deepsc.codec.base import Codec
    from deepsc.codec.checkpoint import Checkpoint
    from deepsc.digital import Digital
    from deepsc.link.channel import Channel
    from deepsc.text.evaluate import TextEvaluator

_DATASET = "multi30k"


class TextModality(Modality[TextRunConfig]):
    """A Marian Transformer, cut between encoder and decoder."""

    name = "text"
    run_config = TextRunConfig
    codec_config = TextCodecConfig
    corpus_config = CorpusConfig
    data_dir_datasets = ("multi30k",)
    example_flags = "--dataset captions --preset tiny"
    example_k = "--k 4,8,12,16,20"
    has_text = True
    sweep_options = ("beams", "bleu_tokenize")

    def add_flags(self, model: argparse._ArgumentGroup, data: argparse._ArgumentGroup) -> None:
        """Add k and the corpus."""
        model.add_argument("--k", type=int_list, default=(16,), metavar="K[,K...]",
                           help="complex channel symbols per token, eq. (4)'s k")  # fmt: skip
        # No default: it shows whether the flag was given.
        data.add_argument("--dataset", choices=DATASETS, help="captions: synthetic, no download; "
                          f"europarl: nltk's comtrans (default: {_DATASET})")  # fmt: skip
        data.add_argument("--pair", metavar="SRC-TGT", help="languages, such as en-de or en-fr; of an own "
                          "corpus too: BLEU's tokenizer follows the target language "
                          f"(default: {CorpusConfig.pair})")  # fmt: skip
        data.add_argument("--caption-count", type=positive_int, help="training pairs of captions "
                          f"(default: {CorpusConfig.caption_count})")  # fmt: skip
        data.add_argument(
            "--source", metavar="FILE", help="own corpus: source sentences, one a line, plain or .gz"
        )
        data.add_argument(
            "--target", metavar="FILE", help="own corpus: target sentences, aligned with --source"
        )

    def config_from_args(
        self, args: argparse.Namespace, *, training: TrainConfig, **shared: Any
    ) -> TextRunConfig:
        """Flags to config."""
        if (args.source is None) != (args.target is None):
            raise ToolkitError("--source and --target must be given together")
        if args.source is not None and args.dataset is not None:
            raise ToolkitError(f"--dataset: {args.dataset!r} given, --source and --target have none")
        dataset = "files" if args.source is not None else args.dataset or _DATASET
        if args.caption_count is not None and dataset != "captions":
            raise ToolkitError(
                f"--caption-count: {args.caption_count} given, --dataset captions alone has one"
            )
        names = ("pair", "data_dir", "caption_count", "source", "target")
        given = {name: value for name in names if (value := getattr(args, name)) is not None}
        corpus = CorpusConfig(dataset=dataset, **given)
        return TextRunConfig(corpus=corpus, training=training, k=args.k, **shared)

    def codec(self, config: TextCodecConfig) -> Codec:
        """The model."""
        from deepsc.text.model import TextCodec

        return TextCodec(config)

    def material(self, config: TextRunConfig, initial: Checkpoint | None) -> Material:
        """Corpus, tokenizer and starting weights."""
        from deepsc.text.material import text_material

        return text_material(config, initial)

    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test pairs; option "beams" is the width of the search, "bleu_tokenize" sacreBLEU's tokenizer."""
        import numpy as np

        from deepsc.digital.text import code_names
        from deepsc.text.bleu_tokenizer import USUAL, choose_tokenizer
        from deepsc.text.evaluate import text_evaluator
        from deepsc.text.material import load_corpus

        fields = dict(document["corpus"]) | {"data_dir": data_dir}
        config, task = CorpusConfig(**fields), str(document["task"])
        corpus = load_corpus(config, task=task)
        pairs = corpus.test[:limit]
        references = [reference for _, reference in pairs]
        tokenize = choose_tokenizer(
            options.get("bleu_tokenize"), language=config.language(task), references=references
        )
        scorer = text_evaluator(tokenize)

        def evaluator(checkpoint: Checkpoint, channel: Channel | None) -> TextEvaluator:
            from deepsc.text.model import TextCodec

            assert isinstance(checkpoint.codec, TextCodec)
            assert checkpoint.tokenizer is not None
            return scorer(
                checkpoint.codec, checkpoint.tokenizer, pairs, channel=channel, beams=options["beams"]
            )

        def digital(checkpoint: Checkpoint, channel: Channel, code: str) -> Digital:
            from data.text.tokenizer import encode_within
            from deepsc.digital import Digital, TextSource, channel_code
            from deepsc.text.evaluate import BleuStatistics

            config, tokenizer = checkpoint.codec.config, checkpoint.tokenizer
            assert isinstance(config, TextCodecConfig)
            assert tokenizer is not None
            sources = [source for source, _ in pairs]
            ids = encode_within(tokenizer, sources, max_length=config.max_length)
            coder = TextSource(
                [source for source, _ in corpus.train],
                tokenizer,
                vocab_size=config.vocab_size,
                max_length=config.max_length,
            )
            bits, shares = coder.sizes(sources)
            counts, _ = evaluator(checkpoint, None).measure(k=0, snr_db=0.0, seed=0)
            return Digital(
                bits=bits[:, None],
                counts=counts[:, None],
                nothing=BleuStatistics([""] * len(pairs), references, tokenize=tokenize).counts,
                tokens=np.array([len(row) for row in ids]),
                channel=channel,
                code=channel_code(code),
                figures={f"share coded by {name}": share for name, share in shares.items()},
            )

        return TestData(
            dataset=Dataset.of(corpus),
            items=len(pairs),
            fingerprint=hashlib.sha256(json.dumps(pairs).encode()).hexdigest(),
            scorer=scorer,
            evaluator=evaluator,
            metric_options={} if tokenize == USUAL else {"bleu_tokenize": tokenize},
            digital=digital,
            source_codes=code_names(),
        )


MODALITY = TextModality()
