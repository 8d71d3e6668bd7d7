"""The operations of the gateway: what can be asked for, by every way in."""
