"""From files to batches: sources, readers, the token cache, batching and the sample corpus."""
