"""Running a network on arrays: engines, states, precision, predictions. Knows frames as arrays and no file of them."""
