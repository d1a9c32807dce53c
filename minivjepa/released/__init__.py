"""Released V-JEPA weights in the classes of this package, and back."""
