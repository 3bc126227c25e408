"""UEs with devices of their own: each is as it would be where all have its device."""

from dataclasses import replace

import pytest
import torch

from data.files.errors import ToolkitError
from data.settings import SettingsError
from optimizer.devices import PAPER, device_path, shipped_devices
from optimizer.policies.baselines import POLICIES
from optimizer.policies.dqn import DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.study.config import DqnConfig, MappoConfig, WorldSettings
from optimizer.world.config import (
    SERVER_DEVICE_FIELDS,
    UE_DEVICE_FIELDS,
    EpisodeConfig,
    Inputs,
    SystemConfig,
)
from optimizer.world.devices import server_fields, ue_fields, with_devices
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import load
from optimizer.world.physics import best_local_clock, execute
from optimizer.world.ranges import clock_to_share, power_to_share
from optimizer.world.view import COLUMN
from profiling import DeviceFile

SYSTEM = SystemConfig()
MIX = ("text", "image", "vqa", "text")


@pytest.fixture
def mixed(make_tasks, slow_devices):
    """Tasks of four UEs, each with another device, and the system of each one's device."""
    devices = slow_devices(4)
    own = [
        replace(SYSTEM, **{name: float(getattr(devices, name)[i]) for name in UE_DEVICE_FIELDS})
        for i in range(4)
    ]
    return replace(make_tasks(mix=MIX), devices=devices), own


