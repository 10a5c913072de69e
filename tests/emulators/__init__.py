"""The cloud adapters under the suites of their local twins, with the real clients against real emulators."""
