"""`deepsc.load`: codecs by name or folder, items sent over a channel, the local model beside."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import deepsc
from data.files.errors import ToolkitError
from deepsc.link.channel import Rayleigh
from deepsc.modality import Answer, Links, Sender
from deepsc.text.evaluate import TextEvaluator, corpus_bleu
from deepsc.text.send import TextSender
from deepsc.transceiver import Transceiver
from deepsc.zoo.find import resolve

SENTENCES = ["A man sits on a bench.", "Two dogs run.", "A woman rides a red bicycle in the park."]


@pytest.fixture(scope="module")
def model(folders: dict[str, Path]) -> Transceiver:
    return deepsc.load(folders["codec"], local=folders["local"])


def test_sentences_cross_the_channel(model: Transceiver) -> None:
    sent = model.transmit(SENTENCES, k=4, snr_db=6.0)
    assert len(sent.texts) == 3
    assert model.tokenizer is not None
    assert sent.uses == [4 * len(row) for row in model.tokenizer.encode(SENTENCES)]
    for symbols, received in zip(sent.sent, sent.received, strict=True):
        assert np.mean(abs(symbols) ** 2) == pytest.approx(1, abs=1e-5)
        # Behind the MMSE equaliser the error is 1 / (snr + 1) of the symbols' energy.
        assert np.mean(abs(received - symbols) ** 2) == pytest.approx(1 / (10**0.6 + 1), rel=0.6)
    again = model.transmit(SENTENCES, k=4, snr_db=6.0)
    assert again.texts == sent.texts
    assert not np.array_equal(
        model.transmit(SENTENCES, k=4, snr_db=6.0, seed=1).received[0], sent.received[0]
    )


def test_without_noise_it_is_what_the_map_measures(model: Transceiver, corpus: object) -> None:
    """At 100 dB, on test pairs: the evaluator's counts say the same accuracy."""
    pairs = corpus.test[:16]  # type: ignore[attr-defined]
    evaluator = TextEvaluator(model.codec, model.tokenizer, pairs, channel=model.channel)  # type: ignore[arg-type]
    counts, _ = evaluator.measure(k=6, snr_db=100.0, seed=0)
    texts = model.transmit([source for source, _ in pairs], k=6, snr_db=100.0).texts
    assert isinstance(model.sender, TextSender)
    scores = [model.sender.bleu(text, reference) for text, (_, reference) in zip(texts, pairs, strict=True)]
    assert scores == pytest.approx([corpus_bleu(row) for row in counts])


def test_k_snr_and_channel_are_checked(model: Transceiver) -> None:
    for wrong, message in (
        ({"k": 3}, "k: 3 given, trained: 2, 4, 6"),
        ({"snr_db": 200.0}, "snr_db: 200.0 given, -100 to 100 is allowed"),
        ({"k": (2, 4)}, r"k: \(2, 4\) given, one a transmission is allowed: 1"),
        ({"channel": "copper"}, "channel: 'copper' given, allowed: awgn, rayleigh, rician"),
    ):
        with pytest.raises(ToolkitError, match=message):
            model.transmit(SENTENCES[:1], **wrong)  # type: ignore[arg-type]
    assert model.transmit(SENTENCES[:1]).uses == model.transmit(SENTENCES[:1], k=6).uses
    faded = model.transmit(SENTENCES[:1], channel="rayleigh").received[0]
    assert np.array_equal(faded, model.transmit(SENTENCES[:1], channel=Rayleigh()).received[0])


def test_the_local_model_needs_no_channel(
    model: Transceiver, folders: dict[str, Path], local: deepsc.Checkpoint
) -> None:
    assert model.local(SENTENCES) == [
        local.modality.sender(local).send(one, lambda *_: None).text for one in SENTENCES
    ]
    alone = deepsc.load(folders["codec"])
    assert alone.texts if hasattr(alone, "texts") else alone.transmit(SENTENCES[:1]).texts
    with pytest.raises(ToolkitError, match="local: none given, the codec came without its local model"):
        alone.local(SENTENCES)
    with pytest.raises(ToolkitError, match="local: a codec given"):
        deepsc.load(folders["codec"], local=folders["codec"])
    with pytest.raises(ToolkitError, match="codec: a local model given"):
        deepsc.load(folders["local"]).transmit(SENTENCES[:1])


def test_separate_coding_arrives_whole_or_not_at_all(model: Transceiver) -> None:
    coded = model.separate(SENTENCES[0])
    (bits,) = coded.coded.bits
    assert model.tokenizer is not None
    uses = 4 * len(model.tokenizer.encode(SENTENCES[:1])[0])
    cliff_db = 10 * np.log10(2 ** (bits / uses) - 1)  # an ideal code carries log2(1 + snr) bits a use
    whole = coded.transmit(k=4, snr_db=cliff_db + 0.01)
    assert whole is not None
    assert whole.text == model.local(SENTENCES[:1])[0]
    assert coded.transmit(k=4, snr_db=cliff_db - 0.01) is None


