"""Send a sentence with the codec that ships, and see what noise does to it.

You see one line for each k and SNR: how many channel symbols the sentence took, and what the server
understood. A star marks what a translation without any channel says, too. More symbols per token buy the same
sentence at a lower SNR.
"""

import numpy as np

import deepsc

SENTENCE = "A brown dog is running through the snow."

model = deepsc.load("text-multi30k-en-de-medium")
(local,) = model.local([SENTENCE])
print(f"sent  {SENTENCE}\nlocal {local}\n")
for k in (4, 12):
    for snr_db in (-6, 0, 6):
        sent = model.transmit([SENTENCE], k=k, snr_db=snr_db, channel="awgn", seed=1)
        (text,), (uses,) = sent.texts, sent.uses
        print(f"k = {k:2}, {snr_db:3} dB, {uses:3} symbols {'*' if text == local else ' '} {text}")

# The symbols themselves: behind the MMSE equaliser the error has the power 1 / (1 + SNR).
error = sent.received[0] - sent.sent[0]
measured_db = -10 * np.log10(np.mean(np.abs(error) ** 2))
expected_db = 10 * np.log10(1 + 10 ** (snr_db / 10))
print(
    f"\nlast one, {uses} symbols: error {measured_db:.1f} dB below the signal, {expected_db:.1f} dB expected"
)
