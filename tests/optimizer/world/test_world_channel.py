"""The channel's draws: the paper's world to the last bit, and gains of a file."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from data.files.errors import ToolkitError
from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.policies.baselines import POLICIES
from optimizer.study.evaluate import play
from optimizer.world.channel import GainTable, read_gains
from optimizer.world.channel.draws import clarke_correlation, fading_power
from optimizer.world.channel.pathloss import draw_gain, draw_positions
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import copied_inputs, keep_copies, load
from optimizer.world.physics import Actions, execute
from optimizer.world.view import COLUMN

SYSTEM = SystemConfig()
MIX = ("text", "vqa", "image")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def make_environment(make_tasks):
    def make(*, system=SYSTEM, gains=None, episodes=3, seed=0, **episode):
        config = EpisodeConfig(**{"mix": MIX} | episode)
        tasks = replace(make_tasks(mix=config.mix, csi=config.csi), gains=gains)
        return OffloadingEnvironment(
            system=system, episode=config, tasks=tasks, episodes=episodes, generator=generator(seed)
        )

    return make


def idle(environment) -> Actions:
    zeros = torch.zeros(environment.episodes, environment.tasks.ues, dtype=torch.float64)
    return Actions(
        offload=zeros.bool(), power_w=zeros + SYSTEM.power_max_w, clock_hz=zeros + SYSTEM.local_clock_max_hz,
        bandwidth_request=zeros,
    )  # fmt: skip


def gains_of(environment, steps: int) -> torch.Tensor:
    """The channel gains of the first steps, (steps, episodes, ues)."""
    gains = []
    for _ in range(steps):
        gains.append(environment.view().channel_gain)
        environment.step(idle(environment))
    return torch.stack(gains)


@pytest.mark.parametrize("csi", ["instantaneous", "statistical"])
def test_by_default_the_world_is_the_papers_to_the_last_bit(make_environment, csi):
    """Places, g, batteries and one uniform number a step, in this order and from one generator."""
    environment = make_environment(csi=csi, seed=5)
    own, shape = generator(5), (3, 3)
    for _ in range(2):
        place = draw_positions(SYSTEM, shape, own)
        gain = draw_gain(SYSTEM, place, own)
        level, _ = torch.rand((2, *shape), generator=own, dtype=torch.float64)
        for step in range(4):
            faded = gain
            if csi == "instantaneous":
                faded = gain * fading_power(torch.rand(shape, generator=own, dtype=torch.float64))
            view = environment.view()
            assert torch.equal(view.channel_gain, faded)
            assert torch.equal(view.mean_gain, gain)
            assert torch.equal(view.position_m, place)
            if step == 0:
                assert torch.equal(view.battery_j, (0.1 + 0.9 * level) * environment.battery_max_j)
            if step < 3:
                environment.step(idle(environment))
        environment.reset()


# fading ---------------------------------------------------------------------------------------------------


def powers_of(make_environment, steps: int, **world) -> torch.Tensor:
    """|h|^2 by step, (steps, UEs of all episodes)."""
    environment = make_environment(episodes=20_000, seed=3, steps=max(10, steps), **world)
    return (gains_of(environment, steps) / environment.view().mean_gain).flatten(1)


@pytest.mark.parametrize(
    ("speed", "step_s", "expected"),
    [
        (0.01, 1.0, 0.6422),  # f_D = 0.2 Hz at 6 GHz; between J_0(1.2) = 0.6711 and J_0(1.3) = 0.6201
        (1.0, 0.01, 0.6422),  # the same phase
        (0.03, 1.0, -0.402),  # J_0(1.2 pi) is near its least value, -0.4028
        (0.0, 1.0, 1.0),
    ],
)
def test_fading_has_clarkes_correlation(make_environment, speed, step_s, expected):
    """corr(|h_0|^2, |h_n|^2) = rho^(2 n) of a Gauss-Markov process, and |h|^2 stays Exp(1)."""
    rho = clarke_correlation(speed, carrier_hz=6e9, time_s=step_s)
    assert rho == pytest.approx(scipy.special.j0(2 * math.pi * speed * 6e9 / 3e8 * step_s), abs=1e-8)
    assert rho == pytest.approx(expected, abs=0.001)
    power = powers_of(make_environment, 4, ue_speed_m_s=speed, step_s=step_s)
    correlation = torch.corrcoef(power)[0]
    # 4 standard errors of 60 000 pairs of Exp(1), for which 1 / sqrt(n) grows by up to sqrt(8)
    assert correlation.tolist() == pytest.approx([1.0, rho**2, rho**4, rho**6], abs=0.035)
    for step in power:
        assert step.mean().item() == pytest.approx(1, abs=0.017)
        assert (step < 1).double().mean().item() == pytest.approx(1 - math.exp(-1), abs=0.008)
        assert (step > 3).double().mean().item() == pytest.approx(math.exp(-3), abs=0.004)


def test_a_ue_that_stands_keeps_its_channel_for_an_episode(make_environment):
    environment = make_environment(ue_speed_m_s=0.0)
    gains = gains_of(environment, 5)
    assert torch.equal(gains, gains[:1].expand_as(gains))
    assert not torch.equal(environment.reset().channel_gain, gains[0])


@pytest.mark.parametrize("name", ["ue_speed_m_s", "csi_error"])
@pytest.mark.parametrize("change", [{"csi": "statistical"}, {"fading": "none"}])
def test_what_changes_h_is_refused_where_none_is_drawn(name, change):
    with pytest.raises(SettingsError, match=rf"{name}: 1\.0 given with .*: no h is drawn"):
        EpisodeConfig(**{name: 1.0}, **change)


@pytest.mark.parametrize("speed", [None, 0.01])
@pytest.mark.parametrize("error", [0.1, 0.5, 1.0])
def test_a_ue_sees_an_estimate_of_its_channel(make_environment, error, speed):
    """|h|^2 and |h-hat|^2 are Exp(1) with correlation 1 - sigma_e^2, that of |.|^2 of two CN(0, 1)."""
    environment = make_environment(episodes=20_000, csi_error=error, ue_speed_m_s=speed)
    environment.step(idle(environment))
    view = environment.view()
    power, seen = (
        (gain / view.mean_gain).flatten() for gain in (environment.state.channel_gain, view.channel_gain)
    )
    for values in (power, seen):
        assert values.mean().item() == pytest.approx(1, abs=0.017)
        assert (values > 2).double().mean().item() == pytest.approx(math.exp(-2), abs=0.006)
    assert torch.corrcoef(torch.stack((power, seen)))[0, 1].item() == pytest.approx(1 - error, abs=0.035)
    nominal = view.channel_gain * SYSTEM.power_max_w / (SYSTEM.bandwidth_hz / 4 * SYSTEM.noise_w_hz)
    observed = view.observation[..., COLUMN["channel"]].double()
    assert torch.allclose(observed, torch.log10(nominal) / 2, atol=1e-5)


def test_a_step_goes_by_the_channel_not_by_its_estimate(make_environment):
    environment = make_environment(mix=("text",), episodes=50, csi_error=0.5)
    actions = replace(idle(environment), offload=torch.ones(50, 1, dtype=torch.bool))
    state, view = environment.state, environment.view()
    outcome, _ = environment.step(actions)
    assert torch.equal(outcome.snr_db, execute(SYSTEM, environment.tasks, actions, state).snr_db)
    apart = outcome.snr_db - execute(SYSTEM, environment.tasks, actions, view.state).snr_db
    assert apart.abs().min() > 1e-6


def test_the_bound_holds_with_imperfect_csi(make_tasks):
    """`central` decides on estimates, and loses by them."""
    perfect, _ = bounded(make_tasks, csi_error=1e-9)
    qoe, bound = bounded(make_tasks, csi_error=0.5)
    assert qoe["central"].mean() < 0.9 * bound.mean()
    assert qoe["central"].mean() < perfect["central"].mean()


def bounded(make_tasks, *, gains=None, names=("central", "greedy", "announced", "random"), **episode):
    """QoE by policy, and the bound it is checked against in every episode."""
    tasks = replace(make_tasks(mix=MIX), gains=gains)
    config = EpisodeConfig(mix=MIX, **episode)
    setting = {"system": SYSTEM, "episode": config, "tasks": tasks, "episodes": 12, "seed": 1}
    bound = episode_bound(**setting)
    qoe = {name: play(POLICIES[name](SYSTEM, tasks), **setting).qoe for name in names}
    for name, earned in qoe.items():
        assert (earned <= bound * (1 + 1e-9)).all(), name
    return qoe, bound


def test_the_bound_holds_with_correlated_fading(make_tasks):
    qoe, bound = bounded(make_tasks, ue_speed_m_s=0.005)
    assert qoe["central"].mean() > 0.9 * bound.mean()


# gains of a file ------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_row_of_a_csv_is_a_place(tmp_path):
    table = read_gains(write(tmp_path / "gains.csv", "x_m, y_m, gain_db\n3,4,-80\n-30,40,-100\n\n"), steps=20)
    assert table.gain.tolist() == [[pytest.approx(1e-8)], [pytest.approx(1e-10)]]
    assert table.position_m.tolist() == [[[3, 4]], [[-30, 40]]]


def test_rows_of_one_place_are_its_steps(tmp_path):
    rows = "".join(f"{name},{-70 - step - 10 * at}\n" for step in range(3) for at, name in enumerate("ab"))
    table = read_gains(write(tmp_path / "gains.csv", "place,gain_db\n" + rows), steps=3)
    expected = 10.0 ** -torch.tensor([[7.0, 7.1, 7.2], [8.0, 8.1, 8.2]], dtype=torch.float64)
    assert torch.allclose(table.gain, expected)
    assert not table.position_m.any()


@pytest.mark.parametrize("shape", [(5,), (5, 20)])
def test_an_array_holds_places_by_steps(tmp_path, shape):
    gain_db = -60.0 - 40.0 * np.random.default_rng(0).random(shape).astype(np.float32)
    np.save(tmp_path / "gains.npy", gain_db)
    table = read_gains(tmp_path / "gains.npy", steps=20)
    assert np.allclose(10 * np.log10(table.gain.numpy()), gain_db.reshape(5, -1))


BAD = {
    "places' names alone": ("place\na\n", "columns place given, gain_db, x_m and y_m, or all three, are"),
    "an unknown column": ("gain_db,z_m\n-80,2\n", "columns gain_db,z_m given"),
    "x alone": ("gain_db,x_m\n-80,2\n", "columns gain_db,x_m given"),
    "nothing": ("", "columns none given"),
    "a header alone": ("gain_db\n", "no place given, one or more is allowed"),
    "a pathloss": ("gain_db\n-80\n95\n", r"gain_db 95 given \(place 1, step 0\), -300 to 0 is allowed"),
    "nan": ("gain_db\nnan\n", "gain_db nan given"),
    "a word": ("gain_db\nfar\n", "line 2: gain_db 'far' given, a number is allowed"),
    "a short line": ("gain_db,x_m,y_m\n-80,1\n", "line 2: 2 fields given, 3 are allowed"),
    "a far place": ("gain_db,x_m,y_m\n-80,1,1e9\n", "x_m, y_m 1e.09 given"),
    "uneven places": ("place,gain_db\na,-80\na,-80\nb,-80\n", "places of 1 to 2 rows given, the same number"),
    "too few steps": ("place,gain_db\na,-80\na,-80\n", "2 steps of a place given, 1 or at least steps 20"),
    "a quote": ('gain_db\n"-80\n', "line"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_csv_is_refused_in_one_line(tmp_path, name):
    text, message = BAD[name]
    path = write(tmp_path / "gains.csv", text)
    with pytest.raises(ToolkitError, match=message) as error:
        read_gains(path, steps=20)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("stored", [np.arange(3), np.zeros((2, 2, 2)), np.zeros((0,)), np.array(["a"])])
def test_another_array_is_refused(tmp_path, stored):
    np.save(tmp_path / "gains.npy", stored)
    with pytest.raises(ToolkitError, match=r"gains\.npy"):
        read_gains(tmp_path / "gains.npy", steps=20)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ToolkitError, match=r"gains: .*gains\.mat given, a \.csv or \.npy file"):
        read_gains(tmp_path / "gains.mat", steps=20)


def table(gain_db: np.ndarray) -> GainTable:
    places, steps = gain_db.shape
    at = torch.arange(places * steps * 2, dtype=torch.float64).view(places, steps, 2)
    return GainTable(gain=10.0 ** (torch.from_numpy(gain_db) / 10.0), position_m=at)


def test_ues_stand_at_places_of_the_file_all_alike_often(make_environment):
    gains = table(-60.0 - np.arange(4.0)[:, None])
    view = make_environment(gains=gains, fading="none", episodes=4000).view()
    assert torch.equal(view.channel_gain, view.mean_gain)
    place = (view.mean_gain.unsqueeze(-1) == gains.gain[:, 0]).double()
    assert (place.sum(dim=-1) == 1).all()
    assert torch.equal(view.position_m, gains.position_m[place.argmax(dim=-1), 0])
    share = place.mean(dim=(0, 1))
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.016)  # 4 standard errors of 12 000 draws


def test_a_trace_runs_through_the_steps_of_an_episode(make_environment):
    """A window of T steps of it, wherever it begins."""
    gain_db = -60.0 - 0.1 * np.arange(60.0).reshape(2, 30)
    gains = table(gain_db)
    environment = make_environment(gains=gains, fading="none", episodes=300)
    played_db = 10 * torch.log10(gains_of(environment, 20))
    assert torch.allclose(played_db.diff(dim=0), torch.full((), -0.1, dtype=torch.float64))
    first = ((-60.0 - played_db[0]) / 0.1).round().long()
    assert set((first % 30).flatten().tolist()) == set(range(11))
    assert set((first // 30).flatten().tolist()) == {0, 1}


def test_rayleigh_fading_comes_on_top_of_a_gain(make_environment):
    gains = table(np.full((1, 1), -80.0))
    power = make_environment(gains=gains, episodes=20_000).view().channel_gain / 1e-8
    assert power.mean().item() == pytest.approx(1, abs=0.017)  # 4 standard errors of 60 000 draws


def test_fading_none_does_not_go_with_maps_of_fading():
    with pytest.raises(SettingsError, match="fading: none given with csi statistical"):
        EpisodeConfig(fading="none", csi="statistical")


def test_the_bound_holds_with_gains_of_a_file(make_tasks):
    """Of every policy in every episode: gains come of no action, so that nothing of the proof changes."""
    gain_db = -80.0 - 30.0 * np.random.default_rng(0).random((10, 25))
    qoe, bound = bounded(make_tasks, gains=table(gain_db), fading="none")
    assert qoe["central"].mean() > 0.95 * bound.mean()


def test_a_run_reads_gains_and_keeps_a_copy(tmp_path):
    path = write(tmp_path / "traces.csv", "gain_db,x_m,y_m\n-80,10,0\n-90,20,0\n")
    inputs, episode = Inputs(gains=path), EpisodeConfig(mix=("text",))
    loaded = load(inputs, system=SYSTEM, episode=episode)
    assert loaded.tasks.gains.places == 2
    assert loaded.sha256[str(path)]
    keep_copies(loaded, tmp_path / "run")
    copies = copied_inputs(inputs, tmp_path / "run", episode.mix)
    assert copies.gains == tmp_path / "run" / "inputs" / "gains.csv"
    path.unlink()
    again = load(copies, system=SYSTEM, episode=episode)
    assert torch.equal(again.tasks.gains.gain, loaded.tasks.gains.gain)
