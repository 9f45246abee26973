"""The search as Optuna runs it: samplers and pruners."""
