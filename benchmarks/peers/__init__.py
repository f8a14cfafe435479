"""plugrad beside torch and jax: the same work in processes of their own, one after the other, in turn.

    PEERS/bin/python -m benchmarks.peers.steps mlp cnn --threads 1 --rounds 5
    PEERS/bin/python -m benchmarks.peers.chain
    PEERS/bin/python -m benchmarks.peers.matmuls

run from the root of the repository by an interpreter that has torch and jax; ``--plugrad`` names the one that has
plugrad, by default that of ``.venv``.
"""
