//! Arithmetic over GF(256) with the polynomial of AES, x^8 + x^4 + x^3 + x + 1, without tables or
//! branches on secrets, and polynomials over it.
//!
//! Owns the arithmetic only. Points where polynomials are taken are public; values are not.

use zeroize::Zeroizing;

/// The product.
pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product, mut bit) = (a, 0, 0);
    while bit < 8 {
        product ^= a & 0u8.wrapping_sub(b >> bit & 1);
        a = a << 1 ^ 0x1b & 0u8.wrapping_sub(a >> 7);
        bit += 1;
    }
    product
}

/// The inverse, a^254; that of zero is zero.
pub(super) const fn invert(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let (mut square, mut product, mut i) = (multiply(a, a), 1, 0);
    while i < 7 {
        product = multiply(product, square);
        square = multiply(square, square);
        i += 1;
    }
    product
}

/// The values at `x` of `N` polynomials side by side, given their coefficients from degree 0 on.
pub(super) fn evaluate<const N: usize>(coefficients: &[[u8; N]], x: u8) -> Zeroizing<[u8; N]> {
    let mut values = Zeroizing::new([0; N]);
    for row in coefficients.iter().rev() {
        for (value, coefficient) in values.iter_mut().zip(row) {
            *value = multiply(*value, x) ^ coefficient;
        }
    }
    values
}

/// The values at `x` of the `N` polynomials of least degree through the given points, whose places
/// must differ (Lagrange).
pub(super) fn value_at<const N: usize>(x: u8, points: &[(u8, &[u8; N])]) -> Zeroizing<[u8; N]> {
    let mut values = Zeroizing::new([0; N]);
    for (place, point) in points {
        let weight = points
            .iter()
            .filter(|(other, _)| other != place)
            .fold(1, |weight, (other, _)| {
                multiply(weight, multiply(x ^ other, invert(place ^ other)))
            });
        for (value, byte) in values.iter_mut().zip(*point) {
            *value ^= multiply(weight, *byte);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_fips_197() {
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        assert_eq!(multiply(0x57, 0x02), 0xae);
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1);
        }
        assert_eq!(invert(0), 0);
    }

    #[test]
    fn multiplication_is_a_field_s() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
                let c = a.wrapping_mul(7) ^ b;
                assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
                assert_eq!(multiply(multiply(a, b), c), multiply(a, multiply(b, c)));
                assert_eq!(multiply(a, b) == 0, a == 0 || b == 0);
            }
        }
    }

    #[test]
    fn two_shares_of_three_fit_every_secret_equally() {
        // Every pair of values is met exactly once by the 65,536 polynomials of each secret, so
        // the pair says nothing of the secret: this is perfect secrecy, counted out.
        for secret in [0, 1, 0x80, 0xff] {
            let mut met = vec![false; 1 << 16];
            for first in 0..=255 {
                for second in 0..=255 {
                    let polynomial = [[secret], [first], [second]];
                    let (one, two) = (evaluate(&polynomial, 1)[0], evaluate(&polynomial, 3)[0]);
                    let pair = &mut met[usize::from(one) << 8 | usize::from(two)];
                    assert!(!*pair, "{secret}: {one}, {two}");
                    *pair = true;
                }
            }
            assert!(met.iter().all(|met| *met));
        }
    }
}
