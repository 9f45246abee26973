"""Freeze-thaw Bayesian optimization (Swersky et al., 2014): what to train next, epoch by epoch.

It is shown scores, the study's objective after each epoch; its modules call them recalls.
"""
