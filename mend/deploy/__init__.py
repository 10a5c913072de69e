"""What is deployed on Google Cloud, derived from the code, and the commands that make it."""
