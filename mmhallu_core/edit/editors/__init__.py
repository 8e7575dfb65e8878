"""What changes a picture: painting over, pasting, generators on this machine or behind a server."""
