//! Faults of whole processes: stopped ones, and clocks that jump. Nothing is signalled but children of these tests, by number.

mod books;
mod clocks;
mod faked;
mod process;
mod schedulers;
