"""One fitted encoder per kind of column: each reads Arrow batches and writes its part of the features."""
