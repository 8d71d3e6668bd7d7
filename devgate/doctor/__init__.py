"""`devgate doctor`: what is wrong, or soon will be, on the machine that a gateway runs on."""
