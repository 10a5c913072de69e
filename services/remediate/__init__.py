"""Remediate: tries the remedies that fit a diagnosis, within the policy, and verifies them."""
