"""One trainer for every trial: the loop, its parts, evaluation and checkpoints. Knows neither Ray nor pruning."""
