"""The command transmit: what it shows, and its mistakes in one line with exit status 2."""

import io
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import deepsc
from accuracy_maps.transmit.command import main
from accuracy_maps.transmit.config import TransmitConfig
from accuracy_maps.transmit.words import different_words, marked
from data.terminal.colour import has_colour
from deepsc.checkpoint import read_config
from deepsc.text.evaluate import BleuStatistics, corpus_bleu
from deepsc.zoo.find import DEFAULTS, resolve

ROOT = Path(__file__).parents[3]
SENTENCE = "A man sits on a bench."


@pytest.fixture
def flags(folders: dict[str, Path]) -> list[str]:
    return ["--codec", str(folders["codec"]), "--local", str(folders["local"]), "--snr-db", "-20,60"]


def blocks(text: str) -> list[list[str]]:
    """Lines of the head and of each k."""
    return [block.split("\n") for block in text.strip().split("\n\n")]


def test_a_sentence_arrives_or_not(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([SENTENCE, *flags, "--seed", "1"]) == 0
    printed = capsys.readouterr()
    head, *of_k, legend = blocks(printed.out)
    assert head[0].split() == ["sent", *SENTENCE.split()]
    local = head[1].removeprefix("local").strip()
    assert head[2].endswith("awgn channel")
    assert [lines[0].partition(":")[0] for lines in of_k] == ["k = 2", "k = 4", "k = 6"]
    for lines in of_k:
        (k, uses), (words,) = re.findall(r"\d+", lines[0])[:2], re.findall(r"([\d.]+) a word", lines[0])
        assert int(uses) % int(k) == 0
        assert float(words) == pytest.approx(int(uses) / 6, abs=0.05)
        low, high = lines[1:]
        assert re.match(r" *-20 dB [= ] ", low)
        assert re.match(r" *60 dB [= ] ", high)
        for line in (low, high):
            sign, text = re.fullmatch(r" *-?\d+ dB ([= ]) (.*)", line).groups()  # type: ignore[union-attr]
            said, bleu = re.fullmatch(r"(.*?)(?:  \(BLEU (\d+)\))?", text).groups()  # type: ignore[union-attr]
            assert (sign == "=") == (said == local) == (bleu is None)
            assert sign == "=" or int(bleu) == round(corpus_bleu(BleuStatistics([said], [local]).counts[0]))
    assert legend[0] == "= : what the local model says, too; BLEU is to that"
    assert legend[1].startswith(
        f"next: transmit --serve --codec {flags[flags.index('--codec') + 1]} --local "
    )
    assert "\033" not in printed.out
    assert main([SENTENCE, *flags, "--seed", "1"]) == 0
    assert capsys.readouterr().out == printed.out


def test_separate_coding_and_bleu_stand_beside_it(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([SENTENCE, *flags, "--k", "4", "--digital", "--reference", "Ein Mann sitzt."]) == 0
    head, (_, low, lost, high, whole), _ = blocks(capsys.readouterr().out)
    local = head[1].removeprefix("local").strip()
    assert re.search(r"  BLEU \d+\.\d$", local)
    assert re.fullmatch(r"digital +\d+ bits, channel code capacity, then the local model", head[3])
    assert lost.strip() == "digital: (nothing arrives)"
    assert whole.strip() == f"digital: {local}"
    assert all(re.search(r"  BLEU \d+\.\d$", line) for line in (low, high))


def test_images_classes_gallery_and_answers(
    image_folders: dict[str, Path], vqa_folders: dict[str, Path], clevr: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = clevr / "clevr" / "images" / "val"
    path = str(sorted(folder.glob("*.png"))[0])
    models = ["--codec", str(image_folders["codec"]), "--local", str(image_folders["local"])]
    assert main([path, *models, "--k", "4", "--snr-db", "60", "--gallery", str(folder), "--digital"]) == 0
    (_, local, *_), (head, line, nearest, digital), _ = blocks(capsys.readouterr().out)
    assert re.search(r"\d \(\d\.\d\d\)$", local)
    assert head == "k = 4: 68 symbols"
    assert re.search(r"60 dB . \d \(\d\.\d\d\)$", line)
    assert nearest.split()[:2] == ["nearest:", f"{Path(path).name},"], "itself, without noise"
    assert re.search(r"digital: \d \(\d\.\d\d\)$", digital)
    models = ["--codec", str(vqa_folders["codec"]), "--local", str(vqa_folders["local"])]
    assert main([path, "What color is the cube?", *models, "--snr-db", "30"]) == 0
    *_, (heading, answer), _ = blocks(capsys.readouterr().out)
    assert re.fullmatch(r"k of the text = 3, k of the image = 2: \d+ symbols", heading)
    assert re.search(r"(red|green|blue|yes|no) \(\d\.\d\d\)$", answer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "items: none given, a sentence in quotes, an image or --serve is needed"),
        ([SENTENCE, "--k", "3"], "--k: 3 given, trained: 2, 4, 6"),
        ([SENTENCE, "again"], "items: 2 given, a text codec takes one sentence, in quotes"),
        ([__file__], f"items: {__file__} is a file and no image, a text codec takes one sentence"),
        ([SENTENCE, "--channel", "copper"], "--channel: 'copper' given, allowed: awgn, rayleigh, rician"),
        ([SENTENCE, "--snr-db", "200"], "--snr-db: 200.0 given, -100 to 100 is allowed"),
        ([SENTENCE, "--gallery", "."], "--gallery: given, a codec of image reads it; this one is of text"),
        ([SENTENCE, "--seed", "-1"], "--seed: -1 given, 0 to 2147483647 is allowed"),
        ([SENTENCE, "--code", "ldpc"], "--code: given, --digital alone reads it"),
        ([SENTENCE, "--data-dir", "x"], "--data-dir: given, --digital alone reads it"),
        ([SENTENCE, "--port", "7000"], "--port: given, --serve alone reads it"),
        (["--serve", "--k", "4"], "--k: given, the page of --serve does not read it"),
        ([SENTENCE, "--code", "turbo"], "--code: 'turbo' given, allowed: capacity, finite, ldpc"),
        ([SENTENCE, "--codec", "klingon"], "--codec: 'klingon' given, a folder that is there is allowed"),
    ],
)
def test_mistakes_are_one_line(
    flags: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags, *arguments]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("transmit: error: ")]
    assert message in line


