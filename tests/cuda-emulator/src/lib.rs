//! The parts of NVIDIA's driver libraries that `runner` calls, on the processor.
