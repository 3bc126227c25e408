"""Model cards: what a codec is, what it was trained on, what was measured; from its files alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.map import AccuracyMap
from accuracy_maps.show.compare import LEVEL, is_baseline, thresholds, who
from data.files.paths import is_file
from data.files.printable import markdown_lines
from data.terms import terms_of
from deepsc.checkpoint import WEIGHTS, read_config, read_weights
from deepsc.zoo.find import CODEC, FLOPS, LOCAL, MAPS
from profiling.flops_file import FlopsFile

_DOES = {
    "translate": "Sends sentences over a noisy channel; the server translates what arrives.",
    "reconstruct": "Sends sentences over a noisy channel; the server writes down what arrives.",
    "classify": "Sends images over a noisy channel; the server says what they show.",
    "answer": "Sends an image and a question over a noisy channel; the server answers.",
}
_RELEASE_FILES = ("*.json", "*/*.json", "*/*.safetensors")


def release_maps(folder: Path) -> dict[str, AccuracyMap | BimodalMap]:
    """The maps of a release by name, the codec's own before those of a baseline."""
    maps = {path.stem: load_map(path) for path in sorted((folder / MAPS).glob("*.json"))}
    return dict(sorted(maps.items(), key=lambda pair: is_baseline(pair[1])))


def size_mb(folder: Path) -> float:
    """Size of a release's files in MB (10^6 bytes), its card left out."""
    return sum(path.stat().st_size for end in _RELEASE_FILES for path in folder.glob(end)) / 1e6


def model_card(folder: Path) -> str:
    """The card of a release, Markdown.

    Args:
        folder: of the release; its name is the codec's.

    Raises:
        ToolkitError: if a file is missing or damaged.
    """
    codec = read_config(folder / CODEC)
    maps = release_maps(folder)
    lines = [f"# {folder.resolve().name}", "", _DOES.get(codec["task"], f"Task: {codec['task']}."), ""]
    lines += markdown_lines(("", ""), [(name, value) for name, value in _facts(folder, codec, maps)])
    if maps:
        lines += ["", f"## SNR in dB at a ratio of {LEVEL}", ""]
        reached = _thresholds(maps)
        never = f" Never: below {LEVEL} at every SNR." if any("never" in line for line in reached) else ""
        lines += [*reached, "", f"The ratio is accuracy over the channel / local accuracy.{never}"]
    lines += ["", "## How it was made", ""]
    lines += markdown_lines(("what", "command", "commit", "when"), list(_commands(folder, codec, maps)))
    return "\n".join(lines) + "\n"


def _facts(
    folder: Path, codec: Mapping[str, Any], maps: Mapping[str, AccuracyMap | BimodalMap]
) -> Iterator[tuple[str, str]]:
    """Rows of the first table."""
    model, training, corpus = codec["codec"], codec["training"], codec["corpus"]
    synthetic = " (synthetic)" if codec["synthetic"] and "(synthetic)" not in codec["dataset"] else ""
    yield "modality, task", f"{codec['modality']}, {codec['task']}"
    before = [name for name in _corpora(codec["provenance"]) if name != _corpus_name(corpus)]
    yield "trained on", f"{codec['dataset']}{synthetic}" + "".join(f"; before that {name}" for name in before)
    terms = [terms_of(corpus["dataset"]), *(f"of {name}: {terms_of(name.split()[0])}" for name in before)]
    yield "terms of the data", "; ".join(terms)
    sizes = {name: value for name, value in model.items() if _is_size(name, value)}
    yield "model", ", ".join(f"{name} {_plain(value)}" for name, value in sizes.items())
    for name in (name for name in model if name == "k" or name.startswith("k_")):
        yield f"{name}, symbols per token", ", ".join(map(str, model[name]))
    low, high = model["snr_range_db"]
    yield "trained for", f"{training['channel']}, {low:g} to {high:g} dB"
    parameters = [
        sum(t.numel() for t in read_weights(folder / part / WEIGHTS)[0].values()) for part in (CODEC, LOCAL)
    ]
    yield "parameters", f"codec {parameters[0] / 1e6:.2f} M, local model {parameters[1] / 1e6:.2f} M"
    yield "size", f"{size_mb(folder):.1f} MB; weights in bfloat16, computed with in float32"
    for found in _local_measures(maps):
        note = f"; {found.local_note}" if found.local_note else ""
        yield (
            f"local model, {found.metric_name}",
            f"{found.local_accuracy:.2f} [{found.local_low:.2f}, {found.local_high:.2f}] on "
            f"{found.provenance.get('test_items')} test items{note}",
        )
    if is_file(folder / FLOPS):
        flops = FlopsFile.load(folder / FLOPS)
        yield (
            "FLOPs of a task",
            f"local {flops.local_flops:.3g}, UE {flops.ue_flops:.3g}, server {flops.server_flops:.3g} "
            f"({flops.decoding}, {_lengths(flops)})",
        )


