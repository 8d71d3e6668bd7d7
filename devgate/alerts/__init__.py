"""Alerts: which rules fire, who is notified of that, and how."""
