//! Gradients as they pass from one operation to the one before it, by moving their memory.
