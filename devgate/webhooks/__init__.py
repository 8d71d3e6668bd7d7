"""Posts events to receivers: signed, in order for each device, until they are accepted."""
