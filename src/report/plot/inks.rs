//! The colours of a picture by number: those that are drawn with, and those of the smaller picture, which are means of four.

/// Number of a colour.
pub type Ink = u8;
/// Red, green and blue.
pub type Rgb = [u8; 3];

/// The number of white, in either list.
pub const BLANK: Ink = 0;
/// As many as a byte can number. When a list is full the nearest colour of it is taken.
const MOST: usize = 256;
/// Means that are remembered.
const REMEMBERED: usize = 1 << 12;
/// Steps in which a colour covers another: letters need no more, as four of their pixels become one.
const STEPS: u16 = 8;

/// Numbers colours as they come.
pub struct Inks {
    drawn: Vec<Rgb>,
    small: Vec<Rgb>,
    /// The last colour that was asked for, with its number.
    last: (Rgb, Ink),
    /// The colour that was mixed last, and what it makes of each ink, by steps.
    mixing: Rgb,
    mixed: Vec<Option<Ink>>,
    /// Squares of drawn inks with the number of their mean, at the place that the square says. A blank square stands for none.
    means: Vec<([Ink; 4], Ink)>,
}

impl Default for Inks {
    fn default() -> Self {
        let white = vec![[255; 3]];
        let means = vec![([BLANK; 4], BLANK); REMEMBERED];
        let mixed = vec![None; MOST * (usize::from(STEPS) + 1)];
        Self { drawn: white.clone(), small: white, last: ([255; 3], BLANK), mixing: [255; 3], mixed, means }
    }
}

impl Inks {
    /// Forgets all colours but white.
    pub fn clear(&mut self) {
        self.drawn.truncate(1);
        self.small.truncate(1);
        self.last = ([255; 3], BLANK);
        self.mixing = [255; 3];
        self.mixed.fill(None);
        self.means.fill(([BLANK; 4], BLANK));
    }

    /// The colours of the smaller picture.
    pub fn small(&self) -> &[Rgb] {
        &self.small
    }

    /// Numbers the colours of the smaller picture anew: after white those come first that were counted most often.
    pub fn sort_small(&mut self, counts: &[u32; MOST]) {
        let mut order: Vec<usize> = (1..self.small.len()).collect();
        order.sort_by_key(|&ink| std::cmp::Reverse(counts[ink]));
        let mut renumbered = [BLANK; MOST];
        for (place, &before) in order.iter().enumerate() {
            renumbered[before] = (place + 1) as Ink;
        }
        self.small = std::iter::once(self.small[0]).chain(order.iter().map(|&ink| self.small[ink])).collect();
        self.means.iter_mut().for_each(|(_, mean)| *mean = renumbered[usize::from(*mean)]);
    }

    /// The number of a colour to draw with.
    pub fn of(&mut self, colour: Rgb) -> Ink {
        if self.last.0 != colour {
            self.last = (colour, number(&mut self.drawn, colour));
        }
        self.last.1
    }

    /// The number of what `share` / 256 of a colour makes of what is below.
    pub fn mixed(&mut self, under: Ink, colour: Rgb, share: u16) -> Ink {
        let step = (share.min(256) * STEPS + 128) / 256;
        if step == 0 {
            return under;
        }
        if self.mixing != colour {
            self.mixing = colour;
            self.mixed.fill(None);
        }
        let place = usize::from(under) * (usize::from(STEPS) + 1) + usize::from(step);
        if let Some(known) = self.mixed[place] {
            return known;
        }
        let mut mixed = self.drawn[usize::from(under)];
        for (mixed, new) in mixed.iter_mut().zip(colour) {
            let change = (f32::from(new) - f32::from(*mixed)) * f32::from(step) / f32::from(STEPS);
            *mixed = (f32::from(*mixed) + change).round() as u8;
        }
        let ink = self.of(mixed);
        self.mixed[place] = Some(ink);
        ink
    }

    /// The number, in the smaller picture, of the mean of a square.
    pub fn mean(&mut self, square: [Ink; 4]) -> Ink {
        if square == [BLANK; 4] {
            return BLANK;
        }
        let key = u32::from_le_bytes(square);
        let place = (key.wrapping_mul(0x9e37_79b1) >> 20) as usize;
        let (remembered, mean) = self.means[place];
        if remembered == square {
            return mean;
        }
        let mut sums = [2; 3];
        for ink in square {
            let colour = self.drawn[usize::from(ink)];
            sums.iter_mut().zip(colour).for_each(|(sum, channel)| *sum += u16::from(channel));
        }
        let mean = number(&mut self.small, sums.map(|sum| (sum / 4) as u8));
        self.means[place] = (square, mean);
        mean
    }
}

/// The number of a colour in a list, which grows by it if it has room.
fn number(colours: &mut Vec<Rgb>, colour: Rgb) -> Ink {
    // The newest are the likeliest.
    if let Some(place) = colours.iter().rposition(|known| *known == colour) {
        return place as Ink;
    }
    if colours.len() < MOST {
        colours.push(colour);
        return (colours.len() - 1) as Ink;
    }
    let away =
        |known: &Rgb| -> u32 { known.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let nearest = colours.iter().enumerate().min_by_key(|(_, known)| away(known));
    nearest.map_or(BLANK, |(place, _)| place as Ink)
}
