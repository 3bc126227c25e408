"""The pieces of MAPPO by hand, and that it learns."""

import math
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.files.errors import ToolkitError
from optimizer.policies.baselines import POLICIES
from optimizer.policies.config import HEADS_START, SECTION_IV, MappoConfig
from optimizer.policies.distribution import (
    HEADS,
    REQUEST_HEAD,
    ActionDistribution,
    RawActions,
    mode_logit,
)
from optimizer.policies.experience import (
    Experience,
    ValueNormaliser,
    advantages,
    standardised,
)
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.networks import ActorCritic
from optimizer.study.evaluate import play, summarise
from optimizer.world.config import OBSERVATIONS, EpisodeConfig, SystemConfig
from optimizer.world.physics import best_clock, execute
from optimizer.world.ranges import power_levels_w
from optimizer.world.view import COLUMN, OBSERVATION_SIZE, POWER_LEVELS, View

SYSTEM = SystemConfig()
LARGE, SMALL = 2.5e9, 2e7


def trainer(tasks, *, seed=0, system=SYSTEM, episode=None, **config) -> MappoTrainer:
    return MappoTrainer(
        MappoConfig(**config), system=system, tasks=tasks,
        episode=episode or EpisodeConfig(mix=("text",) * tasks.ues),
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def drawn_from(network: ActorCritic, view: View) -> ActionDistribution:
    return network.actions(view.observation, network.start(view))


def test_advantages_by_hand():
    """Eq. (23) with gamma 0.5, lambda 0.5; the second copy ends after its first step."""
    reward = torch.tensor([[1.0, 5.0], [2.0, 0.0], [3.0, 0.0]])
    value = torch.tensor([[0.5, 1.0], [1.0, 9.0], [2.0, 9.0]])
    running = torch.tensor([[True, True], [True, False], [True, False]])
    result = advantages(reward, value, running, discount=0.5, gae_lambda=0.5)
    last = 3.0 - 2.0
    middle = 2.0 + 0.5 * 2.0 - 1.0 + 0.25 * last
    first = 1.0 + 0.5 * 1.0 - 0.5 + 0.25 * middle
    assert result[:, 0].tolist() == pytest.approx([first, middle, last])
    assert result[:, 1].tolist() == pytest.approx([5.0 - 1.0, 0.0, 0.0])
    to_go = advantages(reward, value, running, discount=0.5, gae_lambda=1.0) + value
    assert to_go[:, 0].tolist() == pytest.approx([1.0 + 0.5 * 2.0 + 0.25 * 3.0, 2.0 + 0.5 * 3.0, 3.0])  # (26)
    each = torch.stack((value, value + 1.0), dim=-1)  # a V of each UE, the same reward
    of_each = advantages(reward.unsqueeze(-1), each, running.unsqueeze(-1), discount=0.5, gae_lambda=0.5)
    assert torch.equal(of_each[..., 0], result)
    assert of_each[2, 0].tolist() == pytest.approx([last, last - 1.0])


def test_value_normaliser_inverts_and_standardises():
    normaliser = ValueNormaliser()
    assert normaliser.restore(torch.tensor(2.0)) == 2.0  # before any return
    returns = torch.tensor([100.0, 300.0, 200.0, 400.0])
    normaliser.update(returns)
    small = normaliser.normalise(returns)
    assert small.mean().item() == pytest.approx(0, abs=1e-6)
    assert small.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert torch.allclose(normaliser.restore(small), returns)


@pytest.mark.parametrize("clock_when_offloading", [False, True])
def test_log_density_and_entropy_are_torchs(clock_when_offloading):
    heads = torch.randn(50, 4, HEADS + 3, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor(0.3)
    ours = ActionDistribution(heads, scale, clock_when_offloading=clock_when_offloading)
    actions = ours.sample(torch.Generator().manual_seed(1))
    coin = torch.distributions.Bernoulli(logits=heads[..., 0])
    power = torch.distributions.Beta(*ours.power_shape.unbind(dim=-1))
    clock = torch.distributions.Beta(*ours.clock_shape.unbind(dim=-1))
    request = torch.distributions.Normal(heads[..., 5], scale.exp())
    code = torch.distributions.Categorical(logits=heads[..., HEADS:])
    assert actions.code.unique().tolist() == [0, 1, 2]
    rho = actions.offload.float()
    use = 1.0 if clock_when_offloading else 1 - rho
    chosen = power.log_prob(actions.power) + request.log_prob(actions.request) + code.log_prob(actions.code)
    density = coin.log_prob(rho) + rho * chosen
    assert torch.allclose(ours.log_prob(actions), density + use * clock.log_prob(actions.clock), atol=1e-5)
    mean_use = 1.0 if clock_when_offloading else 1 - coin.probs
    remote = power.entropy() + request.entropy() + code.entropy()
    entropy = coin.entropy() + coin.probs * remote + mean_use * clock.entropy()
    assert torch.allclose(ours.entropy(), entropy, atol=1e-5)


def test_samples_have_the_distributions_moments():
    heads = torch.tensor([1.0, 2.0, -1.0, 0.0, 0.0, 0.7]).expand(40_000, 6)
    ours = ActionDistribution(heads, torch.tensor(-1.0), clock_when_offloading=False)
    actions = ours.sample(torch.Generator().manual_seed(0))
    shapes = ours.power_shape[0]
    assert actions.offload.float().mean().item() == pytest.approx(
        torch.sigmoid(torch.tensor(1.0)).item(), abs=0.01
    )
    assert actions.power.mean().item() == pytest.approx((shapes[0] / shapes.sum()).item(), abs=0.005)
    assert actions.clock.mean().item() == pytest.approx(0.5, abs=0.005)
    assert actions.request.mean().item() == pytest.approx(0.7, abs=0.01)
    assert actions.request.std().item() == pytest.approx(math.exp(-1), abs=0.01)
    for value in (actions.power, actions.clock):
        assert value.min() > 0
        assert value.max() < 1


def test_clip_stops_the_gradient_of_a_ratio_that_went_far(make_tasks):
    """Eqs. (24), (25): past 1 + delta a good action is pushed no further, a bad one still is."""
    learner = trainer(make_tasks(), critic_weight=0.0, entropy_weight=0.0, copies=2)
    experience, _ = learner.play()
    rows = experience.select(torch.arange(8))
    far = Experience(**vars(rows) | {"log_prob": rows.log_prob - 1.0})  # ratio e > 1.3

    def gradient(advantage: float) -> float:
        learner.network.zero_grad()
        loss, _ = learner._loss(far, torch.full((8, 4), advantage), torch.zeros(8, 1))
        loss.backward()
        return float(sum(weight.grad.abs().sum() for weight in learner.network.actor.parameters()))

    assert gradient(1.0) == 0
    assert gradient(-1.0) > 0


def test_loss_takes_the_entropy_off_by_its_weight(make_tasks):
    """Eq. (27)."""
    losses = []
    for weight in (0.0, 0.5):
        learner = trainer(make_tasks(), copies=2, entropy_weight=weight)
        rows = learner.play()[0].select(torch.arange(8))
        loss, entropy = learner._loss(rows, torch.ones(8, 4), torch.zeros(8, 1))
        losses.append(loss.item())
    assert entropy > 0.1
    assert losses[0] - losses[1] == pytest.approx(0.5 * entropy, rel=1e-4)


def test_finished_ues_are_masked_out_of_the_loss(make_tasks):
    learner = trainer(make_tasks(), copies=4)
    experience, _ = learner.play()
    rows = experience.select(torch.arange(16))
    active = rows.active.clone()
    active[:, 3] = False
    losses = []
    for change in (0.0, 0.3):
        spoiled = rows.log_prob.clone()
        spoiled[:, 3] += change
        part = Experience(**vars(rows) | {"active": active, "log_prob": spoiled})
        losses.append(learner._loss(part, torch.ones(16, 4), torch.zeros(16, 1))[0].item())
    assert losses[0] == losses[1]


def test_training_repeats_from_its_seed_and_leaves_the_global_generator_alone(make_tasks):
    state = torch.random.get_rng_state()
    curves = [trainer(make_tasks(), seed=5, episodes=3, copies=4).train() for _ in range(2)]
    assert curves[0] == curves[1]
    assert trainer(make_tasks(), seed=6, episodes=3, copies=4).train() != curves[0]
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_mode_is_where_the_density_is_highest():
    heads = torch.tensor([2.0, 4.0, 0.0, -1.0, 1.0, 0.7, 0.1, 0.9]).expand(3, 8)
    ours = ActionDistribution(heads, torch.tensor(-1.0), clock_when_offloading=True)
    mode = ours.mode()
    assert mode.power[0] == 1.0
    assert torch.allclose(mode_logit(mode.clock), heads[:, 3])
    assert mode.code.tolist() == [1, 1, 1]
    best = ours.log_prob(RawActions(**{**vars(mode), "power": torch.full((3,), 0.9999)}))
    for change in ({"power": 0.5}, {"clock": 0.6}, {"request": 0.0}):
        other = {name: torch.full((3,), value) for name, value in change.items()}
        assert (
            ours.log_prob(RawActions(**{**vars(mode), "power": torch.full((3,), 0.9999)} | other)) < best
        ).all()


def test_a_clock_that_is_not_learned_is_no_part_of_the_distribution():
    heads = torch.randn(50, 4, HEADS, generator=torch.Generator().manual_seed(0))
    ours = ActionDistribution(heads, torch.tensor(0.0), clock_when_offloading=True, learn_clock=False)
    actions = ours.sample(torch.Generator().manual_seed(2))
    assert torch.equal(actions.clock, ours.mode().clock)
    free = ActionDistribution(heads, torch.tensor(0.0), clock_when_offloading=False)
    other = RawActions(**{**vars(actions), "offload": torch.ones_like(actions.offload)})
    assert torch.allclose(ours.log_prob(other), free.log_prob(other))  # offloading, f is free of it too
    local = RawActions(**{**vars(actions), "offload": torch.zeros_like(actions.offload)})
    coin = torch.distributions.Bernoulli(logits=heads[..., 0])
    assert torch.allclose(ours.log_prob(local), coin.log_prob(torch.zeros(())), atol=1e-5)


def test_unless_learned_the_clock_is_the_closed_form(make_tasks):
    for learn_clock in (False, True):
        learner = trainer(make_tasks(), copies=3, learn_clock=learn_clock)
        view = learner._environment.view()
        clock_hz = learner.policy.act(view, torch.Generator()).clock_hz
        close = torch.allclose(clock_hz, view.clock_hz, rtol=1e-6)
        assert close != learn_clock


@pytest.mark.parametrize("learn_clock", [False, True])
def test_unless_learned_who_offloads_encodes_at_the_best_clock(make_tasks, learn_clock):
    split = {"mix": ("text",), "offload_cost": "split", "beta": 0.9}
    system = SystemConfig(latency_max_s=0.2)  # local execution needs a faster clock for it
    learner = trainer(
        make_tasks(**split), system=system, episode=EpisodeConfig(**split), copies=20, learn_clock=learn_clock
    )
    view = learner._environment.view()
    actions = learner.network.physical(drawn_from(learner.network, view).sample(
        torch.Generator().manual_seed(0)), view)  # fmt: skip
    assert actions.offload.any()
    encoding_hz = best_clock(system, view.beta)
    assert bool((actions.clock_hz == encoding_hz)[actions.offload].all()) != learn_clock
    assert not (actions.clock_hz == encoding_hz)[~actions.offload].any()


def test_unless_learned_the_power_is_the_best_on_the_granted_band(make_tasks):
    tasks = make_tasks(mix=("text", "image", "vqa", "vqa"))
    for learn_power in (False, True):
        learner = trainer(tasks, copies=20, learn_power=learn_power)
        view = learner._environment.view()
        drawn = drawn_from(learner.network, view).sample(torch.Generator().manual_seed(1))
        actions = learner.network.physical(drawn, view)
        assert actions.offload.any()
        best = torch.stack(
            [
                execute(
                    SYSTEM, tasks, replace(actions, power_w=power_w.expand_as(view.queue)), view.state
                ).earned_qoe
                for power_w in power_levels_w(SYSTEM, POWER_LEVELS)
            ]
        ).amax(dim=0)
        earned = learner._environment.step(actions)[0].earned_qoe
        assert bool((earned >= best * (1 - 1e-9)).all()) != learn_power


@pytest.mark.parametrize("learn_power", [False, True])
def test_a_ue_that_would_fail_on_its_granted_band_withdraws(make_tasks, learn_power):
    """All want to offload; those who fail at the best power compute at their best clock."""
    tasks = make_tasks(mix=("text", "image", "vqa", "vqa"))
    learner = trainer(tasks, copies=50, learn_power=learn_power, learn_clock=True)
    with torch.no_grad():
        learner.network.actor[-1].bias[0] = 100.0
        learner.network.actor[-1].bias[REQUEST_HEAD] = 0.0
    view = learner._environment.view()
    drawn = drawn_from(learner.network, view).mode()
    assert drawn.offload.all()
    wanted = drawn.to_physical(SYSTEM)
    if not learn_power:
        wanted = replace(wanted, power_w=view.best_power(wanted)[0])

    def earned(actions):
        return execute(SYSTEM, tasks, actions, view.state).earned_qoe

    fails = earned(wanted) == 0
    assert 0.1 < fails.double().mean() < 0.9
    chosen = learner.policy.act(view, torch.Generator())
    assert torch.equal(chosen.offload, wanted.offload if learn_power else ~fails)
    if not learn_power:
        assert torch.equal(chosen.clock_hz[fails], view.clock_hz.expand_as(fails)[fails])
        assert torch.allclose(earned(chosen)[fails], view.local_qoe[fails])
        assert earned(chosen).sum() > earned(wanted).sum()


def test_power_that_is_not_learned_is_no_part_of_the_distribution():
    heads = torch.randn(50, 4, HEADS, generator=torch.Generator().manual_seed(0))
    learned, taken = (
        ActionDistribution(heads, torch.tensor(0.3), clock_when_offloading=False, learn_power=learn_power)
        for learn_power in (True, False)
    )
    actions = learned.sample(torch.Generator().manual_seed(1))
    power = torch.distributions.Beta(*learned.power_shape.unbind(dim=-1))
    density = taken.log_prob(actions) + actions.offload * power.log_prob(actions.power)
    assert torch.allclose(learned.log_prob(actions), density, atol=1e-5)
    entropy = taken.entropy() + torch.sigmoid(heads[..., 0]) * power.entropy()
    assert torch.allclose(learned.entropy(), entropy, atol=1e-5)


@pytest.mark.parametrize("heads", HEADS_START)
def test_the_heads_start_where_the_setting_says(make_tasks, heads):
    """With the network's own weights next to 0 the policy is its start."""
    tasks = make_tasks(mix=("text", "image", "vqa", "vqa"))
    learner = trainer(tasks, copies=20, heads=heads, learn_power=True, learn_clock=True)
    with torch.no_grad():
        learner.network.actor[-1].weight.zero_()
    view = learner._environment.view()
    mode = drawn_from(learner.network, view).mode()
    column = {name: view.columns[..., i] for name, i in COLUMN.items()}
    gains = view.gain > 0
    if heads == "zero":
        assert torch.allclose(mode.power, torch.full((20, 4), 0.5), atol=1e-6)
        assert torch.allclose(mode.clock, torch.full((20, 4), 0.5), atol=1e-6)
        assert not mode.request.any()
    else:
        assert torch.allclose(mode.power, column["power_on_half"], atol=1e-5)
        assert torch.allclose(mode.clock, column["clock"], atol=1e-5)
        expected = column["share"] if heads == "lookups" else 20.0 * view.gain.log().float()
        assert gains.any()
        assert torch.allclose(mode.request[gains], expected[gains], rtol=1e-5)
    # rho: 1/2 for the UE that the station names, 1 / (I + 1) for the others
    named = view.announced[1]
    assert named.any()
    probability = torch.where(named | (heads == "zero"), 0.5, 0.2)
    assert torch.allclose(drawn_from(learner.network, view).offload_probability, probability, atol=1e-6)


def test_in_play_rho_is_drawn_and_all_else_is_the_mode():
    heads = torch.tensor([-1.0, 2.0, -1.0, 0.0, 0.0, 0.7]).expand(40_000, 6)
    ours = ActionDistribution(heads, torch.tensor(-1.0), clock_when_offloading=False)
    decided, mode = ours.decided(torch.Generator().manual_seed(0)), ours.mode()
    assert decided.offload.double().mean() == pytest.approx(1 / (1 + math.e), abs=0.01)
    assert not mode.offload.any()
    for name in ("power", "clock", "request", "code"):
        assert torch.equal(getattr(decided, name), getattr(mode, name))


def test_a_critic_of_its_own_reads_the_ues_own_observation(make_tasks):
    """V(o_i) of (23) and (26); the central one reads all."""
    observation = torch.randn(3, 4, OBSERVATION_SIZE, generator=torch.Generator().manual_seed(0))
    changed = observation.clone()
    changed[:, 1:] += 1.0
    own, central = (trainer(make_tasks(), copies=2, critic=critic).network for critic in ("own", "all"))
    assert own.value(observation).shape == (3, 4)
    assert torch.equal(own.value(observation)[:, 0], own.value(changed)[:, 0])
    assert (own.value(observation)[:, 1:] != own.value(changed)[:, 1:]).all()
    assert central.value(observation).shape == (3, 1)
    assert (central.value(observation) != central.value(changed)).all()


def test_who_would_earn_too_little_on_its_grant_withdraws(make_tasks):
    """All bid; with `withdraw_under` 2 those stay who earn more than twice what they earn locally."""
    tasks = make_tasks(mix=("text", "image", "vqa", "vqa"))
    shares = {}
    for under in (0.0, 2.0):
        learner = trainer(tasks, copies=50, heads="bids", withdraw_under=under)
        with torch.no_grad():
            learner.network.actor[-1].weight.zero_()
            learner.network.actor[-1].bias[0] = 100.0
        view = learner._environment.view()
        wanted = drawn_from(learner.network, view).mode()
        assert wanted.offload.all()
        _, earned = view.best_power(wanted.to_physical(SYSTEM))
        chosen = learner.policy.act(view, torch.Generator())
        assert torch.equal(chosen.offload, earned > under * view.local_qoe)
        shares[under] = chosen.offload.double().mean()
    assert 0.05 < shares[2.0] < shares[0.0]


def test_only_who_looks_its_power_up_can_withdraw():
    with pytest.raises(ToolkitError, match=r"withdraw_under: 2\.0 given with learn_power, 0 is allowed"):
        MappoConfig(withdraw_under=2.0, learn_power=True)


def test_one_policy_serves_any_number_of_ues(make_tasks):
    policy = trainer(make_tasks(), copies=2).policy
    for ues in (1, 2, 9, 32):
        mix = ("text",) * ues
        setting = {"system": SYSTEM, "episode": EpisodeConfig(mix=mix), "tasks": make_tasks(mix=mix)}
        assert play(policy, **setting, episodes=2, seed=0).qoe.isfinite().all()


def test_the_actor_reads_its_own_observation_alone(make_tasks):
    observation = torch.randn(1, 4, OBSERVATION_SIZE, generator=torch.Generator().manual_seed(0))
    changed = observation.clone()
    changed[:, 1:] += 1.0
    network, start = trainer(make_tasks(), copies=2).network, torch.zeros(1, 4, HEADS)
    first, second = (network.actions(o, start).mode().request[0] for o in (observation, changed))
    assert first[0] == second[0]
    assert (first[1:] != second[1:]).all()


@pytest.mark.parametrize(("flops", "reference", "share"), [(LARGE, "greedy", 1.0), (SMALL, "local", 0.97)])
def test_mappo_learns(make_tasks, flops, reference, share):
    """A short training ends above the best policy that decides for itself, or close to it, far above
    random."""
    tasks = make_tasks(flops)
    learner = trainer(tasks, episodes=50, copies=32, batch_steps=128, hidden=64)
    curve = learner.train()

    def test(policy):
        scores = play(
            policy, system=SYSTEM, episode=EpisodeConfig(mix=("text",) * 4), tasks=tasks, episodes=60, seed=99
        )
        return summarise([scores], None, sees="")

    names = ("greedy", "local", "remote", "random")
    tested = {name: test(POLICIES[name](SYSTEM, tasks)) for name in names}
    best = max(tested.values(), key=lambda performance: performance.qoe.value)
    assert tested[reference] == best
    learned = test(learner.policy)
    assert learned.qoe.low > tested["random"].qoe.high
    assert learned.qoe.value > share * best.qoe.value
    assert learned.finished > 0.98
    assert curve.entropy[-1] < curve.entropy[0]


def test_resumed_training_is_training_that_never_stopped(make_tasks, tmp_path):
    tasks, path = make_tasks(), tmp_path / "checkpoint.safetensors"
    whole = trainer(tasks, seed=2, episodes=4, copies=3)
    whole.train()
    first = trainer(tasks, seed=2, episodes=4, copies=3)

    class StoppedError(Exception):
        pass

    def stop(learner):
        if len(learner.curve.qoe) == 2:
            learner.save(path)
            raise StoppedError

    with pytest.raises(StoppedError):
        first.train(watch=stop)
    second = trainer(tasks, seed=2, episodes=4, copies=3)
    second.train(checkpoint=path)
    assert second.curve == whole.curve
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.network.state_dict().items())
    other = trainer(tasks, seed=3, episodes=4, copies=4)
    assert other.digest != second.digest
    with pytest.raises(ToolkitError, match=r"mappo\.copies was 3, is now 4; seed was 2, is now 3"):
        other.train(checkpoint=path)


def test_tensorboard_log_is_written(make_tasks, tmp_path):
    trainer(make_tasks(), episodes=1, copies=2).train(log=tmp_path / "log")
    assert list((tmp_path / "log").glob("events*"))


def test_a_resumed_tensorboard_log_keeps_every_episode(make_tasks, tmp_path):
    tasks, kept = make_tasks(), tmp_path / "kept.safetensors"

    class Stop(Exception):  # noqa: N818
        pass

    def stop_after_two(learner):
        if len(learner.curve.qoe) == 2:
            learner.save(kept)
            raise Stop

    with pytest.raises(Stop):
        trainer(tasks, episodes=3, copies=2).train(log=tmp_path / "log", watch=stop_after_two)
    curve = trainer(tasks, episodes=3, copies=2).train(checkpoint=kept, log=tmp_path / "log")
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("qoe")]
    assert points == [(step, pytest.approx(qoe, rel=1e-6)) for step, qoe in enumerate(curve.qoe, start=1)]


