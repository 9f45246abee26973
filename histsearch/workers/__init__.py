"""Processes that pull trials from studies and train them, each pinned to one device."""
