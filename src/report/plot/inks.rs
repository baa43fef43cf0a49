//! The colours of a picture by number: those that are drawn with, and those that come of drawing one over another.

/// Number of a colour.
pub type Ink = u8;
/// Red, green and blue.
pub type Rgb = [u8; 3];

/// The number of white.
pub const BLANK: Ink = 0;
/// As many as a byte can number. When the list is full the nearest colour of it is taken.
const MOST: usize = 256;
/// How many of them only areas on white paper may take: a picture with many lines has more mixtures at their edges than there are
/// numbers, and a band must still have its own colour.
const OF_AREAS: usize = 48;
/// Steps in which a colour covers another: four for each of the four parts of a pixel.
pub const STEPS: u16 = 16;

/// Numbers colours as they come.
pub struct Inks {
    colours: Vec<Rgb>,
    /// The colour that is drawn with, and what each step of it makes of each ink.
    brush: Rgb,
    mixed: Vec<Option<Ink>>,
}

impl Default for Inks {
    fn default() -> Self {
        let white = [255; 3];
        Self { colours: vec![white], brush: white, mixed: vec![None; MOST * (usize::from(STEPS) + 1)] }
    }
}

impl Inks {
    /// Forgets all colours but white.
    pub fn clear(&mut self) {
        self.colours.truncate(1);
        self.brush = self.colours[0];
        self.mixed.fill(None);
    }

    pub fn colours(&self) -> &[Rgb] {
        &self.colours
    }

    /// Numbers the colours anew: after white those come first that were counted most often. Returns each one's new number. Nothing can
    /// be drawn after it until [`Inks::clear`].
    pub fn sort(&mut self, counts: &[u32; MOST]) -> [Ink; MOST] {
        let mut order: Vec<usize> = (1..self.colours.len()).collect();
        order.sort_by_key(|&ink| std::cmp::Reverse(counts[ink]));
        let mut renumbered = [BLANK; MOST];
        for (place, &before) in order.iter().enumerate() {
            renumbered[before] = (place + 1) as Ink;
        }
        let sorted = std::iter::once(0).chain(order).map(|ink| self.colours[ink]);
        self.colours = sorted.collect();
        renumbered
    }

    /// Takes a colour to draw with.
    pub fn take(&mut self, colour: Rgb) {
        if self.brush != colour {
            self.brush = colour;
            self.mixed.fill(None);
        }
    }

    /// The number of what so many [`STEPS`] of the colour make of what is below.
    #[inline]
    pub fn over(&mut self, under: Ink, step: u16) -> Ink {
        let place = usize::from(step.min(STEPS)) * MOST + usize::from(under);
        match self.mixed[place] {
            Some(known) => known,
            None => self.mix(under, step.min(STEPS), place),
        }
    }

    #[cold]
    fn mix(&mut self, under: Ink, step: u16, place: usize) -> Ink {
        let mut mixed = self.colours[usize::from(under)];
        for (mixed, new) in mixed.iter_mut().zip(self.brush) {
            let change = (f32::from(new) - f32::from(*mixed)) * f32::from(step) / f32::from(STEPS);
            *mixed = (f32::from(*mixed) + change).round() as u8;
        }
        // A quarter of a colour on white is a band; other steps are edges.
        let is_area = under == BLANK && step.is_multiple_of(STEPS / 4);
        let ink = self.number(mixed, if is_area { MOST } else { MOST - OF_AREAS });
        self.mixed[place] = Some(ink);
        ink
    }

    /// The number of a colour in the list, which grows by it if it has fewer than `most`.
    fn number(&mut self, colour: Rgb, most: usize) -> Ink {
        // The newest are the likeliest.
        if let Some(place) = self.colours.iter().rposition(|known| *known == colour) {
            return place as Ink;
        }
        if self.colours.len() < most {
            self.colours.push(colour);
            return (self.colours.len() - 1) as Ink;
        }
        let away = |known: &Rgb| -> u32 {
            known.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let nearest = self.colours.iter().enumerate().min_by_key(|(_, known)| away(known));
        nearest.map_or(BLANK, |(place, _)| place as Ink)
    }
}
