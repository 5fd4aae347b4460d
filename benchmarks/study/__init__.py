"""Every method on three real data sets, at one tuning budget, against tuned plain weights."""
