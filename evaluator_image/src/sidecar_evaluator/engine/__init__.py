"""How scores are computed as fast as the hardware allows; `evaluation` is its only caller."""
