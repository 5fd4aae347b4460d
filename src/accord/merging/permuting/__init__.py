"""Units of networks that were trained apart, brought into one order before their weights are merged."""
