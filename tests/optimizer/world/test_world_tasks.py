"""From maps and FLOPs files to tensors, and which pairs of files are refused."""

import itertools
import logging
import shutil
from dataclasses import replace

import pytest

from accuracy_maps import load_map
from data.files.errors import ToolkitError
from deepsc.zoo.find import DEFAULTS, FOLDER, map_path
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.inputs import choices_of_k, k_in_every_map, load, tasks_at
from optimizer.world.tasks import make_tasks, workload

SHIPPED_VQA = map_path(FOLDER / DEFAULTS["vqa"], "awgn")


def text(accuracy_map, flops, *, k=16, **episode):
    return workload(accuracy_map, flops, modality="text", episode=EpisodeConfig(**episode), k=[(k,)])


def test_a_text_task_is_a_paragraph_of_ten_sentences(make_map, make_flops):
    accuracy_map = make_map()
    tasks = make_tasks({"text": text(accuracy_map, make_flops(2e9))}, ("text",) * 3)
    assert tasks.ues == 3
    assert tasks.flops.tolist() == [2e10] * 3
    assert tasks.server_flops.tolist() == [2e10] * 3  # "paper": the server runs all of l
    assert tasks.ue_flops.tolist() == [0.0] * 3
    assert tasks.symbols.tolist() == [[10 * 20 * 16.0]] * 3
    assert tasks.map_ratio[1, 0].tolist() == pytest.approx(accuracy_map.envelope[1].tolist())


def test_the_papers_mix(make_tasks):
    tasks = make_tasks(mix=("text", "image", "vqa", "vqa"))
    assert tasks.modality.tolist() == [0, 1, 2, 2]
    assert tasks.flops.tolist() == [25e9, 9.2e9, 11.5e9, 11.5e9]
    both = 20 * 16.0 + 197 * 16.0  # the question, then the image
    assert tasks.symbols.tolist() == [[3200.0], [197 * 16.0], [both], [both]]


def test_maps_on_different_axes_stay_what_they_are(make_map, make_flops):
    long = make_map()
    point = {name: [[3.0, 30.0]] * 2 for name in ("accuracy", "accuracy_low", "accuracy_high")}
    ratios = {name: [[0.1, 1.0]] * 2 for name in ("ratio_low", "ratio_high")}
    short = make_map(modality="image", snr_db=(0.5, 9.5), **point, **ratios)
    works = {
        "text": text(long, make_flops()),
        "image": workload(
            short, make_flops(modality="image"), modality="image", episode=EpisodeConfig(), k=[(16,)]
        ),
    }
    tasks = make_tasks(works, ("text", "image"))
    axis = tasks.map_snr_db.tolist()
    assert axis == sorted({*long.snr_db, 0.5, 9.5})
    assert tasks.map_ratio[0, 0].tolist() == pytest.approx(long.lookup(16, axis).tolist())
    assert tasks.map_ratio[1, 0, axis.index(2.0)] == pytest.approx(0.1 + 0.9 * 1.5 / 9)
    assert tasks.map_ratio[1, 0, 0] == 0.1


def test_split_charges_each_side_its_share(make_map, make_flops):
    work = text(make_map(), make_flops(2e9), offload_cost="split")
    assert work.ue_flops == pytest.approx(0.4 * 2e10)
    assert work.server_flops == pytest.approx(0.7 * 2e10)


def test_k_between_the_maps_is_interpolated(make_map, make_flops):
    accuracy_map = make_map()
    work = text(accuracy_map, make_flops(k=12), k=12)
    assert work.ratio[0].tolist() == pytest.approx(accuracy_map.envelope.mean(axis=0).tolist())
    assert work.symbols == (10 * 20 * 12,)


