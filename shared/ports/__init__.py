"""What the services need from the outside, one Protocol a file, never saying who supplies it."""
