"""Retrieval quality of embeddings: R@K, R-Precision, MAP@R and NMI."""
