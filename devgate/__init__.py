"""devgate: a gateway that starts rented machines over TCP, once, and honestly."""

__version__ = "0.1.0"
