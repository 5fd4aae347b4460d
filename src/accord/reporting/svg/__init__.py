"""Hand-made figures: scales, ticks, downsampling, and the marks drawn with them."""
