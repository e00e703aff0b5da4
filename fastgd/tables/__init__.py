"""Read CSV files, encode columns as a network's inputs and targets, and decode predictions."""
