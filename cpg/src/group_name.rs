//! Names of groups.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

use thiserror::Error;

/// Bytes that `struct cpg_name` can hold (`CPG_MAX_NAME_LENGTH`).
const CAPACITY: usize = cpg_sys::CPG_MAX_NAME_LENGTH as usize;

/// The name of a group: 1 to 127 bytes, and not a C string.
///
/// ```
/// use cpg::GroupName;
///
/// let short = GroupName::new("pcmk")?;
/// let counted = GroupName::with_nul("pcmk")?;
/// assert_ne!(short, counted);
/// assert_eq!(short.to_string(), "pcmk");
/// assert_eq!(counted.to_string(), r"pcmk\0");
/// assert_eq!((short.as_bytes(), short.len(), counted.len()), (&b"pcmk"[..], 4, 5));
/// assert!(!short.is_empty() && GroupName::new("n".repeat(GroupName::MAX_LEN + 1)).is_err());
/// # Ok::<(), cpg::NameError>(())
/// ```
///
/// corosync compares names as a length and bytes. Some programs count the NUL that ends their string as a part of the name, as
/// Pacemaker, DLM and pmxcfs do. Others, such as sheepdog, Asterisk and clvmd, do not. So `pcmk` with the NUL and `pcmk` without it
/// are two groups. Here both names can be made, and they differ when compared and when printed.
///
/// A name that was read from the daemon can be any name that another program has joined: empty, 128 bytes long, or with NULs in it.
/// Such a name can be looked at and compared. [`Handle::join`](crate::Handle::join) refuses names that do harm to the daemon.
#[doc(alias = "cpg_name")]
#[derive(Clone)]
#[repr(C)]
pub struct GroupName {
    length: u32,
    value: [u8; CAPACITY],
}

/// The reason why bytes are not a name that can be joined.
///
/// ```
/// use cpg::{GroupName, NameError};
///
/// assert_eq!(GroupName::new(""), Err(NameError::Empty));
/// assert_eq!(GroupName::new("a\0b"), Err(NameError::Nul { position: 1 }));
/// assert_eq!(GroupName::with_nul("n".repeat(127)), Err(NameError::TooLong { len: 128 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no bytes. corosync would accept it, and keep the member for ever after its process has ended (`exec/cpg.c`,
    /// `cpg_lib_exit_fn`).
    #[error("the group name is empty: 1 to {} bytes are needed", GroupName::MAX_LEN)]
    Empty,
    /// The name has more than 127 bytes.
    #[error("the group name has {len} bytes, the most is {}", GroupName::MAX_LEN)]
    TooLong {
        /// Bytes in the name, including the NUL if the name counts it.
        len: usize,
    },
    /// The name has a NUL in it. When a node goes down, corosync compares some names as C strings, and mixes up groups whose names
    /// are the same up to a NUL.
    #[error(
        "the group name has a NUL at byte {position}; GroupName::with_nul makes the name of a program that \
         counts the NUL at the end"
    )]
    Nul {
        /// Index of the first NUL.
        position: usize,
    },
}

impl GroupName {
    /// The longest name that can be joined, in bytes.
    ///
    /// `struct cpg_name` has room for 128. With a name of 128 bytes the daemon writes one byte past its own buffer when a node goes
    /// down (`exec/cpg.c`, `downlist_inform_clients`).
    #[doc(alias = "CPG_MAX_NAME_LENGTH")]
    pub const MAX_LEN: usize = CAPACITY - 1;

    /// Makes a name of exactly these bytes: the name in C programs that join `strlen(name)` bytes.
    ///
    /// # Errors
    /// [`NameError`] if there are no bytes, more than [`MAX_LEN`](Self::MAX_LEN) bytes, or a NUL among them.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
        Self::checked(name.as_ref(), false)
    }

    /// Makes a name of these bytes and a NUL: the name in C programs that join `strlen(name) + 1` bytes, such as Pacemaker, DLM and
    /// pmxcfs.
    ///
    /// # Errors
    /// [`NameError`] if there are no bytes, more than 126 bytes, or a NUL among them.
    pub fn with_nul(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
        Self::checked(name.as_ref(), true)
    }

    fn checked(name: &[u8], nul: bool) -> Result<Self, NameError> {
        let len = name.len() + usize::from(nul);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(position) = name.iter().position(|&byte| byte == 0) {
            return Err(NameError::Nul { position });
        }
        if len > Self::MAX_LEN {
            return Err(NameError::TooLong { len });
        }
        let mut value = [0; CAPACITY];
        value[..name.len()].copy_from_slice(name);
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_LEN")]
        let length = len as u32;
        Ok(Self { length, value })
    }

    /// Refuses a name that does harm to the daemon when it is joined. Only names that were read can be such names.
    pub(crate) fn check_joinable(&self) -> Result<(), NameError> {
        match self.len() {
            0 => Err(NameError::Empty),
            1..=Self::MAX_LEN => Ok(()),
            len => Err(NameError::TooLong { len }),
        }
    }

    /// Returns the bytes of the name, including the NUL if the name counts it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.value[..self.len()]
    }

    /// Returns the number of bytes in the name.
    pub fn len(&self) -> usize {
        // The length comes from the daemon, which does not check what a client sent.
        (self.length as usize).min(CAPACITY)
    }

    /// True if the name has no bytes. Such a name can be read from the daemon, but not made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for GroupName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for GroupName {}

