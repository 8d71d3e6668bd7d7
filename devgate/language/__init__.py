"""Messages to people, in English and in Chinese."""