def test_one_sample_has_no_deviation():
    """NaN advantages made all weights NaN."""
    values = torch.tensor([[3.0, 8.0], [1.0, 8.0]])
    among = torch.tensor([[True, False], [True, False]])
    assert standardised(values, among)[:, 0].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])
    among[1, 0] = False
    assert standardised(values, among)[0, 0] == 0.0
    assert standardised(values, among).isfinite().all()


@pytest.mark.parametrize("change", [{"queue_tasks": 1}, {"queue_tasks": 1, "steps": 1}, {"queue_tasks": 2}])
@pytest.mark.parametrize("ues", [1, 2])
def test_the_smallest_experience_leaves_the_weights_finite(make_tasks, change, ues):
    mix = ("text",) * ues
    for seed in range(3):
        learner = trainer(
            make_tasks(mix=mix), seed=seed, episode=EpisodeConfig(mix=mix, **change), episodes=3, copies=1,
            batch_steps=1,
        )  # fmt: skip
        learner.train()
        assert all(weight.isfinite().all() for weight in learner.network.parameters())


def test_a_training_that_diverges_says_so(make_tasks):
    """Nothing of a config may be NaN, but its terms may outgrow float32."""
    learner = trainer(make_tasks(), copies=2, critic_weight=1e38, learning_rate=0.9)
    with pytest.raises(ToolkitError, match=r"the training diverged.*learning_rate 0\.9 given, a smaller one"):
        learner.train()


def test_mappo_plays_every_setting(make_tasks):
    for change in (
        *({"observation": observation, "mix": ("text", "vqa", "vqa")} for observation in OBSERVATIONS),
        {"preference": "dynamic"}, {"csi": "statistical"}, {"offload_cost": "split"}, {"mix": ("vqa",)},
        {"mix": ("text", "image"), "preference": "drawn"},
    ):  # fmt: skip
        tasks, episode = make_tasks(**change), EpisodeConfig(**{"mix": ("text",) * 4} | change)
        for printed in ({}, SECTION_IV, {"heads": "bids", "withdraw_under": 2.0}):
            curve = trainer(tasks, episode=episode, episodes=2, copies=2, **printed).train()
            assert all(math.isfinite(value) for values in vars(curve).values() for value in values)


def test_raw_actions_reach_the_ends_of_the_ranges():
    ends = torch.tensor([0.0, 1.0])
    actions = RawActions(
        offload=ends > 0, power=ends, clock=ends, request=ends, code=ends.long()
    ).to_physical(SYSTEM)
    assert actions.power_w.tolist() == pytest.approx([10**-1.2, 10**-0.6])  # 18 and 24 dBm
    assert actions.clock_hz.tolist() == pytest.approx([0.64e9, 1.28e9])