impl PartialOrd for GroupName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for GroupName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// A name has the order and the hash of its bytes, so a map of names can be searched by bytes.
impl Borrow<[u8]> for GroupName {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for GroupName {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Text, bytes or a [`GroupName`]: all functions that need the name of a group take any of these.
///
/// ```no_run
/// use cpg::{Group, GroupName, IntoGroupName, Session};
///
/// let name = GroupName::with_nul("pcmk")?;
/// let groups = [Group::join("ledger")?, Group::join(b"bytes")?, Group::join(&name)?];
/// let session = Session::join(String::from("chat"))?;
///
/// /// Takes names in the same way, and looks at the name before it joins.
/// fn join_and_say(name: impl IntoGroupName) -> cpg::Result<Group> {
///     let name = name.into_group_name()?;
///     eprintln!("joining {name}");
///     Group::join(name)
/// }
/// # join_and_say("election")?;
/// # Ok::<(), cpg::Error>(())
/// ```
pub trait IntoGroupName: sealed::Sealed {
    /// Makes the name.
    ///
    /// # Errors
    /// As [`GroupName::new`].
    fn into_group_name(self) -> Result<GroupName, NameError>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for GroupName {}

impl IntoGroupName for GroupName {
    fn into_group_name(self) -> Result<GroupName, NameError> {
        Ok(self)
    }
}

impl sealed::Sealed for &GroupName {}

impl IntoGroupName for &GroupName {
    fn into_group_name(self) -> Result<GroupName, NameError> {
        Ok(self.clone())
    }
}

impl<const N: usize> sealed::Sealed for &[u8; N] {}

impl<const N: usize> IntoGroupName for &[u8; N] {
    fn into_group_name(self) -> Result<GroupName, NameError> {
        GroupName::new(self)
    }
}

/// Implements the conversions from types that are bytes. A blanket implementation would include [`GroupName`] too.
macro_rules! from_bytes {
    ($($bytes:ty),*) => {$(
        impl sealed::Sealed for $bytes {}

        impl IntoGroupName for $bytes {
            fn into_group_name(self) -> Result<GroupName, NameError> {
                GroupName::new(self)
            }
        }

        impl TryFrom<$bytes> for GroupName {
            type Error = NameError;

            fn try_from(name: $bytes) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    )*};
}

from_bytes!(&str, &String, String, &[u8], &Vec<u8>, Vec<u8>);

impl<const N: usize> TryFrom<&[u8; N]> for GroupName {
    type Error = NameError;

    fn try_from(name: &[u8; N]) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl std::str::FromStr for GroupName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

/// Prints the name as text, so that different names always look different: `\0`, `\n` and the like for control characters, `\xNN` for
/// bytes that are not UTF-8, and `\\` for a backslash.
impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for chunk in self.as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\0' => text.push_str(r"\0"),
                    '\\' => text.push_str(r"\\"),
                    c if c.is_control() => text.extend(c.escape_default()),
                    c => text.push(c),
                }
            }
            for byte in chunk.invalid() {
                write!(text, r"\x{byte:02x}")?;
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupName(\"{self}\")")
    }
}

// `ffi` hands pointers to names to libcpg and takes its pointers as names.
const _: () = {
    assert!(size_of::<GroupName>() == size_of::<cpg_sys::cpg_name>());
    assert!(align_of::<GroupName>() == align_of::<cpg_sys::cpg_name>());
    assert!(std::mem::offset_of!(GroupName, length) == std::mem::offset_of!(cpg_sys::cpg_name, length));
    assert!(std::mem::offset_of!(GroupName, value) == std::mem::offset_of!(cpg_sys::cpg_name, value));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_leave_the_daemon_whole_can_be_made() {
        assert_eq!(GroupName::new(""), Err(NameError::Empty));
        assert_eq!(GroupName::with_nul(""), Err(NameError::Empty));
        assert_eq!(GroupName::new([b'x'; 128]), Err(NameError::TooLong { len: 128 }));
        assert_eq!(GroupName::with_nul([b'x'; 127]), Err(NameError::TooLong { len: 128 }));
        assert_eq!(GroupName::new("a\0b"), Err(NameError::Nul { position: 1 }));
        assert_eq!(GroupName::new([b'x'; 127]).unwrap().len(), 127);
        assert_eq!(GroupName::with_nul([b'x'; 126]).unwrap().as_bytes()[126], 0);
    }

    #[test]
    fn text_and_bytes_become_a_name() {
        let name = GroupName::new("ledger").unwrap();
        let made = [
            GroupName::try_from("ledger"),
            GroupName::try_from("ledger".to_owned()),
            GroupName::try_from(b"ledger"),
            GroupName::try_from(&b"ledger"[..]),
            "ledger".parse(),
            (&name).into_group_name(),
        ];
        assert!(made.into_iter().all(|made| made.as_ref() == Ok(&name)));
    }

    #[test]
    fn different_names_look_different() {
        let shown = |bytes: &[u8]| GroupName::new(bytes).unwrap().to_string();
        assert_eq!(GroupName::with_nul("pcmk").unwrap().to_string(), r"pcmk\0");
        assert_eq!(shown(br"pcmk\0"), r"pcmk\\0");
        assert_eq!(shown(b"tab\there"), r"tab\there");
        assert_eq!(shown(b"\xff\xfe"), r"\xff\xfe");
        assert_eq!(shown("größe".as_bytes()), "größe");
        assert_eq!(format!("{:>6}|", GroupName::new("ab").unwrap()), "    ab|");
        assert_eq!(format!("{:?}", GroupName::new("ab").unwrap()), "GroupName(\"ab\")");
    }

    #[test]
    fn a_length_beyond_the_buffer_reads_the_buffer() {
        let odd = GroupName { length: u32::MAX, value: [b'y'; CAPACITY] };
        assert_eq!(odd.as_bytes(), [b'y'; CAPACITY]);
        assert_eq!(odd.check_joinable(), Err(NameError::TooLong { len: 128 }));
    }
}
