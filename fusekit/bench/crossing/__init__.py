"""From which size on fused is faster than eager: the search, and its rule as code."""
