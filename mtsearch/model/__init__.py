"""The model: a shared encoder, pooling and one task head per task."""
