//! Simulated panels: the admin, reseller and player API of XUI.ONE / XC_VM, and `api.php` of Xtream Codes, over lines of their own.

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
mod xtream;

pub use self::{
    inspect::{ClockOrder, ConnectionSeed, LineSeed},
    route::Panels,
};
