"""Upgrades between two wheels under load: nothing may be lost, and nothing done twice."""
