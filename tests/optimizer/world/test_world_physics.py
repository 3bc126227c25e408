"""The kernel against numbers worked out by hand, and what must hold for any input."""

import importlib
import inspect
import math
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.world import physics
from optimizer.world.config import SystemConfig
from optimizer.world.physics import (
    Actions,
    State,
    Transmission,
    allocate_bandwidth,
    battery_beta,
    best_clock,
    best_local_clock,
    best_offer,
    best_power,
    execute,
    first_largest,
    level_of_each,
    levels_of_ues,
    local_effort,
    local_qoe,
    local_reference,
    map_accuracy,
    meets_limits,
    needed_snr_db,
    offloading_effort,
    offloading_qoe,
    server_energy_j,
    snr_db,
    standard_cost,
)
from optimizer.world.physics.effort import cost_weights, offloading_parts
from optimizer.world.physics.precision import in_float64
from optimizer.world.physics.radio import needed_snr_of_codes_db
from optimizer.world.tasks import Tasks


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def simple_tasks(ues: int, *, ue_flops: float = 0.0) -> Tasks:
    """l = 25 GFLOP, S k = 3200 symbols, a map that rises from 0 at 0 dB to 1 at 20 dB."""
    return Tasks(
        modality=torch.zeros(ues, dtype=torch.long),
        flops=torch.full((ues,), 25e9, dtype=torch.float64),
        ue_flops=torch.full((ues,), ue_flops, dtype=torch.float64),
        server_flops=torch.full((ues,), 25e9, dtype=torch.float64),
        symbols=torch.full((ues, 1), 3200.0, dtype=torch.float64),
        map_snr_db=tensor(0.0, 20.0),
        map_ratio=tensor(0.0, 1.0).expand(ues, 1, 2),
    )


def actions(offload: list[bool], *, power_w: float = 0.25, clock_hz: float = 1e9) -> Actions:
    count = len(offload)
    return Actions(
        offload=torch.tensor(offload),
        power_w=torch.full((count,), power_w, dtype=torch.float64),
        clock_hz=torch.full((count,), clock_hz, dtype=torch.float64),
        bandwidth_request=torch.zeros(count, dtype=torch.float64),
    )


def run(system, tasks, chosen, *, queue=4.0, gain=1e-11, battery_j=100.0, beta=0.5):
    shape = chosen.offload.shape
    state = State(
        queue=torch.full(shape, queue, dtype=torch.float64),
        channel_gain=torch.full(shape, gain, dtype=torch.float64),
        battery_j=torch.full(shape, battery_j, dtype=torch.float64),
        beta=torch.full(shape, beta, dtype=torch.float64),
    )
    return execute(system, tasks, chosen, state)


def computing(queue, beta, battery_j=math.inf) -> State:
    """Of one UE whose channel is not read, or of several."""
    queue, beta, battery_j = (torch.as_tensor(v, dtype=torch.float64) for v in (queue, beta, battery_j))
    return State(queue=queue, channel_gain=torch.ones_like(queue), battery_j=battery_j, beta=beta)


def close(value: torch.Tensor, expected: float) -> None:
    assert value.tolist() == pytest.approx([expected] * value.numel(), rel=1e-9)


def test_local_execution_by_hand():
    """d = 4, l = 25 GFLOP, f = 1 GHz: c = 1024 GFLOP/s."""
    outcome = run(SystemConfig(), simple_tasks(1), actions([False]))
    latency_s = 4 * 25e9 / 1024e9  # (3): 97.65625 ms
    close(outcome.latency_s, latency_s)
    energy_j = 4.77e-27 * latency_s * 1e27 + 0.1 * latency_s  # 4.77 W of computing, 0.1 W static
    close(outcome.energy_j, energy_j)
    latency_0_s = 4 * 25e9 / (1024 * 1.28e9)
    energy_0_j = (4.77e-27 * 1.28e9**3 + 0.1) * latency_0_s
    cost = 0.5 * energy_j / energy_0_j + 0.5 * latency_s / latency_0_s
    close(outcome.cost, cost)
    close(outcome.qoe, 1 / cost)
    close(outcome.accuracy, 1.0)
    close(outcome.bandwidth_hz, 0.0)
    close(server_energy_j(SystemConfig(), simple_tasks(1), tensor(4.0), torch.tensor([False])), 0.0)
    assert outcome.success.all()


