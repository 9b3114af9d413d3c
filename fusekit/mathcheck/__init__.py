"""How exact the functions are that kernels compute approximately: `fusekit verify-math`.

Importing this loads no torch: the processes that compute exact values need none.
"""
