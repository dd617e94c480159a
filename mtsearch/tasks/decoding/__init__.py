"""Exact decoders over batches of sentences: the best structure under given scores, and sums over all structures.

They are functions of tensors alone. What they share: the mask [B, W] is True for a sentence's words, which come before
its padding, and what stands in the padding does not matter; a sentence without words is allowed; a score of -inf
forbids; scores in half precision are summed in a higher one.
"""
