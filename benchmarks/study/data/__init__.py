"""The study's data sets: each module reads one and says which model is trained on it."""
