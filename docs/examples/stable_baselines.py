"""Train Stable-Baselines3's PPO as the one controller of all UEs.

You see the QoE a step that computing locally earns, and that of PPO before and after a short training. Two
Jetson Nanos translate sentences, or offload them. A PPO that has not learned offloads at random.
After a minute it has found that offloading pays on this device. Needs
`pip install 'deepsc-toolkit[examples]'`.
"""

import gymnasium
import numpy as np
from stable_baselines3 import PPO

from optimizer import EpisodeConfig, Inputs, offloading_v0

env = gymnasium.make(
    offloading_v0.CENTRAL,
    episode=EpisodeConfig(mix=("text", "text")),
    inputs=Inputs(ue_device=("jetson-nano",)),
)
env = gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))  # as PPO's Gaussian likes it


def qoe_a_step(act, episodes: int = 10) -> float:
    """Mean QoE of both UEs together, on the same episodes for every policy."""
    earned, steps = 0.0, 0
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            observation, _, over, _, info = env.step(act(observation))
            earned, steps = earned + info["qoe"], steps + 1
    return earned / steps


model = PPO(
    "MlpPolicy",
    env,
    n_steps=240,
    batch_size=60,
    learning_rate=1e-3,
    gamma=0.95,
    policy_kwargs={"net_arch": [32]},
    seed=0,
    device="cpu",
)
local = np.array([-1, 0, 1, 0] * 2, np.float32)  # do not offload; power; clock; share of the band
print(f"local         {qoe_a_step(lambda _: local):6.2f}")
print(f"PPO, before   {qoe_a_step(lambda seen: model.predict(seen, deterministic=True)[0]):6.2f}")
model.learn(2400)
print(f"PPO, after    {qoe_a_step(lambda seen: model.predict(seen, deterministic=True)[0]):6.2f}")
