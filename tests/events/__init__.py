"""The numbered log."""
