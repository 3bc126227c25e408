"""VQA codec: question and image are sent apart, fused and answered at the server.

Of the question the tokens cross the channel, as of the text codec's sentences, and the server encodes what it
believes (`deepsc.vqa.question`); of the image the features that DeiT's first blocks make at the UE. Each has
a JSC codec with its own k and SNR. At the server both are fused (`deepsc.vqa.fusion`), and a classifier picks
the answer. Without JSC codecs the same class is the local model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from deepsc.codec.base import Codec, TensorBatch, answer_loss
from deepsc.image.model import build_deit
from deepsc.link.bigrams import bigrams_of
from deepsc.link.jsc import JSCDecoder, JSCEncoder
from deepsc.link.principal import start_as_principal_code
from deepsc.link.token_code import (
    Expectation,
    TokenDecoder,
    TokenEncoder,
    send_tokens,
    start_token_code,
)
from deepsc.link.transmission import Link, transmit
from deepsc.vqa.config import VQACodecConfig
from deepsc.vqa.fusion import Fusion
from deepsc.vqa.question import QuestionEncoder


@dataclass(frozen=True, kw_only=True)
class VQABatch(TensorBatch):
    """M images and B questions about them; an image with several questions is encoded and sent once."""

    images: Tensor
    """(M, 3, H, W), normalised with ImageNet's mean and deviation; or what a frozen stem makes of them,
    (M, 112, H / 16, W / 16)."""
    question: Tensor
    """(B, S), token ids."""
    mask: Tensor
    """(B, S), 1 for valid tokens."""
    image_of: Tensor
    """(B,), which image each question is about."""
    target: Tensor
    """(B,), index of each answer."""
    of_whole: Tensor | None = None
    """(2, M), bigrams of the whole batch's questions, where this is one process's part of it."""
    tokens_a_question: Tensor | None = None
    """Scalar, mean of the whole batch, where this is one process's part of it."""

    @property
    def bigrams(self) -> Tensor:
        """Bigrams of the questions, (2, M), of all processes' parts."""
        return bigrams_of(self.question, self.mask) if self.of_whole is None else self.of_whole

    @property
    def sizes(self) -> tuple[int, int]:
        """Items in each transmission: B questions, M images."""
        return self.question.shape[0], self.images.shape[0]

    @override
    def part(self, rank: int, ranks: int) -> tuple[VQABatch, tuple[Tensor, Tensor]]:
        """Every `ranks`-th image from `rank` on, with its questions; see `deepsc.codec.base.Batch`."""
        images = torch.arange(len(self.images))[rank::ranks]
        questions = torch.isin(self.image_of, images).nonzero().squeeze(1)
        part = VQABatch(
            images=self.images[images],
            question=self.question[questions],
            mask=self.mask[questions],
            image_of=(self.image_of[questions] - rank) // ranks,
            target=self.target[questions],
            of_whole=self.bigrams,
            tokens_a_question=self.mask.sum() / len(self.mask),
        )
        return part, (questions, images)


