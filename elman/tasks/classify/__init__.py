"""A label for a whole sequence, or several, or none of those that there are."""