def test_an_image_and_its_question(
    image_folders: dict[str, Path], vqa_folders: dict[str, Path], clevr: Path
) -> None:
    images = deepsc.load(image_folders["codec"], local=image_folders["local"])
    path = next((clevr / "clevr" / "images" / "val").glob("*.png"))
    sent = images.transmit([path], k=4, snr_db=18.0)
    assert sent.texts[0] in images.document["class_names"]
    assert sent.answers[0].embedding is not None
    assert sent.uses == [4 * images.codec.config.image_tokens]  # type: ignore[attr-defined]
    coded = images.separate(path)
    assert len(coded.answers) == 1 + len(coded.coded.bits)
    assert coded.transmit(k=4, snr_db=-30.0) is None or coded.coded.bits[0] < sent.uses[0]
    both = deepsc.load(vqa_folders["codec"], local=vqa_folders["local"])
    asked = both.transmit([(path, "What color is the cube?")], k=(3, 2), snr_db=(18.0, 12.0))
    assert asked.texts[0] in both.codec.config.answers  # type: ignore[attr-defined]
    assert both.local([(path, "What color is the cube?")])[0] in both.codec.config.answers  # type: ignore[attr-defined]
    assert both.tokenizer is not None
    questions = len(both.tokenizer.encode(["What color is the cube?"])[0])
    assert asked.uses == [3 * questions + 2 * both.codec.config.image_tokens]  # type: ignore[attr-defined]
    with pytest.raises(ToolkitError, match="vqa has no separate coding"):
        both.separate((path, "What color is the cube?"))


def test_a_name_that_does_not_ship_is_answered_with_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deepsc.list_codecs() == tuple(sorted(deepsc.list_codecs()))
    with pytest.raises(ToolkitError) as caught:
        deepsc.load("text-klingon")
    assert str(caught.value).startswith("codec: 'text-klingon' given, ")
    for name in deepsc.list_codecs():
        assert name in str(caught.value)
        assert resolve(name, "local", setting="local").endswith(f"{name}/local")
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).mkdir()
        assert resolve(name, "local", setting="local") == name, "a folder that is there comes first"


@pytest.mark.parametrize("name", deepsc.list_codecs())
def test_a_shipped_codec_is_used_by_its_name(name: str) -> None:
    model = deepsc.load(name)
    assert model.card is not None
    assert model.card.startswith(f"# {name}\n")
    if model.modality.name == "text":
        sentence = "Two dogs run through the snow."
        heard = model.transmit([sentence], snr_db=18.0)
        assert heard.texts == model.local([sentence])
        assert heard.texts[0].split()[0] == "Zwei"


def test_a_modality_without_a_sender_says_so(model: Transceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Sender):
        @staticmethod
        def read(words: object) -> object:
            return words

        def send(self, item: object, links: Links) -> Answer:
            return Answer(str(links(0, torch.zeros(1, 2))))

    with pytest.raises(ToolkitError, match="digital: given, text has no separate coding"):
        Mute(model).separate("x", channel=model.channel, code="capacity", data_dir=None)
    kind = model.modality
    monkeypatch.setattr(type(kind), "__module__", "deepsc.link.modality")
    with pytest.raises(ToolkitError, match="text: this modality has no sender"):
        kind.sender(model)


def test_one_sentence_is_no_list_of_items(model: Transceiver) -> None:
    for send in (model.transmit, model.local):
        with pytest.raises(ToolkitError, match="items: 'Two dogs' given, a list of items is allowed"):
            send("Two dogs")


def test_a_folder_of_both_models_is_enough(folders: dict[str, Path], tmp_path: Path) -> None:
    """As the README's chain leaves its `runs`: no card, no maps."""
    (tmp_path / "codec").symlink_to(folders["codec"])
    alone = deepsc.load(tmp_path)
    assert (alone.card, alone.local_model) == (None, None)
    (tmp_path / "local").symlink_to(folders["local"])
    assert deepsc.load(tmp_path).local(SENTENCES[:1])


def test_a_codec_of_lower_case_questions_reads_capitals() -> None:
    model = deepsc.load("vqa-easy-vqa-easy")
    circle = np.full((64, 64, 3), 255, dtype=np.uint8)
    y, x = np.ogrid[:64, :64]
    circle[(y - 30) ** 2 + (x - 30) ** 2 < 150] = (0, 255, 0)
    for question in ("what color is the shape?", "What COLOR is the shape?"):
        assert model.local([(circle, question), (Image.fromarray(circle), question)]) == ["green", "green"]


def test_bleu_is_by_the_tokenizer_of_the_target_language(model: Transceiver) -> None:
    document = {**model.document, "corpus": {**model.document["corpus"], "pair": "en-zh"}}
    chinese = TextSender(dataclasses.replace(model, document=document))
    assert chinese.bleu("一个男人坐着", "一个男人站着") > 20
    assert TextSender(model).bleu("一个男人坐着", "一个男人站着") == 0, "one word without a space"
