"""Alerts: rules, what is told, and receivers that are real."""
