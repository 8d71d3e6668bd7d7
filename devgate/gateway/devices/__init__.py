"""Connected devices: their connections, registrations, presence and taps."""
