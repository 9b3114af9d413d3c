"""One element, two programs side by side: values instead of times."""
