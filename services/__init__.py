"""The services: each stage of the loop, deployable alone."""
