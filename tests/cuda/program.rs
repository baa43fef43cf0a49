//! The program on a GPU.