class VQACodec(Codec):
    """Two semantic encoders, two JSC codecs, fusion and answer classifier.

    Args:
        config: architecture; without k it is the local model, which has no JSC codecs.
    """

    config: VQACodecConfig

    def __init__(self, config: VQACodecConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = QuestionEncoder(
            vocab_size=config.vocab_size,
            width=config.text_width,
            layers=config.text_layers,
            heads=config.text_heads,
            dropout=config.dropout,
            max_length=config.max_length,
        )
        self.image_encoder = build_deit(
            config,
            classes=0,
            width=config.image_width,
            heads=config.image_heads,
            depth=config.image_layers,
            drop_path=0.0,
        )
        self.text_jsc_encoder: TokenEncoder | None = None
        self.text_jsc_decoder: TokenDecoder | None = None
        self.text_jsc_expectation = Expectation()
        self.image_jsc_encoder: JSCEncoder | None = None
        self.image_jsc_decoder: JSCDecoder | None = None
        if config.uplinks:
            self.text_jsc_encoder = TokenEncoder(vocab_size=config.vocab_size, k_max=config.k_text[-1])
            self.text_jsc_decoder = _question_decoder(config)
            self.image_jsc_encoder = JSCEncoder(
                d_model=config.image_width, k_max=config.k_image[-1], snr_range_db=config.snr_range_db
            )
            self.image_jsc_decoder = JSCDecoder(
                d_model=config.image_width, k_max=config.k_image[-1], snr_range_db=config.snr_range_db
            )
        self.text_projection = nn.Linear(config.text_width, config.fusion_width)
        self.image_projection = nn.Linear(config.image_width, config.fusion_width)
        self.fusion = Fusion(
            width=config.fusion_width,
            heads=config.fusion_heads,
            layers=config.fusion_layers,
            dropout=config.dropout,
        )
        self.head = nn.Linear(config.fusion_width, len(config.answers))

    @override
    def start(self, batches: Iterable[VQABatch], *, from_local: bool) -> None:
        """Questions start from their tokens and bigrams, images from the local model's features."""
        if self.text_jsc_encoder is None or self.text_jsc_decoder is None:
            return
        bigrams = torch.cat([batch.bigrams for batch in batches], dim=1)
        start_token_code(self.text_jsc_encoder, self.text_jsc_decoder, bigrams)
        if from_local and self.image_jsc_encoder is not None and self.image_jsc_decoder is not None:
            features = self.features_of(batches, lambda batch: self.encode_image(batch.images))
            start_as_principal_code(self.image_jsc_encoder, self.image_jsc_decoder, features)

    def posterior(
        self, question: Tensor, mask: Tensor, link: Link | None, *, held_out: Tensor | None = None
    ) -> Tensor:
        """Send a question: token ids (B, S) and mask (B, S) to logits of the tokens at the server, (B, S, V).

        `held_out` is as of `TokenDecoder`.
        """
        ends = self.text_jsc_encoder, self.text_jsc_decoder
        return send_tokens(*ends, question, mask, link, held_out=held_out)

    def understand(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Question encoder at the server: logits (B, S, V) to features (B, S, text_width)."""
        return self.text_encoder(self.expect(logits), mask)

    def expect(self, logits: Tensor) -> Tensor:
        """Expected embedding of each token: logits (B, S, V) to (B, S, text_width)."""
        return self.text_jsc_expectation(logits, self.text_encoder.embeddings.weight)

    def transmit_question(self, question: Tensor, mask: Tensor, link: Link | None) -> Tensor:
        """Question features at the server, (B, S, text_width), of token ids (B, S) and mask (B, S).

        The local model reads no link.
        """
        if self.text_jsc_encoder is None:
            return self.text_encoder(self.text_encoder.embeddings(question), mask)
        return self.understand(self.posterior(question, mask, link), mask)

    def encode_image(self, images: Tensor) -> Tensor:
        """At the UE: images (M, 3, H, W) to features of S^I tokens (M, S^I, image_width).

        A hybrid takes what its stem makes of them, too; see `VQABatch`.
        """
        return self.image_encoder.forward_features(images)

    def transmit_image(self, features: Tensor, link: Link | None) -> Tensor:
        """Image features at the server, (M, S^I, image_width); see `deepsc.link.transmission.transmit`."""
        mask = torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
        return transmit(self.image_jsc_encoder, self.image_jsc_decoder, features, mask, link)

    def answer(self, question: Tensor, mask: Tensor, image: Tensor, image_of: Tensor | None = None) -> Tensor:
        """Fusion and classifier, at the server.

        Args:
            question: (B, S, text_width), as received.
            mask: (B, S).
            image: (M, S^I, image_width), as received.
            image_of: (B,), which image each question is about; None: the i-th about the i-th.

        Returns:
            Logits, (B, answers).
        """
        fused = self.fusion(
            self.text_projection(question), mask, self.image_projection(image), image_of
        )  # (B, S, fusion_width)
        valid = mask.unsqueeze(2).to(fused.dtype)  # (B, S, 1)
        return self.head((fused * valid).sum(dim=1) / valid.sum(dim=1))

    def loss(
        self,
        batch: VQABatch,
        text_link: Link | None = None,
        image_link: Link | None = None,
        *,
        label_smoothing: float = 0.0,
        consistency: float | None = None,
    ) -> Tensor:
        """Cross-entropy per answer, in nats; a codec's question tokens add their own, per token.

        Args:
            batch: images, questions and answers.
            text_link: how the B questions cross the channel, None for the local model.
            image_link: how the M images cross it.
            label_smoothing: share of the probability spread over the answers.
            consistency: of two passes, as in `answer_loss`.

        Returns:
            Scalar.
        """
        token_loss = torch.zeros((), device=batch.question.device)
        believed: Tensor | None = None
        if self.text_jsc_encoder is not None:
            held_out = batch.bigrams if self.training else None
            believed = self.posterior(batch.question, batch.mask, text_link, held_out=held_out)
            valid = batch.mask.bool()
            token_loss = nn.functional.cross_entropy(believed[valid], batch.question[valid], reduction="sum")
            usual = valid.sum() / len(valid) if batch.tokens_a_question is None else batch.tokens_a_question
            token_loss = token_loss / (len(valid) * usual)  # so that the parts of a batch sum to it

        def answer() -> Tensor:
            if believed is None:
                question = self.transmit_question(batch.question, batch.mask, None)
            else:
                question = self.understand(believed, batch.mask)
            image = self.transmit_image(self.encode_image(batch.images), image_link)
            return self.answer(question, batch.mask, image, batch.image_of)  # (B, answers)

        return token_loss + answer_loss(
            answer, batch.target, label_smoothing=label_smoothing, consistency=consistency
        )


def _question_decoder(config: VQACodecConfig) -> TokenDecoder:
    return TokenDecoder(
        vocab_size=config.vocab_size,
        k_max=config.k_text[-1],
        width=config.text_width,
        layers=config.context_layers,
        heads=config.text_heads,
        dropout=config.dropout,
        max_length=config.max_length,
        snr_range_db=config.snr_range_db,
        bigrams=config.bigrams,
        end=config.eos_id,
    )
