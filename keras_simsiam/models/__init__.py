"""The networks: ResNets, heads, and the methods that train them."""
