"""Data sets of labelled images, their class-disjoint splits and the batches made from them."""
