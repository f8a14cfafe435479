"""Training steps of five kinds of network, as a user writes them: what tests compile and benchmarks time.

Each module has ``build(device, seed, **options)``, which gives ``Steps``, and the sizes ``SMALL`` and ``FULL``. They
know the public plugrad and its plugins, no test and no peer.
"""

from __future__ import annotations

from . import cnn, lstm, mlp, resnet, transformer

WORKLOADS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "transformer": transformer, "lstm": lstm}
