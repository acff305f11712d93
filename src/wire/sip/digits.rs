//! Numbers as they are written: [`Digits`].

/// A number in decimal digits.
pub(super) struct Digits {
    text: [u8; 20],
    start: usize,
}

impl Digits {
    /// The digits of `number`, without leading zeros.
    pub(super) fn of(number: usize) -> Self {
        let mut digits = Self { text: [b'0'; 20], start: 20 };
        let mut left = number;
        for digit in digits.text.iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
            digits.start -= 1;
            if left == 0 {
                break;
            }
        }
        digits
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for number in [0, 7, 10, 202, 65_535, usize::MAX] {
            assert_eq!(Digits::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
