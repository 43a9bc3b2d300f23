//! A lossless H.264 encoder for drawn pictures: every macroblock is either a copy of what stands above it, left of it
//! or in the frame before, or is sent as plain samples. Constrained baseline profile, CAVLC, no deblocking.

use super::picture::{HEIGHT, Picture, VISIBLE, WIDTH};

const COLUMNS: usize = WIDTH / 16;
const ROWS: usize = HEIGHT / 16;
const MB_TYPE_PCM: u32 = 25;
const MB_TYPE_VERTICAL: u32 = 1;
const MB_TYPE_HORIZONTAL: u32 = 2;
/// Intra types come after the five inter types in a P slice.
const INTRA_IN_P: u32 = 5;

struct Bits {
    bytes: Vec<u8>,
    held: u8,
    used: u8,
}

impl Bits {
    fn new() -> Self {
        Self { bytes: Vec::new(), held: 0, used: 0 }
    }

    fn put(&mut self, value: u32, count: u8) {
        for at in (0..count).rev() {
            self.held = self.held << 1 | u8::from(value >> at & 1 == 1);
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(self.held);
                (self.held, self.used) = (0, 0);
            }
        }
    }

    /// Unsigned Exp-Golomb.
    fn ue(&mut self, value: u32) {
        let value = value + 1;
        let length = u8::try_from(32 - value.leading_zeros()).unwrap_or(32);
        self.put(0, length - 1);
        self.put(value, length);
    }

    fn align(&mut self) {
        while self.used != 0 {
            self.put(0, 1);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.align();
        self.bytes
    }
}

/// Start code, header and payload with emulation prevention.
fn nal(out: &mut Vec<u8>, header: u8, payload: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1, header]);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

fn dimension(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn parameter_sets(out: &mut Vec<u8>) {
    let mut sps = Bits::new();
    sps.put(66, 8); // baseline
    sps.put(0b1100_0000, 8); // constrained
    sps.put(30, 8); // level 3.0
    sps.ue(0);
    sps.ue(4); // frame_num has 8 bits
    sps.ue(2); // output order is decoding order
    sps.ue(1); // one reference frame
    sps.put(0, 1);
    sps.ue(dimension(COLUMNS - 1));
    sps.ue(dimension(ROWS - 1));
    sps.put(0b11, 2); // frames only, 8x8 direct inference
    sps.put(1, 1); // cropping
    sps.ue(0);
    sps.ue(0);
    sps.ue(0);
    sps.ue(dimension((HEIGHT - VISIBLE) / 2));
    sps.put(0, 1); // no VUI
    nal(out, 0x67, &sps.finish());

    let mut pps = Bits::new();
    pps.ue(0);
    pps.ue(0);
    pps.put(0b00, 2); // CAVLC, no field order
    pps.ue(0);
    pps.ue(0);
    pps.ue(0);
    pps.put(0, 3); // no weighted prediction
    pps.ue(0);
    pps.ue(0);
    pps.ue(0);
    pps.put(0b100, 3); // deblocking is controlled by the slice
    nal(out, 0x68, &pps.finish());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Plain,
    Copied,
}

/// One access unit. Without `before` it is a key frame with parameter sets.
#[must_use]
pub fn encode(picture: &Picture, before: Option<&Picture>, frame: usize, idr_id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    nal(&mut out, 0x09, &[0xF0]); // access unit delimiter
    if before.is_none() {
        parameter_sets(&mut out);
    }
    let mut bits = Bits::new();
    bits.ue(0); // first macroblock
    bits.ue(if before.is_some() { 5 } else { 7 });
    bits.ue(0);
    bits.put(dimension(frame % 256), 8);
    if before.is_some() {
        bits.put(0, 1); // one reference
        bits.put(0, 1); // its usual order
        bits.put(0, 1); // sliding window
    } else {
        bits.ue(idr_id);
        bits.put(0, 2); // keep earlier pictures for output, not long-term
    }
    bits.ue(0); // quantiser as in the PPS
    bits.ue(1); // no deblocking

    let mut blocks = vec![Block::Copied; COLUMNS * ROWS];
    let mut skipped = 0;
    for at in 0..COLUMNS * ROWS {
        let (column, row) = (at % COLUMNS, at / COLUMNS);
        if let Some(before) = before {
            if is_same(picture, before, column, row) {
                skipped += 1;
                continue;
            }
            bits.ue(skipped);
            skipped = 0;
        }
        let base = if before.is_some() { INTRA_IN_P } else { 0 };
        let copied = if row > 0 && is_vertical(picture, column, row) {
            Some((MB_TYPE_VERTICAL, 2))
        } else if column > 0 && is_horizontal(picture, column, row) {
            Some((MB_TYPE_HORIZONTAL, 1))
        } else {
            None
        };
        if let Some((kind, chroma)) = copied {
            bits.ue(base + kind);
            bits.ue(chroma);
            bits.ue(0); // no change of quantiser
            // "No coefficients", in the code table that the neighbours choose.
            let left = column > 0 && blocks[at - 1] == Block::Plain;
            let above = row > 0 && blocks[at - COLUMNS] == Block::Plain;
            if left || above { bits.put(0b00_0011, 6) } else { bits.put(1, 1) }
        } else {
            blocks[at] = Block::Plain;
            bits.ue(base + MB_TYPE_PCM);
            bits.align();
            for plane in 0..3 {
                for line in 0..size(plane) {
                    bits.bytes.extend_from_slice(samples(picture, plane, column, row, line));
                }
            }
        }
    }
    if skipped > 0 {
        bits.ue(skipped);
    }
    nal(&mut out, if before.is_some() { 0x61 } else { 0x65 }, &bits.finish());
    out
}

fn size(plane: usize) -> usize {
    if plane == 0 { 16 } else { 8 }
}

/// One row of samples of a macroblock.
fn samples(picture: &Picture, plane: usize, column: usize, row: usize, line: usize) -> &[u8] {
    let (edge, stride) = (size(plane), if plane == 0 { WIDTH } else { WIDTH / 2 });
    let start = (row * edge + line) * stride + column * edge;
    &picture.planes[plane][start..start + edge]
}

fn is_same(a: &Picture, b: &Picture, column: usize, row: usize) -> bool {
    (0..3).all(|p| (0..size(p)).all(|line| samples(a, p, column, row, line) == samples(b, p, column, row, line)))
}

fn is_vertical(picture: &Picture, column: usize, row: usize) -> bool {
    (0..3).all(|p| {
        let above = samples(picture, p, column, row - 1, size(p) - 1);
        (0..size(p)).all(|line| samples(picture, p, column, row, line) == above)
    })
}

fn is_horizontal(picture: &Picture, column: usize, row: usize) -> bool {
    (0..3).all(|p| {
        (0..size(p)).all(|line| {
            let left = samples(picture, p, column - 1, row, line)[size(p) - 1];
            samples(picture, p, column, row, line).iter().all(|sample| *sample == left)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_exp_golomb() {
        let mut bits = Bits::new();
        for value in [0, 1, 2, 3] {
            bits.ue(value);
        }
        // 1, 010, 011, 00100, then the stop bit.
        assert_eq!(bits.finish(), [0b1010_0110, 0b0100_1000]);
    }

    #[test]
    fn no_start_code_can_arise_inside_a_unit() {
        let mut out = Vec::new();
        nal(&mut out, 0x65, &[0, 0, 0, 0, 1, 0, 0, 3]);
        assert_eq!(out[5..], [0, 0, 3, 0, 0, 3, 1, 0, 0, 3, 3]);
    }
}
