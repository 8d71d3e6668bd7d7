"""`devgate service`: installs and removes the gateway as a service of systemd."""
