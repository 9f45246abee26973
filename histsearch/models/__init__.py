"""Embedding networks: backbones, their images and their weights.

Import from the modules: `known_backbones`, `backbone`, `initial_weights` and `preprocessing` need
no torch, the others do.
"""
