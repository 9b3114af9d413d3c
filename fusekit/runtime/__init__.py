"""From a captured function to running kernels: engines, binding, kernels, plans, dispatch."""
