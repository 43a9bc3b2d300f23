//! Which panel a new line goes to.

use ottery_kernel::PanelId;

/// A panel that may be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: PanelId,
    /// Its pool.
    pub pool: String,
    /// Its region.
    pub region: String,
    /// Most lines; 0 = no limit.
    pub capacity: u32,
    /// Lines it has, planned ones included.
    pub lines: u32,
    /// Whether new lines may be put there.
    pub enabled: bool,
    /// Whether it answers.
    pub healthy: bool,
    /// Whether its key is paused by its breaker.
    pub paused: bool,
}

/// What the plan and the customer ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Pool of the plan; empty = any.
    pub pool: &'a str,
    /// Region; empty = any.
    pub region: &'a str,
}

/// Why no panel could be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// The brand has no enabled panel in that pool and region.
    None,
    /// There are some, and all are full.
    Full,
    /// There are some with room, and none of them can be used now.
    Down,
}

impl Nowhere {
    /// Stable code for the customer's status.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "no_panel",
            Self::Full => "panels_full",
            Self::Down => "panels_down",
        }
    }
}

/// Panels to try, the best first: the least loaded of those that are enabled, healthy, fit the wish and have room.
///
/// # Errors
/// Says which of the conditions left nothing.
pub fn rank<'a>(wish: Wish<'_>, candidates: &'a [Candidate]) -> Result<Vec<&'a Candidate>, Nowhere> {
    let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
    let fitting: Vec<_> = candidates
        .iter()
        .filter(|panel| panel.enabled && fits(wish.pool, &panel.pool) && fits(wish.region, &panel.region))
        .collect();
    if fitting.is_empty() {
        return Err(Nowhere::None);
    }
    let with_room: Vec<_> =
        fitting.into_iter().filter(|panel| panel.capacity == 0 || panel.lines < panel.capacity).collect();
    if with_room.is_empty() {
        return Err(Nowhere::Full);
    }
    let mut usable: Vec<_> = with_room.into_iter().filter(|panel| panel.healthy && !panel.paused).collect();
    if usable.is_empty() {
        return Err(Nowhere::Down);
    }
    usable.sort_by(|a, b| load(a).total_cmp(&load(b)).then(a.lines.cmp(&b.lines)).then(a.id.cmp(&b.id)));
    Ok(usable)
}

/// Share of the capacity in use; panels without a limit compare by their lines among themselves and come first.
fn load(panel: &Candidate) -> f64 {
    if panel.capacity == 0 { 0.0 } else { f64::from(panel.lines) / f64::from(panel.capacity) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(number: u128, pool: &str, region: &str, capacity: u32, lines: u32) -> Candidate {
        Candidate {
            id: PanelId::from_uuid(uuid::Uuid::from_u128(number)),
            pool: pool.into(),
            region: region.into(),
            capacity,
            lines,
            enabled: true,
            healthy: true,
            paused: false,
        }
    }

    fn best(wish: Wish<'_>, panels: &[Candidate]) -> Result<u128, Nowhere> {
        rank(wish, panels).map(|ranked| ranked[0].id.as_uuid().as_u128())
    }

    const ANY: Wish<'_> = Wish { pool: "", region: "" };

    #[test]
    fn the_least_loaded_panel_of_the_right_pool_and_region_is_first() {
        let panels = [
            panel(1, "eu", "de", 100, 50),
            panel(2, "eu", "de", 1000, 400),
            panel(3, "eu", "fr", 100, 1),
            panel(4, "us", "de", 100, 0),
        ];
        assert_eq!(best(Wish { pool: "eu", region: "de" }, &panels), Ok(2));
        assert_eq!(best(Wish { pool: "eu", region: "" }, &panels), Ok(3));
        assert_eq!(best(Wish { pool: "asia", region: "" }, &panels), Err(Nowhere::None));
    }

    #[test]
    fn a_full_panel_is_never_chosen() {
        assert_eq!(best(ANY, &[panel(1, "", "", 2, 2)]), Err(Nowhere::Full));
        assert_eq!(best(ANY, &[panel(1, "", "", 2, 2), panel(2, "", "", 2, 1)]), Ok(2));
    }

    #[test]
    fn fault_f18_a_panel_that_is_down_or_paused_is_left_alone() {
        let down = Candidate { healthy: false, ..panel(1, "", "", 0, 0) };
        let paused = Candidate { paused: true, ..panel(2, "", "", 0, 0) };
        assert_eq!(best(ANY, &[down.clone(), paused.clone()]), Err(Nowhere::Down));
        assert_eq!(best(ANY, &[down, paused, panel(3, "", "", 10, 9)]), Ok(3));
        let off = Candidate { enabled: false, ..panel(1, "", "", 0, 0) };
        assert_eq!(best(ANY, &[off]), Err(Nowhere::None));
    }

    #[test]
    fn without_limits_the_panel_with_fewer_lines_is_first_and_ties_are_stable() {
        let panels = [panel(2, "", "", 0, 5), panel(1, "", "", 0, 5), panel(3, "", "", 0, 9)];
        assert_eq!(best(ANY, &panels), Ok(1));
    }
}
