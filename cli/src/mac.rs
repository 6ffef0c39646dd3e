//! Hardware addresses, as they are typed and printed.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let byte = |byte: &str| match byte.len() {
            1 | 2 if !byte.starts_with('+') => u8::from_str_radix(byte, 16).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a hardware address such as 02:00:00:00:00:01"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_printed() {
        for text in ["02:fe:00:00:00:0a", "2:fe:0:0:0:a", "02-fe-00-00-00-0a"] {
            assert_eq!(
                text.parse::<Mac>().unwrap().to_string(),
                "02:fe:00:00:00:0a"
            );
        }
        for text in [
            "",
            "02:fe",
            "2:0:0:0:0:100",
            "2:0:0:0:0:+a",
            "1:2:3:4:5:6:7",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