def test_map_of_a_single_snr_is_flat(make_map, make_flops):
    point = {name: [[30.0], [27.0]] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    accuracy_map = make_map(snr_db=(5.0,), ratio_low=[[1.0], [0.9]], ratio_high=[[1.0], [0.9]], **point)
    tasks = make_tasks({"text": text(accuracy_map, make_flops())}, ("text",))
    assert tasks.map_ratio[0, 0].tolist() == pytest.approx(accuracy_map.row(16).tolist() * 2)


def test_joint_k_offers_the_maps_k_up_to_the_configured(make_map, make_tasks):
    accuracy_map = make_map()
    assert choices_of_k(Inputs(k_text=16, joint_k=True), "text", accuracy_map) == [(16,), (8,)]
    assert choices_of_k(Inputs(k_text=12, k_image=16), "vqa", accuracy_map) == [(12, 16)]
    shipped = load_map(SHIPPED_VQA)
    pairs = choices_of_k(Inputs(k_text=8, k_image=5, joint_k=True), "vqa", shipped)
    assert pairs[0] == (8, 5), "the config's own first"
    assert set(pairs) == set(itertools.product((4, 8), (4, 5)))
    tasks = make_tasks(mix=("text", "image"), k=(16, 8))
    assert tasks.symbols.tolist() == [[3200.0, 1600.0], [197 * 16.0, 197 * 8.0]]
    assert (tasks.map_ratio[:, 0] >= tasks.map_ratio[:, 1]).all()


def test_a_ue_with_fewer_choices_of_k_has_all_of_them_alike(make_map, make_flops):
    works = {
        name: workload(
            make_map(modality=name), make_flops(modality=name), modality=name, episode=EpisodeConfig(), k=k
        )
        for name, k in {"text": [(16,), (8,)], "image": [(16,), (12,), (10,), (8,)]}.items()
    }
    tasks = make_tasks(works, ("text", "image"))
    assert tasks.symbols[0].tolist() == [3200.0, 1600.0] * 2
    assert tasks.map_ratio[0, 2].tolist() == tasks.map_ratio[0, 0].tolist()
    assert tasks.symbols[1].tolist() == [20.0 * k for k in (16, 12, 10, 8)]


@pytest.mark.parametrize(
    ("csi", "channel"), [("instantaneous", "rayleigh"), ("instantaneous", "rician"), ("statistical", "awgn")]
)
def test_a_map_of_the_wrong_channel_is_refused(make_map, make_flops, csi, channel):
    with pytest.raises(ToolkitError, match=rf"'{channel}'.*csi {csi}.*fading twice"):
        text(make_map(channel=channel), make_flops(), csi=csi)


def test_k_that_every_map_holds(make_map):
    shipped = load_map(SHIPPED_VQA)
    low, high = shipped.k_text[1], shipped.k_text[-1]
    image = make_map(modality="image", k=(1, 2))
    maps = {"text": make_map(k=(low, high + 4)), "image": image, "vqa": shipped}
    assert k_in_every_map(maps, "k_text") == list(shipped.k_text[1:]), "text's own map goes further"
    assert k_in_every_map({"image": image}, "k_image") == [1, 2]
    assert k_in_every_map({"image": image}, "k_text") == []


def test_k_outside_the_map_is_refused(make_map, make_flops):
    with pytest.raises(ToolkitError, match="k_text 4 given, the text map holds 8 to 16"):
        text(make_map(), make_flops(), k=4)


def test_other_modalities_are_refused(make_map, make_flops):
    with pytest.raises(ToolkitError, match="text_flops is of modality 'image'"):
        text(make_map(), make_flops(modality="image"))
    with pytest.raises(ToolkitError, match="text_map is of modality 'image'"):
        text(make_map(modality="image"), make_flops())


def test_two_models_or_two_k_are_warned_about(files, make_map, make_flops, caplog):
    inputs = Inputs(text_map=files[0], text_flops=files[1])
    setting = {"system": SystemConfig(), "episode": EpisodeConfig(mix=("text",))}
    with caplog.at_level(logging.WARNING):
        load(inputs, **setting)
    assert not caplog.records
    make_flops(model={"name": "other", "width": 8}, k=8).save(files[1])
    with caplog.at_level(logging.WARNING):
        loaded = load(inputs, **setting)
    assert "two models, name toy and other, width none and 8" in caplog.text
    assert "k = 8" not in caplog.text, "a task that the server runs whole has no channel codec"
    caplog.clear()
    other = tasks_at(loaded, replace(inputs, k_text=8), setting["episode"])
    assert not caplog.records, "load has said it"
    assert other.symbols.tolist() == [[1600.0]]
    with caplog.at_level(logging.WARNING):
        text(make_map(), make_flops(k=8), offload_cost="split")
    assert "k = 8, k_text is 16" in caplog.text


def test_what_is_missing_is_named(files, tmp_path, monkeypatch):
    monkeypatch.setattr("deepsc.zoo.find.FOLDER", tmp_path / "empty")
    inputs = Inputs(text_map=files[0], text_flops=files[1])
    with pytest.raises(ToolkitError, match="image_map is missing, and so is the codec that ships, image-"):
        load(inputs, system=SystemConfig(), episode=EpisodeConfig())


@pytest.mark.parametrize(("csi", "channel"), [("instantaneous", "awgn"), ("statistical", "rayleigh")])
def test_without_files_those_of_the_codecs_that_ship_are_read(csi, channel, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = load(Inputs(), system=SystemConfig(), episode=EpisodeConfig(csi=csi))
    assert "two models" not in caplog.text
    for modality, accuracy_map in loaded.maps.items():
        assert (accuracy_map.channel, "baseline" in accuracy_map.model) == (channel, False)
        assert dict(accuracy_map.model) == dict(loaded.flops[modality].model)
        assert FOLDER / DEFAULTS[modality] in loaded.paths[f"{modality}_map"].parents


@pytest.mark.parametrize(("csi", "channel"), [("instantaneous", "awgn"), ("statistical", "rayleigh")])
@pytest.mark.parametrize("kinds", [("map",), ("flops",), ("map", "flops")])
def test_a_codec_that_ships_stands_for_its_map_and_its_flops(kinds, csi, channel, caplog):
    """By its name or its folder; where one of the two is given it is taken for both."""
    caplog.set_level("INFO")
    name = "text-multi30k-en-de-mini"
    assert name != DEFAULTS["text"]
    episode = EpisodeConfig(mix=("text",), csi=csi)
    for codec in (name, str(FOLDER / name)):
        inputs = Inputs(**dict.fromkeys((f"text_{kind}" for kind in kinds), codec))
        found = load(inputs, system=SystemConfig(), episode=episode).paths
        assert found == {
            "text_map": map_path(FOLDER / name, channel), "text_flops": FOLDER / name / "flops.json",
        }  # fmt: skip
    assert f"files of {name} are read" in caplog.text
    assert "of two models" not in caplog.text


def test_a_codec_without_the_map_that_is_needed_is_named(tmp_path):
    shutil.copytree(FOLDER / "text-multi30k-en-de-mini", tmp_path / "mine")
    (tmp_path / "mine" / "maps" / "translate-rayleigh.json").unlink()
    inputs = Inputs(text_map=tmp_path / "mine")
    with pytest.raises(ToolkitError, match=r"text_map: .*mine has no map over rayleigh; give one"):
        load(inputs, system=SystemConfig(), episode=EpisodeConfig(mix=("text",), csi="statistical"))
