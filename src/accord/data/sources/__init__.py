"""Where tables come from: files, text, frames and databases, each turned into Arrow datasets."""
