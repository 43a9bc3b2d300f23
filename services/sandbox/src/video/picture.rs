//! The test picture: colour bars, the channel's name, a running clock and a moving square.

use super::font;

/// Visible width in pixels.
pub const WIDTH: usize = 640;
/// Height in pixels, a multiple of 16; the last rows are cropped away.
pub const HEIGHT: usize = 368;
/// Visible height.
pub const VISIBLE: usize = 360;

const BARS: usize = 216;
const PANEL: [u8; 3] = [32, 132, 124];
const WHITE: [u8; 3] = [235, 128, 128];
const AMBER: [u8; 3] = [170, 60, 160];

/// A frame in three planes, chroma at half size.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Luma, Cb, Cr.
    pub planes: [Vec<u8>; 3],
}

impl Picture {
    /// Draws one frame. `clock` is text such as `12:30:45.6`; `step` moves the square.
    #[must_use]
    pub fn draw(channel: &str, clock: &str, step: usize) -> Self {
        let mut picture =
            Self { planes: [vec![0; WIDTH * HEIGHT], vec![0; WIDTH * HEIGHT / 4], vec![0; WIDTH * HEIGHT / 4]] };
        // 75 % bars: white, yellow, cyan, green, magenta, red, blue, grey.
        let bars: [[u8; 3]; 8] = [
            [180, 128, 128],
            [162, 44, 142],
            [131, 156, 44],
            [112, 72, 58],
            [84, 184, 198],
            [65, 100, 212],
            [35, 212, 114],
            [60, 128, 128],
        ];
        for (at, colour) in bars.into_iter().enumerate() {
            picture.fill(at * WIDTH / 8, 0, WIDTH / 8, BARS, colour);
        }
        picture.fill(0, BARS, WIDTH, HEIGHT - BARS, PANEL);
        picture.text(16, BARS + 12, 6, "SANDBOX", AMBER);
        picture.text(16, BARS + 72, 4, &channel.to_uppercase().chars().take(24).collect::<String>(), WHITE);
        picture.text(276, BARS + 12, 6, clock, WHITE);
        let track = WIDTH - 32;
        let place = (step * 8) % (2 * track);
        let x = if place < track { place } else { 2 * track - place };
        picture.fill(x / 2 * 2, BARS + 112, 32, 16, AMBER);
        picture
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        for (plane, shade) in colour.into_iter().enumerate() {
            let half = usize::from(plane > 0);
            let stride = WIDTH >> half;
            for row in (y >> half)..((y + height) >> half) {
                // What would leave the picture on the right is cut off.
                let (from, to) = ((x >> half).min(stride), ((x + width) >> half).min(stride));
                self.planes[plane][row * stride + from..row * stride + to].fill(shade);
            }
        }
    }

    fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, colour: [u8; 3]) {
        for (at, letter) in text.chars().enumerate() {
            for (row, dots) in font::glyph(letter).into_iter().enumerate() {
                for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
                    self.fill(x + (at * 6 + column) * scale, y + row * scale, scale, scale, colour);
                }
            }
        }
    }
}
