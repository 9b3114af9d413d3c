"""Another text for a kernel, tried in a process of its own."""
