"""Zhang and Jia 2022: GradSign (ICLR), and Zhang's thesis."""
