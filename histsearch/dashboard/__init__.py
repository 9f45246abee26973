"""optuna-dashboard for its owner alone: who is let in, and what may be changed there."""