def test_offloading_by_hand():
    """Two UEs on 5 MHz: 2.5 MHz each. p g = 0.25 W 1e-11; noise 1e-19 W/Hz 2.5e6 Hz = 2.5e-13 W: 10 dB."""
    outcome = run(SystemConfig(), simple_tasks(2), actions([True, True]))
    close(outcome.bandwidth_hz, 2.5e6)
    close(outcome.snr_db, 10.0)  # (1)
    close(outcome.accuracy, 0.5)  # half-way up the map
    upload_s = 4 * 3200 / (2.5e6 * 0.5)  # (2), (4): 10.24 ms
    remote_s = 4 * 25e9 * 2 / (13824 * 1.41e9)  # (5): the server is shared by two
    latency_s = upload_s + remote_s + 1e-3  # (7)
    close(outcome.latency_s, latency_s)
    energy_j = 0.25 * upload_s + 0.1 * latency_s  # (8)
    close(outcome.energy_j, energy_j)
    server_j = server_energy_j(SystemConfig(), simple_tasks(2), tensor(4.0, 4.0), torch.tensor([True, True]))
    close(server_j, 6.44e-26 * remote_s * (1.41e9 / 2) ** 3)  # (6)
    latency_0_s = 4 * 25e9 / (1024 * 1.28e9)
    energy_0_j = (4.77e-27 * 1.28e9**3 + 0.1) * latency_0_s
    cost = 0.5 * energy_j / energy_0_j + 0.5 * latency_s / latency_0_s
    close(outcome.qoe, 0.5 / cost)  # (10)
    assert not outcome.accurate.any()  # 0.5 < 0.9
    assert outcome.in_time.all()
    assert not outcome.success.any()
    close(outcome.earned_qoe, 0.0)


def test_split_charges_the_encoder_to_the_ue():
    plain = run(SystemConfig(), simple_tasks(1), actions([True]))
    split = run(SystemConfig(), simple_tasks(1, ue_flops=10e9), actions([True]))
    encode_s = 4 * 10e9 / 1024e9
    close(split.latency_s - plain.latency_s, encode_s)
    close(split.energy_j - plain.energy_j, encode_s * (4.77 + 0.1))


@pytest.mark.parametrize("ues", [1, 4])
def test_the_papers_local_sum_qoe_is_4_23(ues):
    """Without static power the best clock at beta 0.5 is 0.5^(1/3) f_max and four UEs earn 4.2331."""
    system = SystemConfig(circuit_power_w=0.0)
    tasks = simple_tasks(ues)
    clock_hz = best_local_clock(system, tasks, computing([10.0] * ues, [0.5] * ues))
    close(clock_hz, 0.5 ** (1 / 3) * 1.28e9)
    outcome = run(system, tasks, actions([False] * ues, clock_hz=float(clock_hz[0])), queue=10.0)
    assert float(outcome.earned_qoe.sum()) * 4 / ues == pytest.approx(4.2331, abs=5e-5)


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("queue", [1.0, 10.0])
def test_best_local_clock_is_best(beta, queue):
    system, tasks = SystemConfig(), simple_tasks(1)
    best = float(best_local_clock(system, tasks, computing(queue, beta)))
    clocks = torch.linspace(system.local_clock_min_hz, system.local_clock_max_hz, 2001).tolist()
    costs = [
        float(run(system, tasks, actions([False], clock_hz=f), queue=queue, beta=beta).cost) for f in clocks
    ]
    own = float(run(system, tasks, actions([False], clock_hz=best), queue=queue, beta=beta).cost)
    assert own <= min(costs) + 1e-9


def test_best_local_clock_keeps_the_latency_constraint():
    """d l = 1000 GFLOP in 1 s needs 0.977 GHz, more than beta = 1 asks for."""
    clock_hz = best_local_clock(SystemConfig(), simple_tasks(1), computing([40.0], [1.0]))
    close(clock_hz, 1000e9 / 1024)


