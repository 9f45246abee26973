"""What is searched and how: spaces, samplers and pruners."""
