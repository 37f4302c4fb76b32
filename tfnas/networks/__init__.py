"""Networks as layer graphs: what they compute, their weights, their cost, and Keras models of them."""
