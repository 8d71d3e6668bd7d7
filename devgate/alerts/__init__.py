"""Alerts: what a person far away is told, by whom it is told, and when."""
