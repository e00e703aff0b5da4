"""Tables: reading CSV files, and turning columns into a network's inputs and targets and back."""
