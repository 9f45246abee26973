"""One configuration, trained and evaluated."""
