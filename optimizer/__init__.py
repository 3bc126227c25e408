"""Resource optimizer for task offloading: reads an accuracy map and a FLOPs file, knows nothing of the
codecs.

Importing this package loads nothing heavy. Its modules, in the order they build on each other: `config`,
`tasks`, `pathloss`, `physics` (eqs. (1)-(10), (12), (28)), `environment`, `policies`, `evaluation`,
`networks`, `mappo`, `plots`, `experiment` (the library call behind the command) and `command`.
"""
