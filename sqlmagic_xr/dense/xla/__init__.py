"""The graph calculated by XLA, through JAX: the loop of many steps as one program, on a CPU or a GPU."""
