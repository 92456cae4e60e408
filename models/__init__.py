"""The models: how to choose the next node. The file name is the registry."""
