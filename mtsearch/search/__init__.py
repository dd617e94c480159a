"""The search: Optuna proposes trials, Ray places them, the run folder records them. Only this part imports either."""
