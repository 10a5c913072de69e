"""The ports on Google Cloud, one file a port, through Google's own client libraries."""
