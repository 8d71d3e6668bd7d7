"""Alerts: rules, messages, and real receivers."""
