"""What devgate says to people, in English and in Chinese."""
