"""The pieces of MAPPO by hand, and that it learns."""

import math

import pytest
import torch

from data.artifacts import ToolkitError
from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.evaluation import evaluate
from optimizer.mappo import Experience, MappoConfig, MappoTrainer, ValueNormaliser, advantages
from optimizer.networks import ActionDistribution, ActorCritic, LearnedPolicy, RawActions
from optimizer.policies import POLICIES

SYSTEM = SystemConfig()
LARGE, SMALL = 2.5e9, 2e7


def trainer(tasks, *, seed=0, system=SYSTEM, episode=None, **config) -> MappoTrainer:
    return MappoTrainer(
        MappoConfig(**config), system=system, episode=episode or EpisodeConfig(), tasks=tasks,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


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
    heads = torch.randn(50, 4, 6, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor(0.3)
    ours = ActionDistribution(heads, scale, clock_when_offloading=clock_when_offloading)
    actions = ours.sample(torch.Generator().manual_seed(1))
    shape = 1 + torch.nn.functional.softplus(heads[..., 1:5])
    coin = torch.distributions.Bernoulli(logits=heads[..., 0])
    power = torch.distributions.Beta(shape[..., 0], shape[..., 1])
    clock = torch.distributions.Beta(shape[..., 2], shape[..., 3])
    request = torch.distributions.Normal(heads[..., 5], scale.exp())
    rho = actions.offload.float()
    use = 1.0 if clock_when_offloading else 1 - rho
    density = coin.log_prob(rho) + rho * (power.log_prob(actions.power) + request.log_prob(actions.request))
    assert torch.allclose(ours.log_prob(actions), density + use * clock.log_prob(actions.clock), atol=1e-5)
    mean_use = 1.0 if clock_when_offloading else 1 - coin.probs
    entropy = coin.entropy() + coin.probs * (power.entropy() + request.entropy()) + mean_use * clock.entropy()
    assert torch.allclose(ours.entropy(), entropy, atol=1e-5)


def test_samples_have_the_distributions_moments():
    heads = torch.tensor([1.0, 2.0, -1.0, 0.0, 0.0, 0.7]).expand(40_000, 6)
    ours = ActionDistribution(heads, torch.tensor(-1.0), clock_when_offloading=False)
    actions, mode = ours.sample(torch.Generator().manual_seed(0)), ours.mode()
    assert actions.offload.float().mean().item() == pytest.approx(
        torch.sigmoid(torch.tensor(1.0)).item(), abs=0.01
    )
    assert actions.power.mean().item() == pytest.approx(mode.power[0].item(), abs=0.005)
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
        loss, _ = learner._loss(far, torch.full((8,), advantage), torch.zeros(8))
        loss.backward()
        return float(sum(weight.grad.abs().sum() for weight in learner.network.actor.parameters()))

    assert gradient(1.0) == 0
    assert gradient(-1.0) > 0


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
        losses.append(learner._loss(part, torch.ones(16), torch.zeros(16))[0].item())
    assert losses[0] == losses[1]


def test_training_repeats_from_its_seed_and_leaves_the_global_generator_alone(make_tasks):
    state = torch.random.get_rng_state()
    curves = [trainer(make_tasks(), seed=5, episodes=3, copies=4).train() for _ in range(2)]
    assert curves[0] == curves[1]
    assert trainer(make_tasks(), seed=6, episodes=3, copies=4).train() != curves[0]
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(("flops", "reference", "share"), [(LARGE, "greedy", 1.0), (SMALL, "local", 0.98)])
def test_mappo_learns(make_tasks, flops, reference, share):
    """A short training ends close to the best policy that is not learned, far above random.

    Seeds 0 to 4 reach 1.035 to 1.043 of greedy and 0.9988 to 1.0000 of local; the printed learning rate of
    2e-7 reaches 0.66 and 0.06.
    """
    tasks = make_tasks(flops)
    learner = trainer(tasks, episodes=80)
    curve = learner.train()

    def test(policy):
        return evaluate(policy, system=SYSTEM, episode=EpisodeConfig(), tasks=tasks, episodes=100, seed=99)

    tested = {name: test(make(SYSTEM, tasks)) for name, make in POLICIES.items()}
    best = max(tested.values(), key=lambda performance: performance.qoe.mean)
    assert tested[reference] == best
    learned = test(learner.policy)
    assert learned.qoe.low > tested["random"].qoe.high
    assert learned.qoe.mean > share * best.qoe.mean
    assert learned.finished > 0.98
    assert curve.entropy[-1] < curve.entropy[0]


def test_mappo_plays_every_setting(make_tasks):
    for change in ({"preference": "dynamic"}, {"csi": "statistical"}, {"offload_cost": "split"}, {"ues": 1}):
        curve = trainer(make_tasks(**change), episode=EpisodeConfig(**change), episodes=2, copies=2).train()
        assert all(math.isfinite(value) for values in vars(curve).values() for value in values)


def test_policy_file_round_trip(tmp_path, make_tasks):
    learner = trainer(make_tasks(), copies=2)
    learner.network.save(tmp_path / "policy.safetensors")
    loaded = LearnedPolicy.load(tmp_path / "policy.safetensors", system=SYSTEM)
    view = learner._environment.view()
    first, second = (policy.act(view, torch.Generator()) for policy in (learner.policy, loaded))
    assert all(torch.equal(value, vars(second)[name]) for name, value in vars(first).items())


def test_unusable_policy_files_are_refused(tmp_path):
    network = ActorCritic(state_size=37, hidden=8, clock_when_offloading=False, generator=torch.Generator())
    good = tmp_path / "policy.safetensors"
    network.save(good)
    whole = good.read_bytes()
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(whole[: len(whole) // 2])
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(whole.replace(b"offloading-policy", b"offloading-papers"))
    resized = tmp_path / "resized.safetensors"
    resized.write_bytes(whole.replace(b'\\"hidden\\": 8', b'\\"hidden\\": 9'))
    for path in (truncated, foreign, resized, tmp_path / "missing.safetensors"):
        with pytest.raises(ToolkitError, match=path.name):
            LearnedPolicy.load(path, system=SYSTEM)


def test_raw_actions_reach_the_ends_of_the_ranges():
    ends = torch.tensor([0.0, 1.0])
    actions = RawActions(offload=ends > 0, power=ends, clock=ends, request=ends).to_physical(SYSTEM)
    assert actions.power_w.tolist() == pytest.approx([10**-1.2, 10**-0.6])  # 18 and 24 dBm
    assert actions.clock_hz.tolist() == pytest.approx([0.64e9, 1.28e9])
