"""What the operator sets: every key, where it is read from, and what is said of mistakes."""
