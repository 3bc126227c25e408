"""Resource optimizer for task offloading: reads accuracy maps and FLOPs files, knows nothing of the codecs.

Importing this package loads nothing heavy. Its modules, in the order they build on each other: `config`,
`tasks`, `inputs`, `pathloss`, `precision`, `physics` (eqs. (1)-(10), (12), (28)), `bound` (of one step),
`environment`, `policies`, `evaluation`, `episode_bound`; the learners `distribution`, `networks`, `mappo` and
`dqn`; `views` for other libraries; `plots`; and what the subcommands of `command` call: `experiment`,
`figures`, `pareto`, `plan` and `report`. `unread` tells `command`
which flags would change nothing.
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
