"""What turns plain handlers into services: settings, wiring, the handler loop, the HTTP shell, logs."""
