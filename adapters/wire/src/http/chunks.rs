//! The chunked coding of HTTP/1.1, read as it comes.

use bytes::{Buf, Bytes};

/// Most bytes beside the data: extensions of chunks and trailers.
const MAX_ASIDE: usize = 16 * 1024;

/// Takes the data out of chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    next: Next,
    /// What is left of the chunk, or its size as far as it was read.
    size: u64,
    aside: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The first digit of a size.
    #[default]
    Size,
    /// A further one, or the end of the size.
    Digit,
    /// The rest of the line of a size.
    Extension,
    /// The line feed after a size.
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The first byte of a trailer, or of the blank line at the end.
    Trailer,
    /// The rest of a trailer.
    TrailerLine,
    TrailerEnd,
    /// The line feed at the end.
    LastEnd,
    Nothing,
}

impl Chunks {
    /// The next data out of `bytes`: empty when more bytes are needed, `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the coding.
    pub fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Bytes>, &'static str> {
        loop {
            if self.next == Next::Nothing {
                return Ok(None);
            }
            let Some(byte) = bytes.first().copied() else {
                return Ok(Some(Bytes::new()));
            };
            if self.next == Next::Data {
                let most = usize::try_from(self.size).unwrap_or(usize::MAX);
                let data = bytes.split_to(bytes.len().min(most));
                self.size -= data.len() as u64;
                if self.size == 0 {
                    self.next = Next::DataReturn;
                }
                return Ok(Some(data));
            }
            bytes.advance(1);
            self.next = self.step(byte)?;
        }
    }

    fn step(&mut self, byte: u8) -> Result<Next, &'static str> {
        use Next::*;
        Ok(match (self.next, byte) {
            (Size | Digit, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.size = self
                    .size
                    .checked_mul(16)
                    .ok_or("a chunk is too large")?
                    .saturating_add(digit.into());
                Digit
            }
            (Digit | Extension, b'\r') => SizeEnd,
            (Digit, b';' | b' ' | b'\t') => self.aside(Extension)?,
            (Extension, byte) if byte != b'\n' => self.aside(Extension)?,
            (SizeEnd, b'\n') if self.size == 0 => Trailer,
            (SizeEnd, b'\n') => {
                // A stream that lasts may have any number of chunks.
                self.aside = 0;
                Data
            }
            (DataReturn, b'\r') => DataEnd,
            (DataEnd, b'\n') => Size,
            (Trailer, b'\r') => LastEnd,
            (Trailer, byte) if byte != b'\n' => self.aside(TrailerLine)?,
            (TrailerLine, b'\r') => TrailerEnd,
            (TrailerLine, byte) if byte != b'\n' => self.aside(TrailerLine)?,
            (TrailerEnd, b'\n') => Trailer,
            (LastEnd, b'\n') => Nothing,
            _ => return Err("a chunk of the answer is malformed"),
        })
    }

    fn aside(&mut self, next: Next) -> Result<Next, &'static str> {
        self.aside += 1;
        match self.aside > MAX_ASIDE {
            true => Err("the chunks of the answer have too much beside their data"),
            false => Ok(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data, and whether the end was seen.
    fn read(coded: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), &'static str> {
        let (mut chunks, mut data) = (Chunks::default(), Vec::new());
        let mut taken = 0;
        for piece in coded.chunks(step) {
            let mut bytes = Bytes::copy_from_slice(piece);
            loop {
                match chunks.next(&mut bytes)? {
                    Some(more) if more.is_empty() => break,
                    Some(more) => data.extend_from_slice(&more),
                    None => return Ok((data, true, taken + piece.len() - bytes.len())),
                }
            }
            taken += piece.len();
        }
        Ok((data, false, taken))
    }

    proptest! {
        #[test]
        fn the_data_comes_out_in_any_steps(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
            step in 1_usize..70,
            upper: bool,
            extended in proptest::option::of("[ ;a-z=\"0-9]{0,9}"),
            trailers in proptest::collection::vec("[a-z]{1,5}: [ -~]{0,9}", 0..3),
        ) {
            let extension = extended.map(|text| format!(";{text}")).unwrap_or_default();
            let mut coded = Vec::new();
            for piece in &pieces {
                let size = if upper { format!("{:X}", piece.len()) } else { format!("{:03x}", piece.len()) };
                coded.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
                coded.extend_from_slice(piece);
                coded.extend_from_slice(b"\r\n");
            }
            let open = coded.len();
            coded.extend_from_slice(b"0\r\n");
            for trailer in &trailers {
                coded.extend_from_slice(format!("{trailer}\r\n").as_bytes());
            }
            coded.extend_from_slice(b"\r\n");
            let length = coded.len();
            coded.extend_from_slice(b"HTTP/1.1 200 OK");
            prop_assert_eq!(read(&coded, step), Ok((pieces.concat(), true, length)));
            // Every part of it is no end, and no error.
            for cut in [open, length - 1] {
                let (data, ended, _) = read(&coded[..cut], step).unwrap();
                prop_assert_eq!(data, pieces.concat());
                prop_assert!(!ended);
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, step in 1_usize..20) {
            let _ = read(&bytes, step);
            let _ = read(&[b"ffff\r\n", &bytes[..]].concat(), step);
        }
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        for coded in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"1\n",
            b"1\r\r",
            b"1\r\nab",
            b"1\r\na\n",
            b"1;a\nb\r\n",
            b"0\r\n\n",
            b"0\r\na\n",
            b"10000000000000000\r\n",
        ] {
            assert!(read(coded, 3).is_err(), "{}", coded.escape_ascii());
        }
        assert_eq!(
            read(b"ffffffffffffffff\r\na", 3),
            Ok((b"a".to_vec(), false, 19))
        );
        let long = [b"1;", &vec![b'a'; MAX_ASIDE + 1][..]].concat();
        assert!(read(&long, 1000).is_err());
        let long = [b"0\r\n", &b"a: b\r\n".repeat(MAX_ASIDE / 4 + 1)[..]].concat();
        assert!(read(&long, 1000).is_err());
    }
}
