"""What the lessons need: exercises that check themselves, examples worked by hand, and drawings."""
