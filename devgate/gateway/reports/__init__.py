"""What was: a day of the fleet, and the story of one device."""