def test_best_local_clock_keeps_the_battery():
    """10 tasks of 25 GFLOP take 0.504 J at 0.64 GHz and 1 J at the clock that is best at beta 0.5."""
    system, tasks = SystemConfig(), simple_tasks(1)
    free = best_local_clock(system, tasks, computing([10.0], [0.5]))
    for battery_j, expected in ((0.6, None), (0.52, None), (0.5, float(free)), (0.0, float(free))):
        clock_hz = best_local_clock(system, tasks, computing([10.0], [0.5], [battery_j]))
        outcome = run(
            system, tasks, actions([False], clock_hz=float(clock_hz)), queue=10.0, battery_j=battery_j
        )
        assert bool(outcome.success) == (expected is None)
        if expected is None:
            close(outcome.energy_j, battery_j)
        else:
            close(clock_hz, expected)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 40), st.floats(0.0, 1.0), st.floats(0.0, 3.0), st.floats(0.0, 20.0), st.floats(0.05, 1.0)
)
def test_no_clock_succeeds_where_the_best_fails_and_none_earns_more(queue, beta, share, static_w, t_max_s):
    """`share` is of the least energy that a clock takes; with much static power it is within the range."""
    system, tasks = SystemConfig(circuit_power_w=static_w, latency_max_s=t_max_s), simple_tasks(1)
    clocks = torch.linspace(system.local_clock_min_hz, system.local_clock_max_hz, 4001, dtype=torch.float64)
    waiting, weight = tensor(float(queue)), tensor(beta)
    _, energy_j = local_effort(system, tasks, queue=waiting, clock_hz=clocks)
    battery_j = share * energy_j.min()
    state = computing(waiting, weight, battery_j)
    own = best_local_clock(system, tasks, state)
    assert (own >= clocks[0]).all()
    assert (own <= clocks[-1]).all()
    most = local_qoe(system, tasks, state, clock_hz=clocks).max()
    assert local_qoe(system, tasks, state, clock_hz=own) >= most * (1 - 1e-9)


def test_local_reference_is_local_execution_at_full_clock():
    system, tasks = SystemConfig(), simple_tasks(1)
    outcome = run(system, tasks, actions([False], clock_hz=1.28e9), queue=7.0)
    energy_j, latency_s = local_reference(system, tasks, tensor(7.0))
    close(energy_j, float(outcome.energy_j))
    close(latency_s, float(outcome.latency_s))
    close(outcome.cost, 1.0)


def test_battery_beta_spans_half_to_one():
    assert battery_beta(tensor(8.0, 4.0, 0.0), tensor(8.0)).tolist() == [0.5, 0.75, 1.0]  # (28)


def test_bandwidth_follows_requests_and_local_ues_ask_for_none():
    offload = torch.tensor([True, True, False])
    shares = allocate_bandwidth(SystemConfig(), tensor(math.log(3.0), 0.0, 50.0), offload)
    assert shares.tolist() == pytest.approx([3.75e6, 1.25e6, 0.0])  # (12)
    nobody = allocate_bandwidth(SystemConfig(), tensor(1.0, 2.0, 3.0), torch.zeros(3, dtype=torch.bool))
    assert nobody.tolist() == [0.0, 0.0, 0.0]


def test_map_is_linear_in_db_and_clamped():
    values = map_accuracy(simple_tasks(5), tensor(-math.inf, 0.0, 5.0, 20.0, 99.0))
    assert values.tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]


AXES = ([-6.0, -3.0, 0.0, 3.0, 6.0], [-6.0, -5.5, 0.0, 3.0, 11.0], [2.0, 3.0])


