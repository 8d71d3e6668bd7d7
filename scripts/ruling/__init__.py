"""scripts/results-rule: which start a result belongs to, measured on the real program."""
