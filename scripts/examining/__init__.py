"""What scripts/doctor-test does: a gateway is broken on purpose, and examined."""
