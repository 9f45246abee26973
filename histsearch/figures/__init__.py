"""Figures of a search and of a trained model, for reports and notebooks."""
