"""Losses by name: their parameters, their modules, and how their own weights are trained."""
