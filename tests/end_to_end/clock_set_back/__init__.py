"""What Python finds first on the path of a command whose clock is to be set back."""
