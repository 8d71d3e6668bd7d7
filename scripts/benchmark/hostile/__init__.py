"""What an honest device and a start still get beside each attack of the security review."""
