"""The schema: what a trial is, what a search space is, and how a YAML file becomes one."""
