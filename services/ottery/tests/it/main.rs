//! The binary as people run it.

mod copy;
mod story;
mod up;
