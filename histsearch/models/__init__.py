"""Embedding networks: backbones, their images and their weights.

Import from the modules: `catalog` and `preprocessing` need no torch, the others do.
"""
