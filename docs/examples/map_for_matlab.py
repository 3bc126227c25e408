"""Hand a measured map to a MATLAB optimizer, and use it as one would there.

You see the table that MATLAB gets, `sem_table`: a row for each k = 1, 2, ..., a column for each SNR of -10 to
20 dB. Its values are the share of accuracy left. From it follows the least k that keeps 90 % at each SNR: the
worse the channel, the more symbols per token. In MATLAB: `load('runs/map.mat'); sem_table(8, 11)` is
f(k = 8, 0 dB).
"""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

import deepsc
from accuracy_maps import load_map, save_mat

release = deepsc.load("text-multi30k-en-de-medium").release  # your own: build-accuracy-map --mat FILE.mat
accuracy_map = load_map(release / "maps" / "translate-awgn.json")
Path("runs").mkdir(exist_ok=True)
save_mat(accuracy_map, "runs/map.mat")

# from here on, what a MATLAB script would do
table = loadmat("runs/map.mat")["sem_table"]
snr_db = np.arange(-10, 21)
print(f"sem_table is {table.shape[0]} x {table.shape[1]}; sem_table(8, 11) = {table[7, 10]:.3f}")
for column in range(0, len(snr_db), 4):
    enough = np.flatnonzero(table[:, column] >= 0.9)
    print(f"{snr_db[column]:4} dB: ", f"k = {enough[0] + 1}" if len(enough) else "no k keeps 90 %")
