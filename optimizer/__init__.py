"""Resource optimizer for task offloading: reads accuracy maps and FLOPs files, knows nothing of the codecs.

    import optimizer
    result = optimizer.train(optimizer.TrainConfig(learners=("mappo",), seeds=1))

Importing this package loads nothing heavy. Its rooms, in the order they build on each other: `world` (tasks,
physics, environment), `bound`, `policies`, `study` (what the subcommands of `command` call). `unread` tells
`command` which flags would change nothing, `symbols` holds what `optimize symbols` prints.
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
