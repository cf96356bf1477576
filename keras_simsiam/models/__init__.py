"""The networks: ResNets, the two heads, and SimSiam itself."""