def _corpora(origin: Mapping[str, Any]) -> list[str]:
    """What the weights were trained on that a training started from, the last before it first."""
    corpora = (start.get("config", {}).get("corpus") for start in _starts(origin))
    return list(dict.fromkeys(_corpus_name(corpus) for corpus in corpora if corpus))


def _starts(origin: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Provenance of each training that a training started from, the last before it first."""
    while initial := origin.get("initial"):
        origin = initial["provenance"]
        yield origin


def _corpus_name(corpus: Mapping[str, Any]) -> str:
    """Name of a dataset, of sentences with its languages; of a user's own its files."""
    files = [_without_folder(corpus[name]) for name in ("source", "target", "folder") if corpus.get(name)]
    return ", ".join(files) or " ".join(str(corpus[name]) for name in ("dataset", "pair") if name in corpus)


def _is_size(name: str, value: object) -> bool:
    """Whether a field of a codec's config says how large it is."""
    left_out = ("pad_id", "eos_id", "snr_range_db", "max_length")
    return not name.startswith("k") and name not in left_out and isinstance(value, int | float | str)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lengths(flops: FlopsFile) -> str:
    sizes = {"source": flops.source_length, "image": flops.image_length, "target": flops.target_length}
    return ", ".join(f"{name} of {size} tokens" for name, size in sizes.items() if size is not None)


def _local_measures(maps: Mapping[str, AccuracyMap | BimodalMap]) -> list[AccuracyMap | BimodalMap]:
    """One map of each task: its local accuracy."""
    return list({found.task: found for found in reversed(list(maps.values()))}.values())


def _thresholds(maps: Mapping[str, AccuracyMap | BimodalMap]) -> list[str]:
    """A row a map, or of VQA a row a map and k^T; a column a k, of VQA a k^I."""
    reached: dict[tuple[str, ...], dict[str, str]] = {}
    for name, found in maps.items():
        for head, snr_db in thresholds(found).items():
            *k_text, k = head.split(", ")
            reached.setdefault((name, *k_text), {})[k] = snr_db
    columns = list(dict.fromkeys(k for row in reached.values() for k in row))
    *of_rows, of_columns = next(iter(maps.values())).rows_name.split(", ")
    return markdown_lines(
        ("map", "of", *of_rows, *(f"{of_columns} = {k}" for k in columns)),
        [
            (name, f"{who(maps[name])}, {maps[name].channel}", *k_text, *(row.get(k, "") for k in columns))
            for (name, *k_text), row in reached.items()
        ],
    )


def _commands(
    folder: Path, codec: Mapping[str, Any], maps: Mapping[str, AccuracyMap | BimodalMap]
) -> Iterator[tuple[str, ...]]:
    """What made each part, by its provenance."""
    local, of_codec = read_config(folder / LOCAL)["provenance"], codec["provenance"]
    made = [("local model", local), ("codec", of_codec)]
    start = local.get("initial", {}).get("provenance", {})
    if _unrounded(start) == _unrounded(of_codec):  # it is the codec's own Transformer
        made.reverse()
    for origin in _starts(made[0][1]):
        made.insert(0, ("what it started from", origin))
    sources = [(name, "train-deepsc", origin) for name, origin in made]
    sources += [(f"map {name}", "build-accuracy-map", found.provenance) for name, found in maps.items()]
    if is_file(folder / FLOPS):
        sources.append(("FLOPs", "profile-flops", FlopsFile.load(folder / FLOPS).provenance))
    for name, program, source in sources:
        words = [_without_folder(str(word)) for word in source.get("command") or ()]
        if words[:1] == ["command.py"]:  # the same, run as a module
            words[0] = program
        command = shlex.join(words)
        commit = str(source.get("git_commit") or "")
        yield name, f"`{command}`", commit[:10] + commit[40:], str(source.get("created", ""))[:10]


def _unrounded(origin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in origin.items() if name != "rounded"}


def _without_folder(word: str) -> str:
    """An absolute path without the folders of the machine that made the release."""
    path = Path(word)
    return path.name if path.is_absolute() else word
