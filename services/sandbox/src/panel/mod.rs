//! Simulated XUI.ONE / XC_VM panels: admin, reseller and player API over lines of their own.

mod admin;
mod fields;
mod inspect;
mod live;
mod model;
mod player;
mod playlist;
mod reseller;
mod route;
mod state;
mod table;
mod time;

pub use self::{
    inspect::{ClockOrder, ConnectionSeed, LineSeed},
    route::Panels,
};
