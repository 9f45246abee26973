"""Retrieval quality of embeddings: metrics of a ranking, and NMI."""
