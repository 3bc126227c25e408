"""From the two files to tensors, and which pairs of files are refused."""

import logging

import pytest

from data.artifacts import ToolkitError
from optimizer.config import EpisodeConfig
from optimizer.tasks import text_tasks


def test_a_task_is_a_paragraph_of_ten_sentences(make_map, make_flops):
    accuracy_map = make_map()
    tasks = text_tasks(accuracy_map, make_flops(2e9), episode=EpisodeConfig(ues=3), k=16)
    assert tasks.ues == 3
    assert tasks.flops.tolist() == [2e10] * 3
    assert tasks.server_flops.tolist() == [2e10] * 3  # "paper": the server runs all of l
    assert tasks.ue_flops.tolist() == [0.0] * 3
    assert tasks.symbols.tolist() == [10 * 20 * 16.0] * 3
    assert tasks.map_ratio[1].tolist() == pytest.approx(accuracy_map.envelope[1].tolist())


def test_split_charges_each_side_its_share(make_map, make_flops):
    tasks = text_tasks(make_map(), make_flops(2e9), episode=EpisodeConfig(offload_cost="split"), k=16)
    assert tasks.ue_flops[0] == pytest.approx(0.4 * 2e10)
    assert tasks.server_flops[0] == pytest.approx(0.7 * 2e10)


def test_k_between_the_maps_is_interpolated(make_map, make_flops):
    accuracy_map = make_map()
    tasks = text_tasks(accuracy_map, make_flops(k=12), episode=EpisodeConfig(), k=12)
    assert tasks.map_ratio[0].tolist() == pytest.approx(accuracy_map.envelope.mean(axis=0).tolist())
    assert tasks.symbols[0] == 10 * 20 * 12


def test_map_of_a_single_snr_is_flat(make_map, make_flops):
    point = {name: [[30.0], [27.0]] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    accuracy_map = make_map(snr_db=(5.0,), ratio_low=[[1.0], [0.9]], ratio_high=[[1.0], [0.9]], **point)
    tasks = text_tasks(accuracy_map, make_flops(), episode=EpisodeConfig(), k=16)
    assert tasks.map_ratio[0].tolist() == pytest.approx(accuracy_map.row(16).tolist() * 2)


@pytest.mark.parametrize(
    ("csi", "channel"), [("instantaneous", "rayleigh"), ("instantaneous", "rician"), ("statistical", "awgn")]
)
def test_a_map_of_the_wrong_channel_is_refused(make_map, make_flops, csi, channel):
    with pytest.raises(ToolkitError, match=rf"'{channel}'.*--csi {csi}.*fading twice"):
        text_tasks(make_map(channel=channel), make_flops(), episode=EpisodeConfig(csi=csi), k=16)


def test_k_outside_the_map_is_refused(make_map, make_flops):
    with pytest.raises(ToolkitError, match="--k 4 given, the map holds 8 to 16"):
        text_tasks(make_map(), make_flops(), episode=EpisodeConfig(), k=4)


def test_other_modalities_are_refused(make_map, make_flops):
    with pytest.raises(ToolkitError, match="--flops is of modality 'image'"):
        text_tasks(make_map(), make_flops(modality="image"), episode=EpisodeConfig(), k=16)
    with pytest.raises(ToolkitError, match="--text-map is of modality 'image'"):
        text_tasks(make_map(modality="image"), make_flops(), episode=EpisodeConfig(), k=16)


def test_two_models_or_two_k_are_warned_about(make_map, make_flops, caplog):
    with caplog.at_level(logging.WARNING):
        text_tasks(make_map(), make_flops(), episode=EpisodeConfig(), k=16)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        text_tasks(make_map(), make_flops(model={"name": "other"}, k=8), episode=EpisodeConfig(), k=16)
    text = caplog.text
    assert "'toy'" in text
    assert "'other'" in text
    assert "k = 8, --k is 16" in text
