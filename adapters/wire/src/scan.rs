//! What can be told of a frame that cannot be read: the `id` and `method` at its top level, found in one pass and a
//! fixed amount of memory.

/// Longest name or value that is kept.
const KEPT: usize = 1024;

/// A pass over the bytes of one frame. Feed it in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    depth: u32,
    string: bool,
    escape: bool,
    /// Whether the next string at depth one is a name.
    name: bool,
    key: Vec<u8>,
    slot: Option<Slot>,
    value: Vec<u8>,
    id: Option<String>,
    method: Option<String>,
    answer: bool,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Id,
    Method,
}

impl Scan {
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// The `id` as JSON text, if it is a string or a number.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The `method`.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Whether it has a `result` or an `error`.
    pub fn is_answer(&self) -> bool {
        self.answer && self.method.is_none()
    }

    fn step(&mut self, byte: u8) {
        if self.string {
            let ends = byte == b'"' && !self.escape;
            self.escape = byte == b'\\' && !self.escape;
            if self.depth == 1 && !(self.name && ends) {
                self.keep(byte);
            }
            if ends {
                self.string = false;
            }
            return;
        }
        match byte {
            b'"' => {
                self.string = true;
                if self.depth == 1 {
                    if self.name {
                        self.key.clear();
                    } else {
                        self.keep(byte);
                    }
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.slot = None;
                self.name = self.depth == 1 && byte == b'{';
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.name = false;
                self.value.clear();
                self.slot = match self.key.as_slice() {
                    b"id" => Some(Slot::Id),
                    b"method" => Some(Slot::Method),
                    _ => None,
                };
                self.answer |= matches!(self.key.as_slice(), b"result" | b"error");
            }
            b',' if self.depth == 1 => {
                self.end_value();
                self.name = true;
            }
            _ if self.depth == 1 && !byte.is_ascii_whitespace() => self.keep(byte),
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        let into = if self.name {
            &mut self.key
        } else if self.slot.is_some() {
            &mut self.value
        } else {
            return;
        };
        if into.len() <= KEPT {
            into.push(byte);
        }
    }

    fn end_value(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let value = std::mem::take(&mut self.value);
        if value.len() > KEPT {
            return;
        }
        match slot {
            Slot::Id => {
                let read: Result<serde_json::Value, _> = serde_json::from_slice(&value);
                if read.is_ok_and(|id| id.is_string() || id.is_number()) {
                    self.id = String::from_utf8(value).ok();
                }
            }
            Slot::Method => self.method = serde_json::from_slice(&value).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> (Option<String>, Option<String>) {
        let mut whole = Scan::default();
        whole.feed(bytes);
        let mut pieces = Scan::default();
        for byte in bytes {
            pieces.feed(&[*byte]);
        }
        assert_eq!(whole.id(), pieces.id());
        (
            whole.id().map(str::to_owned),
            whole.method().map(str::to_owned),
        )
    }

    #[test]
    fn the_top_level_alone_counts() {
        let both = (Some("7".to_owned()), Some("a/b".to_owned()));
        assert_eq!(scan(br#"{"id":7,"method":"a/b","params":{"id":8"#), both);
        assert_eq!(
            scan(br#" { "params" : {"id":1,"method":"x","y":[{}]} , "id" : 7 , "method":"a\/b" }"#),
            both
        );
        assert_eq!(
            scan(br#"{"x":"\",\"id\":1","id":7,"method":"a/b","\xff"#),
            both
        );
    }

    #[test]
    fn what_is_cut_off_or_not_an_id_is_not_taken() {
        assert_eq!(scan(br#"{"id":71"#), (None, None));
        assert_eq!(scan(br#"{"id":null,"method":5}"#), (None, None));
        assert_eq!(scan(br#"{"id":{"id":1},"method":["m"]}"#), (None, None));
        assert_eq!(scan(br#"[{"id":1,"method":"m"}]"#), (None, None));
        assert_eq!(scan(b"\xff\xfe}}]]\"\\"), (None, None));
        let long = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(5000));
        assert_eq!(scan(long.as_bytes()), (None, Some("m".to_owned())));
    }
}
