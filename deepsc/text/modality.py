"""Text: sentences, translated or reconstructed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from deepsc.modality import Checkpoint, Dataset, Modality, TestData
from deepsc.text.config import CorpusConfig, TextCodecConfig, TextRunConfig

if TYPE_CHECKING:
    from deepsc.digital import Digital
    from deepsc.link.channel import Channel
    from deepsc.text.evaluate import TextEvaluator


class TextModality(Modality[TextRunConfig]):
    """Tokens, sent as points of a constellation, and a Marian Transformer at the server."""

    name = "text"
    run_config = TextRunConfig
    codec_config = TextCodecConfig
    codec_name = "TextCodec"
    corpus_config = CorpusConfig
    example_flags = "--dataset captions --preset tiny"
    example_k = "--k 4,8,12,16,20"
    has_text = True
    sweep_options = ("beams", "bleu_tokenize")

    @override
    def test_data(
        self,
        document: Mapping[str, Any],
        *,
        data_dir: str | None,
        limit: int | None,
        options: Mapping[str, Any],
    ) -> TestData:
        """Test pairs; option "beams" is the width of the search, "bleu_tokenize" sacreBLEU's tokenizer."""
        from deepsc.digital.text import code_names
        from deepsc.text.bleu_tokenizer import USUAL, choose_tokenizer
        from deepsc.text.evaluate import text_evaluator, tokens_per_word
        from deepsc.text.material import corpus_of

        config, task = CorpusConfig(**document["corpus"]), str(document["task"])
        corpus = corpus_of(document, data_dir)
        pairs = corpus.test[:limit]
        references = [reference for _, reference in pairs]
        tokenize = choose_tokenizer(
            options["bleu_tokenize"], language=config.language(task), references=references
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
            from deepsc.text.separate import separate_text

            counts, _ = evaluator(checkpoint, None).measure(k=0, snr_db=0.0, seed=0)
            return separate_text(
                checkpoint, pairs, counts, train=corpus.train, tokenize=tokenize, channel=channel, code=code
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
            tokens_per_word=lambda tokenizer: tokens_per_word(tokenizer, [source for source, _ in pairs]),
            whole=len(corpus.test),
        )


MODALITY = TextModality()
