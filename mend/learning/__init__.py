"""Training the text model: scikit-learn is imported here and nowhere in service."""
