//! What `vpdpbusd` computes, which is the same in all its forms.
//!
//! # Source
//! The operation `VPDPBUSD` in Intel's Software Developer's Manual.

/// One element: four bytes of `a` without a sign, times the four of `b` with one, added to `sum`, which wraps around.
pub fn dot(sum: u32, a: u32, b: u32) -> u32 {
    let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
    products.fold(sum, |sum, (a, b)| {
        let product = i32::from(a) * i32::from(b as i8);
        sum.wrapping_add(product as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::dot;

    fn signed(sum: i32, a: [u8; 4], b: [i8; 4]) -> i32 {
        dot(sum as u32, u32::from_le_bytes(a), u32::from_le_bytes(b.map(|b| b as u8))) as i32
    }

    #[test]
    fn four_products_are_added_to_the_sum() {
        assert_eq!(signed(1000, [1, 2, 3, 4], [10, -20, 30, -40]), 1000 + 10 - 40 + 90 - 160);
        for place in 0..4 {
            let (mut a, mut b) = ([0; 4], [0; 4]);
            (a[place], b[place]) = (3, -5);
            assert_eq!(signed(7, a, b), -8, "place {place}");
        }
    }

    #[test]
    fn the_left_bytes_have_no_sign_and_the_right_ones_have_one() {
        assert_eq!(signed(0, [200, 0, 0, 0], [100, 0, 0, 0]), 20_000);
        assert_eq!(signed(0, [100, 0, 0, 0], [-56, 0, 0, 0]), -5_600);
        assert_eq!(signed(0, [255; 4], [127; 4]), 4 * 255 * 127);
        assert_eq!(signed(0, [255; 4], [-128; 4]), -4 * 255 * 128);
    }

    #[test]
    fn the_sum_wraps_around_and_does_not_saturate() {
        assert_eq!(signed(i32::MAX, [1, 0, 0, 0], [1, 0, 0, 0]), i32::MIN);
        assert_eq!(signed(i32::MIN, [255; 4], [-128; 4]), i32::MAX - 4 * 255 * 128 + 1);
        // Half way it is out of range, and in the end it is not.
        assert_eq!(signed(i32::MAX, [2, 2, 0, 0], [1, -1, 0, 0]), i32::MAX);
    }
}
