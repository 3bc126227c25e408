from .clock import battery_beta, best_clock, best_local_clock
from .effort import (
    local_effort,
    local_reference,
    meets_limits,
    offloading_effort,
    server_energy_j,
    standard_cost,
)
from .radio import allocate_bandwidth, map_accuracy, needed_snr_db, snr_db
from .state import Actions, Outcome, State, Transmission
from .step import (
    best_offer,
    best_power,
    execute,
    first_largest,
    level_of_each,
    levels_of_ues,
    local_qoe,
    offloading_qoe,
)

__all__ = [
    "Actions",
    "Outcome",
    "State",
    "Transmission",
    "allocate_bandwidth",
    "battery_beta",
    "best_clock",
    "best_local_clock",
    "best_offer",
    "best_power",
    "execute",
    "first_largest",
    "level_of_each",
    "levels_of_ues",
    "local_effort",
    "local_qoe",
    "local_reference",
    "map_accuracy",
    "meets_limits",
    "needed_snr_db",
    "offloading_effort",
    "offloading_qoe",
    "server_energy_j",
    "snr_db",
    "standard_cost",
]
