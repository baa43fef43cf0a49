mod batch;
mod engine;
mod pieces;
