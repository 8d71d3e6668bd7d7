"""Users and tokens: who may ask for which operations, and for which sites."""
