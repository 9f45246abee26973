"""What is searched: spaces, their parameters, and the settings of samplers and pruners."""
