"""The corpus of failures that the text model learns from: provoked for real, and the scripts that provoke them."""
