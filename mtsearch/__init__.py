"""mtsearch: distributed hyperparameter search over multi-task transformer training."""
