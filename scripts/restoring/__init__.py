"""What scripts/restore does: a copy is restored, and every order is asked for again."""