def test_an_image_for_a_codec_of_text_is_refused(
    flags: list[str], clevr: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((clevr / "clevr" / "images" / "val").glob("*.png"))
    assert main([str(path), *flags]) == 2
    assert f"transmit: error: {path}: an image given, --codec " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("items", "modality"),
    [
        ([], "text"),
        (["Two dogs run."], "text"),
        (["there/Photo.JPG"], "image"),
        (["photo.webp", "Is it red?"], "vqa"),
    ],
)
def test_the_codec_is_one_that_ships_and_sends_such_items(items: list[str], modality: str) -> None:
    assert TransmitConfig(items=tuple(items)).codec_name == DEFAULTS[modality]
    assert TransmitConfig(items=tuple(items), codec="mine").codec_name == "mine"


def test_each_item_has_a_codec_that_ships() -> None:
    assert set(DEFAULTS.values()) <= set(deepsc.list_codecs())
    assert {modality: read_config(resolve(name, "codec", setting="codec"))["modality"]
            for modality, name in DEFAULTS.items()} == {name: name for name in DEFAULTS}  # fmt: skip


def test_an_image_that_is_not_there_is_no_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-photo.jpg"]) == 2
    assert capsys.readouterr().err == "transmit: error: no-such-photo.jpg: no such file\n"


def test_settings_come_from_a_file_too(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([SENTENCE, *flags, "--k", "4", "--seed", "5", "--print-config"])
    assert stop.value.code == 0
    file = tmp_path / "transmit.yaml"
    file.write_text(capsys.readouterr().out)
    assert main(["--config", str(file)]) == 0
    from_file = capsys.readouterr().out
    assert main([SENTENCE, *flags, "--k", "4", "--seed", "5"]) == 0
    assert capsys.readouterr().out == from_file


@pytest.mark.parametrize("name", ["README.md", "docs/transmit.md"])
def test_the_output_on_the_page_is_real(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Another processor may decode a sentence or two at the lowest SNRs otherwise."""
    page = (ROOT / name).read_text(encoding="utf-8")
    command, shown = re.findall(r"\$ transmit ([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    assert main(shlex.split(command)) == 0
    printed, written = capsys.readouterr().out.splitlines(), shown.splitlines()
    assert len(printed) == len(written)
    assert sum(one != other for one, other in zip(printed, written, strict=True)) <= 2


def test_help_teaches_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert 'transmit "Two dogs run through the snow."' in shown
    assert all(name in shown for name in DEFAULTS.values())
    code = "import sys; from accuracy_maps.transmit.command import main\n"
    code += "try: main(['--help'])\nexcept SystemExit: pass"
    code += "\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "timm", "matplotlib", "yaml", "gradio", "scipy"}
    assert not {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()} & heavy


def test_the_first_line_is_there_before_torch() -> None:
    """It takes little of a processor; torch alone takes a second or two."""
    code = "from accuracy_maps.transmit.command import main; main(['Two dogs run.', '--codec', '/nowhere'])"
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        start = time.monotonic()
        assert process.stdout is not None
        assert process.stdout.readline() == "sent      Two dogs run.\n"
        assert time.monotonic() - start < 30, "far from importing torch on a busy machine"
        process.kill()


def test_words_that_differ() -> None:
    assert different_words("Ein Hund läuft im Schnee.", "Zwei Hunde laufen im Schnee.") == [
        ("Ein", True), ("Hund", True), ("läuft", True), ("im", False), ("Schnee.", False),
    ]  # fmt: skip
    assert marked("a b", "a c", colour=True) == "a \033[31mb\033[0m"
    assert marked("a b", "a c", colour=False) == "a b"
    assert marked("a \033[2Jb", "a", colour=True).count("\033") == 2, "its own colours alone"


def test_colour_where_the_terminal_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colour(Terminal())
    assert not has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colour(Terminal())
