"""Starting from opus-mt weights, on a folder laid out as Helsinki-NLP/opus-mt-en-de is."""

import json
import shutil

import huggingface_hub.constants
import pytest
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from data.files.errors import ToolkitError
from data.files.provenance import sha256_of
from data.text.parallel import load_parallel
from deepsc.checkpoint import from_pretrained
from deepsc.command import main
from deepsc.config import TrainConfig
from deepsc.text.config import CorpusConfig, TextRunConfig
from deepsc.text.evaluate import decode_sentences, encode_sentences
from deepsc.text.model import TextCodec
from deepsc.text.opus_mt import load_opus_mt
from deepsc.train.run import train_codec


def write_opus_mt(folder, **changes):
    """SentencePiece models a side, one vocabulary </s>, <unk>, ..., <pad> for both, and small weights."""
    folder.mkdir()
    corpus = load_parallel(
        dataset="captions", pair="en-de", data_dir=None, caption_count=400, source=None, target=None
    )
    pieces = []
    for side, name in enumerate(("source", "target")):
        text = folder / f"{name}.txt"
        text.write_text("\n".join(pair[side] for pair in corpus.train), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(folder / name),
            vocab_size=150,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        pieces += [model.id_to_piece(i) for i in range(3, model.get_piece_size())]
    words = ["</s>", "<unk>", *dict.fromkeys(pieces), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    )
    tokenizer.save_pretrained(folder)
    pad = len(words) - 1
    fields = {
        "vocab_size": len(words), "d_model": 16, "dropout": 0.0, "max_position_embeddings": 64,
        "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
        "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32,
        "activation_function": "swish", "scale_embedding": True,
        "pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad, "forced_eos_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = MarianMTModel(MarianConfig(**fields | changes))
    model.final_logits_bias.normal_()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def opus_mt(tmp_path_factory):
    return write_opus_mt(tmp_path_factory.mktemp("hub") / "opus-mt-en-de")


def run_config(folder, output, **changes):
    fields = {
        "corpus": CorpusConfig(dataset="captions", caption_count=40),
        "training": TrainConfig(epochs=1, batch_tokens=512, learning_rate=1e-3, warmup_steps=2),
        "output": str(output),
        "pretrained": str(folder),
        "k": (2, 4),
    }
    return TextRunConfig(**fields | changes)


def test_codec_starts_from_the_weights_bias_and_tokenizer(opus_mt, tmp_path):
    reference = MarianMTModel.from_pretrained(opus_mt)
    with pytest.raises(ToolkitError, match="first epoch"):  # killed before a step: nothing learned yet
        train_codec(run_config(opus_mt, tmp_path / "codec"), stop_after_steps=0)
    checkpoint = train_codec(run_config(opus_mt, tmp_path / "codec", resume=True))
    assert checkpoint.document["init_from"] == sha256_of(opus_mt / "model.safetensors")
    codec = checkpoint.codec
    assert codec.config.preset == "opus-mt-en-de"
    assert (codec.config.pad_id, codec.config.eos_id) == (reference.config.pad_token_id, 0)
    assert torch.equal(
        codec.transformer.final_logits_bias, reference.final_logits_bias
    )  # a buffer, not trained
    for ours, theirs in zip(codec.transformer.parameters(), reference.parameters(), strict=True):
        assert torch.equal(ours, theirs), "the pretrained weights are kept"
    sentence = "a man is reading a book ."
    expected = MarianTokenizer.from_pretrained(opus_mt)([sentence])["input_ids"]
    assert from_pretrained(tmp_path / "codec").tokenizer.encode([sentence]) == expected


def test_local_codec_translates_as_transformers_does(opus_mt):
    loaded = load_opus_mt(str(opus_mt))
    codec = TextCodec(loaded.config).eval()
    codec.transformer.load_state_dict(loaded.transformer.state_dict())
    reference = MarianMTModel.from_pretrained(opus_mt).eval()
    reference.generation_config.forced_eos_token_id = None  # where the room ends; ours just stops there
    theirs = MarianTokenizer.from_pretrained(opus_mt)
    for sentence in ("two dogs run .", "the girl sees the small red car in front of the house ."):
        inputs = theirs([sentence], return_tensors="pt")
        pad = reference.config.pad_token_id
        longest = min(2 * inputs["input_ids"].shape[1] + 8, loaded.config.max_length - 1)
        ids = reference.generate(
            **inputs, num_beams=1, do_sample=False, max_new_tokens=longest, suppress_tokens=[pad]
        )
        (batch,) = encode_sentences(codec, loaded.tokenizer, [sentence])
        ((text,),) = decode_sentences(codec, loaded.tokenizer, batch, [None])
        assert text
        assert text == theirs.batch_decode(ids, skip_special_tokens=True)[0].strip()


def test_hub_weights_are_told_by_the_file_in_its_cache(opus_mt, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository, commit = tmp_path / "models--Helsinki-NLP--opus-mt-en-de", "0" * 40
    shutil.copytree(opus_mt, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    found = load_opus_mt("Helsinki-NLP/opus-mt-en-de").weights_file
    assert found == repository / "snapshots" / commit / "model.safetensors"


def test_target_side_has_its_own_sentencepiece(opus_mt):
    tokenizer = load_opus_mt(str(opus_mt)).tokenizer
    sentence = "der mann liest ein buch ."
    assert tokenizer.encode_target([sentence]) != tokenizer.encode([sentence])
    assert tokenizer.decode(tokenizer.encode_target([sentence])) == [sentence]


def test_other_architectures_are_refused_by_name(tmp_path):
    folder = write_opus_mt(tmp_path / "other", activation_function="relu", decoder_layers=2)
    with pytest.raises(
        ToolkitError, match=r"activation_function is relu.*encoder_layers 1 is not decoder_layers 2"
    ):
        load_opus_mt(str(folder))


def test_mistakes_are_one_line_and_leave_nothing(opus_mt, tmp_path, capsys):
    output = tmp_path / "codec"
    common = ["--modality", "text", "--dataset", "captions", "--caption-count", "40", "--output", str(output)]
    for flags, says in (
        (["--pretrained", str(tmp_path / "missing")], "missing"),
        (["--pretrained", str(opus_mt), "--init-from", "x"], "--init-from: given beside --pretrained"),
    ):
        assert main(common + flags) == 2
        error = capsys.readouterr().err.strip()
        assert says in error
        assert "\n" not in error
        assert not output.exists()


def test_bpe_dropout_is_refused(opus_mt, tmp_path):
    config = run_config(
        opus_mt, tmp_path / "local", bpe_dropout=0.1,
        training=TrainConfig(epochs=1, batch_tokens=512, learning_rate=1e-3, warmup_steps=2, channel=None),
    )  # fmt: skip
    with pytest.raises(ToolkitError, match=r"0\.1 given, opus-mt's tokenizer has no merges; 0 is allowed"):
        train_codec(config)
    assert not (tmp_path / "local").exists()