def environment_of(tasks, *, episodes=20, mix=MIX, **episode):
    return OffloadingEnvironment(
        system=SYSTEM, episode=EpisodeConfig(mix=mix, **episode), tasks=tasks, episodes=episodes,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


@pytest.mark.parametrize("role", ["ue", "server"])
def test_every_shipped_device_is_read_and_the_papers_are_table_i(role):
    names = shipped_devices(role)
    assert PAPER in names
    for name in names:
        device = DeviceFile.load(device_path(name, role=role), role=role)
        fields = ue_fields(device) if role == "ue" else server_fields(device)
        assert set(fields) == set(UE_DEVICE_FIELDS if role == "ue" else SERVER_DEVICE_FIELDS)
        changed = replace(SYSTEM, **fields)
        if name == PAPER:
            for field in fields:
                assert getattr(changed, field) == pytest.approx(getattr(SYSTEM, field), rel=1e-12)
        else:
            assert changed.local_clock_max_hz != SYSTEM.local_clock_max_hz or role == "server"


def test_one_device_is_the_systems_and_two_are_of_each_ue():
    nano, phone = (DeviceFile.load(device_path(name, role="ue")) for name in ("jetson-nano", "phone"))
    server = DeviceFile.load(device_path("nvidia-t4", role="server"))
    system, devices = with_devices(SYSTEM, [nano], server)
    assert devices is None
    assert system == replace(SYSTEM, **ue_fields(nano), **server_fields(server))
    assert with_devices(SYSTEM, [None]) == (SYSTEM, None)
    system, devices = with_devices(SYSTEM, [nano, None, phone])
    assert system == SYSTEM
    assert devices is not None
    assert devices.local_clock_max_hz.tolist() == [921.6e6, SYSTEM.local_clock_max_hz, 2.42e9]


def test_each_ue_is_as_where_all_have_its_device(mixed):
    """Alone: its clock, what it earns locally and by looking up, its ranges, its energy."""
    tasks, own = mixed
    view = environment_of(tasks).view()
    for i, system in enumerate(own):
        same = replace(tasks, devices=None)
        clock_hz = best_local_clock(system, same, view.state)[:, i]
        assert torch.allclose(view.clock_hz[:, i], clock_hz, rtol=1e-12)
        alone = replace(view, system=system, tasks=same)
        assert torch.allclose(view.local_qoe[:, i], alone.local_qoe[:, i], rtol=1e-12)
        for name in set(COLUMN) - {"rival", "leads"}:  # what it hears of the others
            if name != "battery":
                column = COLUMN[name]
                assert torch.allclose(
                    view.observation[:, i, column], alone.observation[:, i, column], atol=1e-6
                ), name
    actions = POLICIES["random"](SYSTEM, tasks).act(view, torch.Generator().manual_seed(1))
    outcome = execute(SYSTEM, tasks, actions, view.state)
    for i, system in enumerate(own):
        other = execute(system, replace(tasks, devices=None), actions, view.state)
        for name in ("latency_s", "energy_j", "qoe", "accuracy", "bandwidth_hz"):
            assert torch.allclose(getattr(outcome, name)[:, i], getattr(other, name)[:, i], rtol=1e-12), name


@pytest.mark.parametrize("name", ["local", "remote", "greedy", "announced", "bids", "exhaustive", "central"])
def test_ues_in_another_order_act_alike(name, mixed):
    tasks, _ = mixed
    view = environment_of(tasks, episodes=12).view()
    order = torch.tensor([2, 0, 3, 1])
    shuffled = tasks.pick(order)
    other = replace(
        view, tasks=shuffled, position_m=view.position_m[:, order], mean_gain=view.mean_gain[:, order],
        battery_max_j=view.battery_max_j[order], last_latency_s=view.last_latency_s[:, order],
        state=type(view.state)(**{key: value[:, order] for key, value in vars(view.state).items()}),
    )  # fmt: skip
    first = POLICIES[name](SYSTEM, tasks).act(view, torch.Generator())
    second = POLICIES[name](SYSTEM, shuffled).act(other, torch.Generator())
    earned = execute(SYSTEM, tasks, first, view.state).earned_qoe
    again = execute(SYSTEM, shuffled, second, other.state).earned_qoe
    assert earned.sum() > 0
    if name in ("exhaustive", "central"):  # where two sets earn the same, either may be chosen
        assert torch.allclose(earned.sum(dim=-1), again.sum(dim=-1), rtol=2e-3)
    else:
        assert torch.allclose(earned[:, order], again, rtol=1e-9)


def test_a_power_in_anothers_range_is_refused(mixed):
    tasks, _ = mixed
    environment = environment_of(tasks)
    view = environment.view()
    actions = POLICIES["remote"](SYSTEM, tasks).act(view, torch.Generator())
    environment.step(actions)
    wrong = actions.power_w.clone()
    wrong[:, 2] = tasks.devices.power_max_w[0]  # 20 dBm, of a UE that has 15
    with pytest.raises(ValueError, match=r"actions\.power_w must lie in 0\.001 to 0\.0316228 \(UE 2\)"):
        environment.step(replace(actions, power_w=wrong))


def test_learners_keep_to_each_ues_ranges(mixed):
    tasks, _ = mixed
    setting = {"system": SYSTEM, "episode": EpisodeConfig(mix=MIX), "tasks": tasks}
    mappo = MappoTrainer(
        MappoConfig(episodes=1, copies=4, learn_power=True, learn_clock=True), **setting,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    dqn = DqnTrainer(
        DqnConfig(double=True, episodes=1, copies=4, batch=8, memory=64), **setting,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    view = environment_of(tasks, episodes=30).view()
    for learner in (mappo, dqn):
        learner.train()  # the environment refuses what is out of range
        actions = learner.policy.act(view, torch.Generator())
        assert ((power_to_share(tasks.devices, actions.power_w) * 2 - 1).abs() <= 1 + 1e-9).all()
        share = clock_to_share(tasks.devices, actions.clock_hz)
        assert ((share >= -1e-9) & (share <= 1 + 1e-9)).all()
    levels_w = dqn._levels.power_w
    assert torch.allclose(levels_w.amin(dim=0), tasks.devices.power_min_w)
    assert torch.allclose(levels_w.amax(dim=0), tasks.devices.power_max_w)
    plain = MappoTrainer(
        MappoConfig(episodes=1, copies=4, learn_power=True, learn_clock=True), system=SYSTEM,
        episode=EpisodeConfig(mix=MIX), tasks=replace(tasks, devices=None),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert plain.digest != mappo.digest, "another training"


def test_files_of_devices_are_read_with_the_rest():
    episode = EpisodeConfig(mix=("text", "vqa"))
    inputs = Inputs(ue_device=("jetson-nano", "phone"), server_device="nvidia-t4")
    loaded = load(inputs, system=SYSTEM, episode=episode)
    assert loaded.system.remote_flops_per_cycle == 5120
    assert loaded.tasks.devices is not None
    assert loaded.tasks.devices.local_flops_per_cycle.tolist() == [256, 64]
    assert {"ue_device_0", "ue_device_1", "server_device"} <= set(loaded.paths)
    one = load(Inputs(ue_device=("phone",)), system=SYSTEM, episode=episode)
    assert (one.tasks.devices, one.system.local_flops_per_cycle) == (None, 64)
    assert load(Inputs(), system=SYSTEM, episode=episode).system == SYSTEM


@pytest.mark.parametrize(
    ("inputs", "system", "error"),
    [
        ({"ue_device": ("phone",) * 3}, {}, "ue_device: 3 devices given, one, or one for each of 4 UEs"),
        (
            {"ue_device": ("phone",)},
            {"circuit_power_w": 0.2},
            r"circuit_power_w: 0\.2 given, ue_device phone",
        ),
        ({"server_device": "nvidia-t4"}, {"remote_clock_hz": 1e9}, "server_device nvidia-t4 says it"),
    ],
)
def test_devices_that_do_not_fit_are_refused(inputs, system, error):
    with pytest.raises(SettingsError, match=error):
        WorldSettings(inputs=Inputs(**inputs), system=SystemConfig(**system))
    with pytest.raises(SettingsError, match=error):
        load(Inputs(**inputs), system=SystemConfig(**system), episode=EpisodeConfig())


def test_the_papers_device_beside_another_reads_the_system():
    system = SystemConfig(circuit_power_w=0.2)
    inputs = Inputs(ue_device=("phone", PAPER, PAPER, PAPER))
    loaded = load(inputs, system=system, episode=EpisodeConfig())
    assert loaded.tasks.devices is not None
    assert loaded.tasks.devices.circuit_power_w.tolist() == [1.0, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        (
            {"ue_device": ("iphone",)},
            "ue_device: 'iphone' given, cortex-m7, jetson-nano, paper, .* is allowed",
        ),
        ({"server_device": "phone"}, "server_device: 'phone' given, nvidia-t4, paper or a device file"),
        ({"server_device": str(device_path("phone", role="ue"))}, "role is 'ue', 'server' is allowed here"),
        ({"ue_device": ("nowhere/nano.json",)}, "nowhere/nano.json: no such file"),
    ],
)
def test_devices_that_are_not_there_are_refused(inputs, error):
    with pytest.raises(ToolkitError, match=error):
        load(Inputs(**inputs), system=SYSTEM, episode=EpisodeConfig(mix=("text",)))
