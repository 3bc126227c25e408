"""Write a policy of your own and see it in the table beside the others.

You see the mean QoE of each policy on the same 40 episodes: four Jetson Nanos translate sentences,
or offload. "best-two" lets the two UEs with the best channels offload. Compare it with "remote", where all
offload, with "announced", where only one does, and with "central", which knows every channel.
"""

import torch

import optimizer
from optimizer.world import Actions, View


class BestTwo:
    """The two UEs with tasks left and the best channels offload, with equal shares of the band."""

    sees = "all channels"

    def __init__(self, system: optimizer.SystemConfig, tasks: object) -> None:
        self.power_w = system.power_max_w

    def act(self, view: View, generator: torch.Generator) -> Actions:
        """Actions of all UEs in all episodes, (episodes, ues); nothing is drawn from the generator."""
        gain = torch.where(view.queue > 0, view.channel_gain, 0.0)
        second = gain.topk(2, dim=-1).values[..., -1:]
        offload = (gain >= second) & (gain > 0)
        return Actions(
            offload=offload,
            power_w=torch.full_like(gain, self.power_w),
            clock_hz=view.clock_for(offload),
            bandwidth_request=torch.zeros_like(gain),
        )


optimizer.register_policy("best-two", BestTwo)
result = optimizer.train(
    optimizer.TrainConfig(
        learners=(),  # nothing is trained; add "mappo" to compare with a learner
        seeds=1,
        test_episodes=40,
        bound=False,
        episode=optimizer.EpisodeConfig(mix=("text",) * 4),
        inputs=optimizer.Inputs(ue_device=("jetson-nano",)),
        output="runs/own-policy",
    )
)
for name, tested in result.performance.items():
    print(f"{name:12} QoE {tested.qoe.value:7.2f}   {tested.offloaded:4.0%} offloaded")
