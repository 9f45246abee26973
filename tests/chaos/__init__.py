"""Workers and their database in bad weather."""
