"""`devgate service`: the gateway as a service of systemd."""
