from .fields import Flag, Layer, Range, Settings
from .files import as_yaml, read_layer
from .flags import Parser, add_config_flags, add_flags, early, run_command
from .layers import build, from_args, layers_of, merge
from .problems import Problem, SettingsError, named

__all__ = [
    "Flag",
    "Layer",
    "Parser",
    "Problem",
    "Range",
    "Settings",
    "SettingsError",
    "add_config_flags",
    "add_flags",
    "as_yaml",
    "build",
    "early",
    "from_args",
    "layers_of",
    "merge",
    "named",
    "read_layer",
    "run_command",
]
