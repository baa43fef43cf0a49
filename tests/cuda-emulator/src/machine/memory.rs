//! Global memory of all devices.

use std::collections::VecDeque;

/// Each allocation has addresses of its own, so far from all others that no index error gets there by chance, and they
/// stay unused for long after it is freed. They are numbers, not pointers: a host that follows one crashes, as it should.
const SEGMENT_BITS: u32 = 36;

/// How many freed allocations keep their addresses to themselves.
const RESTING: usize = 1 << 16;

/// What memory holds that nothing was written to: as a float of any size a NaN, as an index out of bounds.
const UNWRITTEN: u8 = 0xff;

/// Allocations of bytes, each of one device.
#[derive(Debug)]
pub struct Memory {
    /// An address's upper bits are an index here.
    segments: Vec<Segment>,
    freed: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Segment {
    device: usize,
    /// Nothing once it is freed.
    bytes: Vec<u8>,
}

impl Default for Memory {
    fn default() -> Self {
        // The first addresses belong to nobody, so that null is never valid.
        Memory { segments: vec![Segment::default()], freed: VecDeque::new() }
    }
}

impl Memory {
    /// The address of as many new bytes, at least one; `None` if the host has no memory for them.
    pub fn allocate(&mut self, device: usize, bytes: usize) -> Option<u64> {
        if bytes == 0 || bytes > 1 << SEGMENT_BITS {
            return None;
        }
        let mut content = Vec::new();
        content.try_reserve_exact(bytes).ok()?;
        content.resize(bytes, UNWRITTEN);
        let segment = Segment { device, bytes: content };
        let index = match self.freed.front() {
            Some(&index) if self.freed.len() > RESTING => {
                self.freed.pop_front();
                self.segments[index] = segment;
                index
            }
            _ => {
                self.segments.push(segment);
                self.segments.len() - 1
            }
        };
        Some((index as u64) << SEGMENT_BITS)
    }

    /// Gives back an allocation by the address of its first byte: the number of bytes, or `None` if there is none.
    pub fn free(&mut self, device: usize, address: u64) -> Option<usize> {
        let (index, offset) = split(address);
        let segment = self.segments.get_mut(index).filter(|segment| segment.device == device)?;
        if offset != 0 || segment.bytes.is_empty() {
            return None;
        }
        self.freed.push_back(index);
        Some(std::mem::take(&mut segment.bytes).len())
    }

    /// Bytes at an address, if all of them are in one allocation of the device.
    #[inline(always)]
    pub fn bytes(&mut self, device: usize, address: u64, bytes: usize) -> Option<&mut [u8]> {
        let (index, offset) = split(address);
        let segment = self.segments.get_mut(index)?;
        if segment.device != device {
            return None;
        }
        segment.bytes.get_mut(offset..offset + bytes)
    }

    /// Which device's allocation an address is in.
    pub fn device(&self, address: u64) -> Option<usize> {
        let segment = self.segments.get(split(address).0).filter(|segment| !segment.bytes.is_empty())?;
        Some(segment.device)
    }

    /// The addresses of one device's allocations.
    pub fn of_device(&self, device: usize) -> impl Iterator<Item = u64> {
        let live = move |segment: &Segment| segment.device == device && !segment.bytes.is_empty();
        let segments = self.segments.iter().enumerate().filter(move |(_, segment)| live(segment));
        segments.map(|(index, _)| (index as u64) << SEGMENT_BITS)
    }

    /// What is at an address that is not valid, for messages.
    pub fn describe(&self, device: usize, address: u64) -> String {
        let (index, offset) = split(address);
        match self.segments.get(index) {
            _ if index == 0 => "near the null pointer".to_owned(),
            None => "no allocation ever had this address".to_owned(),
            Some(segment) if segment.bytes.is_empty() => "the allocation was freed".to_owned(),
            Some(segment) if segment.device != device => {
                format!("the memory belongs to device {}", segment.device)
            }
            Some(segment) => format!("byte {offset} of an allocation of {} bytes", segment.bytes.len()),
        }
    }
}

#[inline(always)]
fn split(address: u64) -> (usize, usize) {
    ((address >> SEGMENT_BITS) as usize, (address & ((1 << SEGMENT_BITS) - 1)) as usize)
}
