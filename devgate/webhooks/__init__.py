"""Events to receivers: signed, in order for each device, as often as it takes."""
