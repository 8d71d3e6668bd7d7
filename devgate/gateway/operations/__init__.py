"""What can be asked of a gateway, whichever way in the request takes."""
