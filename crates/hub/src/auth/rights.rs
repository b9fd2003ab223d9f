//! What a token allows.

use std::fmt;
use std::str::FromStr;

/// One thing that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// To see a log's state, and to pull.
    Read,
    /// To push.
    Write,
    /// To delete a log; where the token covers all logs, to see what is about all of them.
    Admin,
}

impl Right {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Its name, as in `--rights`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Several rights. The right to write is that to read too: a push that does not fit is answered with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    read: bool,
    write: bool,
    admin: bool,
}

impl Rights {
    /// To read and to write: what a device needs that syncs.
    pub const READ_WRITE: Self = Self { read: true, write: true, admin: false };

    /// Whether the right is among them.
    pub const fn has(self, right: Right) -> bool {
        match right {
            Right::Read => self.read,
            Right::Write => self.write,
            Right::Admin => self.admin,
        }
    }

    /// These rights, in the order of [`Right`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Right::name).collect();
        f.write_str(&names.join(","))
    }
}

/// A text that names no rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRights {
    /// A word that is no right.
    #[error("{0:?} is no right: they are read, write and admin, with commas between them")]
    Unknown(String),
    /// There is none in it.
    #[error("a token without rights opens nothing: name some of read, write and admin")]
    None,
}

impl FromStr for Rights {
    type Err = BadRights;

    fn from_str(text: &str) -> Result<Self, BadRights> {
        let mut rights = Self { read: false, write: false, admin: false };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match Right::ALL.into_iter().find(|right| right.name() == word) {
                Some(Right::Read) => rights.read = true,
                Some(Right::Write) => (rights.read, rights.write) = (true, true),
                Some(Right::Admin) => rights.admin = true,
                None => return Err(BadRights::Unknown(word.to_owned())),
            }
        }
        if rights.iter().next().is_none() { Err(BadRights::None) } else { Ok(rights) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_text_reads_back() {
        for text in ["read", "read,write", "admin", "read,admin", "read,write,admin"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        assert_eq!("write".parse(), Ok(Rights::READ_WRITE));
        assert_eq!(" admin , write,".parse::<Rights>().unwrap().to_string(), "read,write,admin");
    }

    #[test]
    fn an_unknown_word_is_no_right() {
        assert_eq!("".parse::<Rights>(), Err(BadRights::None));
        assert_eq!(",".parse::<Rights>(), Err(BadRights::None));
        for bad in ["all", "Read", "read write", "read,owner"] {
            assert!(matches!(bad.parse::<Rights>(), Err(BadRights::Unknown(_))), "{bad}");
        }
    }
}
