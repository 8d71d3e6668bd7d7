"""Measures devgate beside its peers. Run by scripts/bench and scripts/soak, not installed."""
