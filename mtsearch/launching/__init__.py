"""``mtsearch launch``: a search given to a scheduler, by filling in what is shipped under ``launch/``."""