@pytest.mark.parametrize("axis", AXES, ids=["even", "uneven", "two points"])
def test_map_is_what_numpy_interpolates(axis: list[float]):
    """On an even axis the points are found by arithmetic, on any other by search."""
    generator = torch.Generator().manual_seed(0)
    ratio = torch.rand(3, 2, len(axis), generator=generator, dtype=torch.float64)
    tasks = replace(
        simple_tasks(3), map_snr_db=tensor(*axis), map_ratio=ratio, symbols=tensor(1.0, 2.0).expand(3, 2)
    )
    snr = torch.cat((tensor(*axis), torch.linspace(-9, 14, 200, dtype=torch.float64))).unsqueeze(-1)
    snr = snr.expand(-1, 3)
    for code in (0, 1):
        found = map_accuracy(tasks, snr, torch.full(snr.shape, code))
        for ue in range(3):
            expected = np.interp(snr[:, ue], axis, ratio[ue, code])
            assert np.allclose(found[:, ue], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("episodes", [500, 9000])
def test_the_best_offer_is_the_first_of_the_largest(episodes: int):
    """Also where so many are asked for that the powers are tried in turns."""
    system, tasks = SystemConfig(), simple_tasks(2)
    generator = torch.Generator().manual_seed(0)
    gain = 10.0 ** (-11.0 + 3.0 * torch.rand(episodes, 2, generator=generator, dtype=torch.float64))
    battery_j = 10.0 ** (3.0 * torch.rand(episodes, 2, generator=generator, dtype=torch.float64) - 3.0)
    state = State(
        queue=torch.full_like(gain, 3.0), channel_gain=gain, battery_j=battery_j,
        beta=torch.full_like(gain, 0.5),
    )  # fmt: skip
    sent = Transmission(
        power_w=tensor(0.06, 0.1, 0.1, 0.25).view(-1, 1, 1), clock_hz=tensor(1e9),
        bandwidth_hz=tensor(2.5e6), offloading=torch.tensor(2),
    )  # fmt: skip
    most, at = best_offer(system, tasks, state, sent)
    values, first = offloading_qoe(system, tasks, state, sent).max(dim=0)
    assert torch.equal(most, values)
    assert torch.equal(at, first)
    assert 0 < float((values > 0).double().mean()) < 1
    assert len(at.unique()) == 3
    quick, _ = best_offer(system, tasks, state, sent, dtype=torch.float32)
    assert quick.dtype == torch.float32
    agrees = torch.isclose(quick.double(), most, rtol=1e-5, atol=0.0)
    assert agrees.double().mean() > 0.999, "but for who meets a limit by less than rounding"


def test_of_equal_values_the_first_is_the_largest():
    rows = tensor([1.0, 5.0, -1.0, 0.0], [1.0, 2.0, torch.inf, -0.0], [2.0, 5.0, 3.0, 0.0])
    for dtype in (torch.float32, torch.float64):
        most, at = first_largest(rows.to(dtype))
        assert most.tolist() == [2.0, 5.0, torch.inf, 0.0]
        assert at.tolist() == [2, 0, 1, 0]


def test_each_constraint_fails_alone():
    system, tasks = SystemConfig(), simple_tasks(1)
    good = run(system, tasks, actions([True]), gain=1e-9)
    assert good.success.all()
    late = run(SystemConfig(latency_max_s=1e-3), tasks, actions([True]), gain=1e-9)
    flat = run(system, tasks, actions([True]), battery_j=1e-6, gain=1e-9)
    noisy = run(system, tasks, actions([True]), gain=1e-11)
    for outcome, failed in ((late, "in_time"), (flat, "charged"), (noisy, "accurate")):
        held = {name: bool(getattr(outcome, name)) for name in ("in_time", "charged", "accurate")}
        assert [name for name, value in held.items() if not value] == [failed]


UE = st.tuples(
    st.booleans(),
    st.integers(0, 10),
    st.floats(-14.0, -7.0).map(lambda exponent: 10.0**exponent),  # from below the map's SNRs to above
    st.floats(0.063, 0.252),
    st.floats(0.64e9, 1.28e9),
    st.floats(-1e6, 1e6),
    st.floats(0.0, 30.0),
    st.floats(0.0, 1.0),
)


def test_the_gains_drawn_reach_below_into_and_above_the_map():
    tasks, width = simple_tasks(1), tensor(5e6)
    received = [
        snr_db(SystemConfig(), power_w=tensor(0.1), channel_gain=tensor(gain), bandwidth_hz=width)
        for gain in (1e-14, 1e-11, 1e-7)
    ]
    low, high = tasks.map_snr_db.tolist()
    assert received[0] < low < received[1] < high < received[2]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(UE, min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_input_is_finite_and_batched_equals_scalar(batch):
    system, tasks = SystemConfig(), simple_tasks(3)
    columns = torch.tensor(batch, dtype=torch.float64).unbind(dim=-1)
    offload, queue, gain, power_w, clock_hz, request, battery_j, beta = columns

    def step(rows):
        chosen = Actions(
            offload=offload[rows].bool(),
            power_w=power_w[rows],
            clock_hz=clock_hz[rows],
            bandwidth_request=request[rows],
        )
        state = State(queue=queue[rows], channel_gain=gain[rows], battery_j=battery_j[rows], beta=beta[rows])
        return execute(system, tasks, chosen, state)

    together = step(slice(None))
    for name, value in vars(together).items():
        if name != "snr_db":
            assert torch.isfinite(value).all(), name
        for i in range(len(batch)):
            assert torch.equal(vars(step(i))[name], value[i]), name
    assert not torch.isnan(together.snr_db).any()
    total_hz = together.bandwidth_hz.sum(dim=-1)
    assert (total_hz <= system.bandwidth_hz * (1 + 1e-12)).all()
    assert torch.allclose(total_hz[together.offloaded.any(dim=-1)], tensor(system.bandwidth_hz))
    assert (together.bandwidth_hz[together.offloaded] > 0).all()
    idle = queue == 0
    assert all((value[idle] == 0).all() for value in vars(together).values())


@settings(max_examples=100, deadline=None)
@given(st.lists(UE, min_size=3, max_size=3))
def test_the_look_ups_are_the_step(row):
    """`local_qoe` and `offloading_qoe`, which the bound and the policies call, agree with `execute`."""
    system, tasks = SystemConfig(), simple_tasks(3)
    offload, queue, gain, power_w, clock_hz, request, battery_j, beta = torch.tensor(
        row, dtype=torch.float64
    ).unbind(dim=-1)
    chosen = Actions(offload=offload.bool(), power_w=power_w, clock_hz=clock_hz, bandwidth_request=request)
    state = State(queue=queue, channel_gain=gain, battery_j=battery_j, beta=beta)
    outcome = execute(system, tasks, chosen, state)
    local = local_qoe(system, tasks, state, clock_hz=clock_hz)
    sent = Transmission(
        power_w=power_w, clock_hz=clock_hz, bandwidth_hz=outcome.bandwidth_hz.clamp_min(1.0),
        offloading=outcome.offloaded.sum(),
    )  # fmt: skip
    remote = offloading_qoe(system, tasks, state, sent)
    expected = torch.where(queue > 0, torch.where(outcome.offloaded, remote, local), 0.0)
    assert torch.allclose(outcome.earned_qoe, expected, rtol=1e-12, atol=0)


def test_each_ue_sends_at_its_own_k():
    tasks = Tasks(
        **{
            **vars(simple_tasks(2)),
            "symbols": tensor(3200.0, 1600.0).expand(2, 2),
            "map_ratio": torch.stack((tensor(0.0, 1.0), tensor(0.0, 0.5))).expand(2, 2, 2),
        }
    )
    chosen = actions([True, True])
    chosen = Actions(**{**vars(chosen), "code": torch.tensor([0, 1])})
    outcome = run(SystemConfig(), tasks, chosen)
    assert outcome.accuracy.tolist() == pytest.approx([0.5, 0.25])
    upload_s = outcome.latency_s - 4 * 25e9 * 2 / (13824 * 1.41e9) - 1e-3
    assert upload_s.tolist() == pytest.approx([4 * 3200 / (2.5e6 * 0.5), 4 * 1600 / (2.5e6 * 0.25)])


def test_needed_snr_is_where_the_map_meets_epsilon_min():
    assert needed_snr_db(SystemConfig(), simple_tasks(2)).tolist() == pytest.approx([18.0, 18.0])
    always, never = tensor(0.95, 1.0), tensor(0.0, 0.8)
    tasks = Tasks(**{**vars(simple_tasks(2)), "map_ratio": torch.stack((always, never)).unsqueeze(1)})
    assert needed_snr_db(SystemConfig(), tasks).tolist() == [-math.inf, math.inf]


def whole(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=2, max_size=2)


STATE = {
    "queue": whole(0, 10), "battery_j": whole(0, 100), "beta": whole(0, 1), "channel_gain": whole(0, 1),
    "power_w": whole(1, 2), "clock_hz": whole(640_000_000, 1_280_000_000), "bandwidth_request": whole(-9, 9),
    "bandwidth_hz": whole(1, 5_000_000), "accuracy": whole(0, 1), "latency_s": whole(0, 3),
    "energy_j": whole(0, 50), "snr_db": whole(-9, 30), "battery_max_j": whole(100, 200),
}  # fmt: skip
"""Whole numbers, so that every type can say them."""
TOO_NARROW = {torch.int16: ("clock_hz", "bandwidth_hz"), torch.float16: ("clock_hz", "bandwidth_hz")}
KINDS = (torch.int16, torch.int32, torch.int64, torch.float16, torch.float32)


def public_functions():
    """Each function that takes tensors: its name, and how it is called with a state."""
    system, tasks = SystemConfig(), simple_tasks(2)
    offload = torch.tensor([True, False])

    def chosen(state):
        names = ("power_w", "clock_hz", "bandwidth_request")
        return Actions(offload=offload, **{name: state[name] for name in names})

    def some(state, *names):
        return {name: state[name] for name in names}

    def state_of(state):
        return State(**some(state, "queue", "channel_gain", "battery_j", "beta"))

    def sent(state):
        return Transmission(**some(state, "power_w", "clock_hz", "bandwidth_hz"), offloading=torch.tensor(2))

    def at_both_powers(state):
        return replace(sent(state), power_w=state["power_w"].unsqueeze(-1))

    return {
        allocate_bandwidth: lambda f, s: f(system, s["bandwidth_request"], offload),
        snr_db: lambda f, s: f(system, **some(s, "power_w", "channel_gain", "bandwidth_hz")),
        map_accuracy: lambda f, s: f(tasks, s["snr_db"], torch.tensor([0, 0])),
        local_effort: lambda f, s: f(system, tasks, **some(s, "queue", "clock_hz")),
        offloading_effort: lambda f, s: f(system, tasks, sent(s), **some(s, "queue", "accuracy")),
        local_reference: lambda f, s: f(system, tasks, s["queue"]),
        offloading_parts: lambda f, s: f(system, simple_tasks(2, ue_flops=1e9), sent(s), queue=s["queue"]),
        cost_weights: lambda f, s: f(system, tasks, state_of(s)),
        standard_cost: lambda f, s: f(system, tasks, state_of(s), **some(s, "latency_s", "energy_j")),
        battery_beta: lambda f, s: f(s["battery_j"], s["battery_max_j"]),
        best_clock: lambda f, s: f(system, s["beta"]),
        best_local_clock: lambda f, s: f(system, tasks, state_of(s)),
        meets_limits: lambda f, s: f(system, **some(s, "accuracy", "latency_s", "energy_j", "battery_j")),
        execute: lambda f, s: f(system, tasks, chosen(s), state_of(s)),
        local_qoe: lambda f, s: f(system, tasks, state_of(s), clock_hz=s["clock_hz"]),
        offloading_qoe: lambda f, s: f(system, tasks, state_of(s), sent(s)),
        best_power: lambda f, s: f(system, tasks, chosen(s), state_of(s), powers_w=[0.1, 0.2]),
        best_offer: lambda f, s: f(system, tasks, state_of(s), at_both_powers(s)),
        server_energy_j: lambda f, s: f(system, tasks, s["queue"], offload),
    }


def values(result) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    return list(result) if isinstance(result, tuple) else list(vars(result).values())


@settings(max_examples=50, deadline=None)
@given(st.fixed_dictionaries(STATE), st.sampled_from(KINDS))
def test_numbers_of_any_type_come_to_the_same(state, kind):
    """A queue, and all else, in int16 to float32 counts as it does in float64: nothing overflows."""
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}
    exact |= {name: exact[name].to(kind).double() for name in exact if name not in TOO_NARROW.get(kind, ())}
    narrow = {name: v if name in TOO_NARROW.get(kind, ()) else v.to(kind) for name, v in exact.items()}
    for function, call in public_functions().items():
        expected, found = values(call(function, exact)), values(call(function, narrow))
        for one, other in zip(expected, found, strict=True):
            assert one.dtype == other.dtype, function
            assert torch.equal(one.nan_to_num(-1.0), other.nan_to_num(-1.0)), function


def test_no_public_function_is_left_out_of_that():
    written = {
        function
        for module in pkgutil.iter_modules(physics.__path__, f"{physics.__name__}.")
        for name, function in vars(importlib.import_module(module.name)).items()
        if inspect.isfunction(function) and function.__module__ == module.name and name[0] != "_"
    }
    written.remove(in_float64)
    takes_no_state = {
        needed_snr_db, needed_snr_of_codes_db, levels_of_ues, level_of_each, first_largest,
    }  # fmt: skip
    assert written - takes_no_state == set(public_functions())


def test_a_long_queue_of_int64_earns_what_it_earns():
    outcome = execute(
        SystemConfig(), simple_tasks(1), actions([False], clock_hz=1.28e9),
        State(queue=torch.tensor([10]), channel_gain=tensor(1.0), battery_j=tensor(100.0), beta=tensor(0.5)),
    )  # fmt: skip
    close(outcome.qoe, 1.0)
