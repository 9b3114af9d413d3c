"""What the partition decided: seams, and the ladder from eager to the plan."""
