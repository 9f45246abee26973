"""The HIST loss for deep metric learning, usable without the rest of the package."""

from histsearch.hist.loss import HISTLoss, HISTLossTerms

__all__ = ["HISTLoss", "HISTLossTerms"]
