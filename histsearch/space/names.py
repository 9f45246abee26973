"""The names that spaces, studies and baselines may have."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
NAME_ALLOWED = "up to 100 letters, digits, dots, dashes and underscores, first a letter or digit"
