"""The problems: what may be visited, what it costs. The file name is the registry."""
