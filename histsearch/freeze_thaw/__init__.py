"""Freeze-thaw Bayesian optimization (Swersky et al., 2014): what to train next, epoch by epoch."""
