//! PayPal: against a stub of ours, made from its API description; nothing that is not ours imitates it.

mod stub;
mod till;

mod charges;
mod described;
mod pages;
