"""Kills a gateway again and again while starts flow, and compares. Run by scripts/crash."""
