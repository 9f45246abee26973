"""What a finished study says: intervals over seeds, the published row, hours spent and saved."""
