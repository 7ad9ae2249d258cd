//! As much DER as it takes to find a public key in its envelope (RFC 5280, SubjectPublicKeyInfo)
//! and the two numbers of one of RSA (RFC 8017, RSAPublicKey).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Algorithm and key of a SubjectPublicKeyInfo: what stands in its AlgorithmIdentifier, and the
/// bytes of its bit string.
pub(super) fn public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, rest) = element(der, SEQUENCE)?;
    let (algorithm, after) = element(inside, SEQUENCE)?;
    let (bits, end) = element(after, BIT_STRING)?;
    // All bits of the last byte count.
    let key = bits.strip_prefix(&[0])?;
    (rest.is_empty() && end.is_empty()).then_some((algorithm, key))
}

/// Modulus and exponent of an RSAPublicKey, without leading zeros.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, rest) = element(der, SEQUENCE)?;
    let (modulus, after) = element(inside, INTEGER)?;
    let (exponent, end) = element(after, INTEGER)?;
    (rest.is_empty() && end.is_empty()).then(|| (positive(modulus), positive(exponent)))
}

/// A number without the zeros before it.
pub(super) fn positive(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// What an element of this tag holds, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&said, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (len, der) = match first {
        0..=0x7f => (usize::from(first), der),
        // No key needs a length of more than two bytes.
        0x81 | 0x82 => {
            let (bytes, der) = der.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), der)
        }
        _ => return None,
    };
    (said == tag).then(|| der.split_at_checked(len)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_envelopes_are_none() {
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::PublicKeyData::subject_public_key_info(&key);
        let (_, point) = public_key(&good).unwrap();
        assert_eq!(point, key.public_key_raw());
        for len in 0..good.len() {
            assert!(public_key(&good[..len]).is_none(), "{len}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(public_key(&longer).is_none());
        assert!(public_key(&[0x30, 0x83, 0, 0, 0]).is_none());
        assert_eq!(rsa_numbers(&[0x30, 7, 2, 2, 0, 9, 2, 1, 3]), Some((&[9][..], &[3][..])));
        assert!(rsa_numbers(&[0x30, 3, 2, 1, 9]).is_none());
    }
}
