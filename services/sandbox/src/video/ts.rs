//! MPEG transport stream: one programme, one video stream, every segment a stream of its own that also continues the
//! one before (continuity counters start at zero because each segment holds a multiple of sixteen packets).

const PACKET: usize = 188;
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
/// Payload bytes of a packet, and of one that carries the clock.
const ROOM: usize = PACKET - 4;
const ROOM_WITH_CLOCK: usize = ROOM - 8;
/// Clock reference runs this far ahead of the picture, in 90 kHz ticks.
const LEAD: u64 = 9_000;
const WRAP: u64 = 1 << 33;

/// Muxes access units; `start` is the first one's time in 90 kHz ticks, `step` the distance between them.
#[must_use]
pub fn segment(units: Vec<Vec<u8>>, start: u64, step: u64) -> Vec<u8> {
    let mut units = units;
    fill_up(&mut units);
    let mut out = Vec::new();
    let mut counter = 0;
    for (at, unit) in units.iter().enumerate() {
        if at < 16 {
            let turn = u8::try_from(at % 16).unwrap_or(0);
            table(&mut out, 0, turn, &pat());
            table(&mut out, PMT_PID, turn, &pmt());
        }
        let time = start.wrapping_add(step * at as u64) % WRAP;
        video(&mut out, &mut counter, unit, time, at == 0);
    }
    out
}

/// Appends a filler unit to the last picture so that the packets of the stream are a multiple of sixteen.
fn fill_up(units: &mut [Vec<u8>]) {
    let total: usize = units.iter().map(|unit| packets(unit.len() + PES_HEADER)).sum();
    let missing = (16 - total % 16) % 16;
    let Some(last) = units.last_mut().filter(|_| missing > 0) else { return };
    let wanted = ROOM_WITH_CLOCK + ROOM * (packets(last.len() + PES_HEADER) + missing - 1) - PES_HEADER;
    let filler = wanted - last.len();
    last.extend_from_slice(&[0, 0, 0, 1, 0x0C]);
    last.resize(last.len() + filler - 6, 0xFF);
    last.push(0x80);
}

fn packets(bytes: usize) -> usize {
    1 + bytes.saturating_sub(ROOM_WITH_CLOCK).div_ceil(ROOM)
}

const PES_HEADER: usize = 14;

fn video(out: &mut Vec<u8>, counter: &mut u8, unit: &[u8], time: u64, is_key: bool) {
    let mut pes = vec![0, 0, 1, 0xE0, 0, 0, 0x84, 0x80, 5];
    let [a, b, c] = [(time >> 30) & 7, (time >> 15) & 0x7FFF, time & 0x7FFF];
    let byte = |value: u64| u8::try_from(value & 0xFF).unwrap_or(0);
    pes.push(0x21 | byte(a << 1));
    pes.extend([byte(b >> 7), byte(b << 1) | 1, byte(c >> 7), byte(c << 1) | 1]);
    pes.extend_from_slice(unit);

    let mut rest = pes.as_slice();
    let mut is_first = true;
    while !rest.is_empty() {
        let mut field = Vec::new();
        if is_first {
            let pcr = (time + WRAP - LEAD) % WRAP;
            field.push(0x10 | if is_key { 0x40 } else { 0 });
            field.extend([byte(pcr >> 25), byte(pcr >> 17), byte(pcr >> 9), byte(pcr >> 1), byte(pcr << 7) | 0x7E, 0]);
        }
        let room = if is_first { ROOM_WITH_CLOCK } else { ROOM };
        let take = room.min(rest.len());
        let mut stuffing = room - take;
        header(out, VIDEO_PID, is_first, *counter, is_first || stuffing > 0);
        if is_first || stuffing > 0 {
            if !is_first {
                stuffing -= 1; // the length byte
                if stuffing > 0 {
                    field.push(0);
                    stuffing -= 1;
                }
            }
            field.resize(field.len() + stuffing, 0xFF);
            out.push(u8::try_from(field.len()).unwrap_or(0));
            out.extend_from_slice(&field);
        }
        out.extend_from_slice(&rest[..take]);
        rest = &rest[take..];
        *counter = (*counter + 1) % 16;
        is_first = false;
    }
}

fn header(out: &mut Vec<u8>, pid: u16, is_start: bool, counter: u8, has_field: bool) {
    let [high, low] = pid.to_be_bytes();
    out.extend([0x47, high | if is_start { 0x40 } else { 0 }, low, if has_field { 0x30 } else { 0x10 } | counter]);
}

fn table(out: &mut Vec<u8>, pid: u16, counter: u8, section: &[u8]) {
    header(out, pid, true, counter, false);
    out.push(0);
    out.extend_from_slice(section);
    out.resize(out.len().next_multiple_of(PACKET), 0xFF);
}

fn pat() -> Vec<u8> {
    let [high, low] = PMT_PID.to_be_bytes();
    checked(vec![0x00, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xE0 | high, low])
}

fn pmt() -> Vec<u8> {
    let [high, low] = VIDEO_PID.to_be_bytes();
    checked(vec![0x02, 0xB0, 18, 0, 1, 0xC1, 0, 0, 0xE0 | high, low, 0xF0, 0, 0x1B, 0xE0 | high, low, 0xF0, 0])
}

fn checked(mut section: Vec<u8>) -> Vec<u8> {
    let crc = crc32(&section);
    section.extend(crc.to_be_bytes());
    section
}

fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_with_its_checksum_checks_to_zero() {
        assert_eq!(crc32(&pat()), 0);
        assert_eq!(crc32(&pmt()), 0);
    }

    #[test]
    fn packets_are_whole_and_counted_without_a_gap_over_segments() {
        for last in [0, 1, 100, 161, 162, 163, 183, 184, 3000] {
            let units = vec![vec![7; 500], vec![7; 900], vec![7; last + 20]];
            let bytes = segment(units, 0, 9_000);
            assert_eq!(bytes.len() % PACKET, 0);
            let video: Vec<u8> = bytes
                .chunks(PACKET)
                .inspect(|packet| assert_eq!(packet[0], 0x47))
                .filter(|packet| u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) == VIDEO_PID)
                .map(|packet| packet[3] & 0x0F)
                .collect();
            assert_eq!(video.len() % 16, 0, "last unit of {last} more bytes");
            assert!(video.iter().enumerate().all(|(at, counter)| usize::from(*counter) == at % 16));
        }
    }
}
