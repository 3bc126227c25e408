"""Train TorchRL's MAPPO, every UE an agent with the same network and a critic that sees all.

You see the reward an episode, batch by batch. It is the sum of the UEs' QoE with the bonus of eq. (14), over
what one step can earn. Needs `pip install 'deepsc-toolkit[examples]'`.
"""

import torch
from tensordict.nn import TensorDictModule
from tensordict.nn.distributions import NormalParamExtractor
from torch import nn
from torchrl.envs import PettingZooWrapper, RewardSum, TransformedEnv
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives import ClipPPOLoss, ValueEstimators

from optimizer import EpisodeConfig, Inputs, offloading_v0

torch.manual_seed(0)
UES, STEPS, BATCHES, EPOCHS = 2, 400, 8, 4
GROUP = "ue"  # TorchRL groups agents by what stands before "_" in their names

world = offloading_v0.parallel_env(
    episode=EpisodeConfig(mix=("text",) * UES), inputs=Inputs(ue_device=("jetson-nano",))
)
env = PettingZooWrapper(world, categorical_actions=False, seed=0)
env = TransformedEnv(env, RewardSum(in_keys=[(GROUP, "reward")], out_keys=[(GROUP, "episode_reward")]))
observed = world.observation_space("ue_0").shape[0]
chosen = world.action_space("ue_0").shape[0]


def network(outputs: int, *, centralised: bool) -> MultiAgentMLP:
    """The same network for every UE, on what it sees or on what all see."""
    return MultiAgentMLP(
        n_agent_inputs=observed,
        n_agent_outputs=outputs,
        n_agents=UES,
        centralised=centralised,
        share_params=True,
        depth=2,
        num_cells=32,
        activation_class=nn.Tanh,
    )


policy = ProbabilisticActor(
    TensorDictModule(
        nn.Sequential(network(2 * chosen, centralised=False), NormalParamExtractor()),
        in_keys=[(GROUP, "observation")],
        out_keys=[(GROUP, "loc"), (GROUP, "scale")],
    ),
    spec=env.full_action_spec_unbatched,
    in_keys=[(GROUP, "loc"), (GROUP, "scale")],
    out_keys=[(GROUP, "action")],
    distribution_class=TanhNormal,
    distribution_kwargs={"low": 0.0, "high": 1.0},
    return_log_prob=True,
    log_prob_key=(GROUP, "action_log_prob"),
)
critic = TensorDictModule(
    network(1, centralised=True), in_keys=[(GROUP, "observation")], out_keys=[(GROUP, "state_value")]
)
loss = ClipPPOLoss(
    policy, critic, entropy_coeff=0.0, normalize_advantage=True, normalize_advantage_exclude_dims=(-2,)
)
loss.set_keys(
    reward=(GROUP, "reward"),
    action=(GROUP, "action"),
    value=(GROUP, "state_value"),
    sample_log_prob=(GROUP, "action_log_prob"),
    done=(GROUP, "done"),
    terminated=(GROUP, "terminated"),
)
loss.make_value_estimator(ValueEstimators.GAE, gamma=0.95, lmbda=0.9)
optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)

for batch in range(BATCHES):
    with torch.no_grad():
        played = env.rollout(STEPS, policy, break_when_any_done=False)
        over = played["next", GROUP, "done"][:, 0, 0]
        rewards = played["next", GROUP, "episode_reward"][over, 0, 0]
        loss.value_estimator(
            played, params=loss.critic_network_params, target_params=loss.target_critic_network_params
        )
    print(f"batch {batch}: reward of {len(rewards)} episodes {rewards.mean():6.2f}")
    for _ in range(EPOCHS):
        for part in torch.randperm(STEPS).split(STEPS // 2):
            values = loss(played[part])
            total = values["loss_objective"] + values["loss_critic"] + values["loss_entropy"]
            optimiser.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
            optimiser.step()
