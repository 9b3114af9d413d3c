"""From a fused function and a call to the model of a view."""
