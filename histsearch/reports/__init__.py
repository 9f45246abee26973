"""What studies say: how far they are, intervals over seeds, the published row, hours spent."""
