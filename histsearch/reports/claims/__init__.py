"""The claims of HIST's reproduction paper: studies of their grids, rules, verdicts and report."""
