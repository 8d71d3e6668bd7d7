"""`devgate doctor`: finds present and coming problems of machine, database and gateway."""
