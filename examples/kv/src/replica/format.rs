//! Values as bytes: numbers are little-endian, lists and byte strings have their length before them, tuples are what is in them.

use std::collections::{BTreeMap, BTreeSet};

use cpg::{Member, NodeId};

use super::primary::{Epoch, Place};

/// A value that has a form in bytes.
pub trait Format<'a>: Sized {
    /// Adds the value to bytes.
    fn write(&self, to: &mut Vec<u8>);

    /// Takes a value from the front of bytes; `None` if there is none.
    fn read(from: &mut &'a [u8]) -> Option<Self>;

    /// Returns the value as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut to = Vec::new();
        self.write(&mut to);
        to
    }

    /// Returns the value that these bytes are; `None` if they are none, or more than one.
    fn of(mut bytes: &'a [u8]) -> Option<Self> {
        Self::read(&mut bytes).filter(|_| bytes.is_empty())
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Format<'_> for $number {
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )*};
}
numbers!(u8 u32 u64);

macro_rules! tuples {
    ($(($($value:ident)*))*) => {$(
        #[allow(non_snake_case, reason = "a value is named after its type")]
        impl<'a, $($value: Format<'a>),*> Format<'a> for ($($value,)*) {
            fn write(&self, to: &mut Vec<u8>) {
                let ($($value,)*) = self;
                $($value.write(to);)*
            }

            fn read(from: &mut &'a [u8]) -> Option<Self> {
                Some(($($value::read(from)?,)*))
            }
        }
    )*};
}
tuples!((A B) (A B C) (A B C D));

impl Format<'_> for bool {
    fn write(&self, to: &mut Vec<u8>) {
        u8::from(*self).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<'a> Format<'a> for &'a [u8] {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u64).write(to);
        to.extend_from_slice(self);
    }

    fn read(from: &mut &'a [u8]) -> Option<Self> {
        let len = usize::try_from(u64::read(from)?).ok()?;
        let (bytes, rest) = from.split_at_checked(len)?;
        *from = rest;
        Some(bytes)
    }
}

impl Format<'_> for Vec<u8> {
    fn write(&self, to: &mut Vec<u8>) {
        (&self[..]).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        <&[u8]>::read(from).map(<[u8]>::to_vec)
    }
}

impl<'a, T: Format<'a> + Ord> Format<'a> for BTreeSet<T> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u64).write(to);
        for value in self {
            value.write(to);
        }
    }

    fn read(from: &mut &'a [u8]) -> Option<Self> {
        (0..u64::read(from)?).map(|_| T::read(from)).collect()
    }
}

impl<'a, K: Format<'a> + Ord, V: Format<'a>> Format<'a> for BTreeMap<K, V> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u64).write(to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(from: &mut &'a [u8]) -> Option<Self> {
        (0..u64::read(from)?).map(|_| Format::read(from)).collect()
    }
}

impl<'a, T: Format<'a>> Format<'a> for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut &'a [u8]) -> Option<Self> {
        if bool::read(from)? { T::read(from).map(Some) } else { Some(None) }
    }
}

impl Format<'_> for Member {
    fn write(&self, to: &mut Vec<u8>) {
        (self.node().get(), self.pid()).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (node, pid) = Format::read(from)?;
        Some(Self::new(NodeId::new(node), pid))
    }
}

impl Format<'_> for Epoch {
    fn write(&self, to: &mut Vec<u8>) {
        (self.begun, self.number, self.opener).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (begun, number, opener) = Format::read(from)?;
        Some(Self { begun, number, opener })
    }
}

impl Format<'_> for Place {
    fn write(&self, to: &mut Vec<u8>) {
        (self.epoch, self.position, self.chain).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (epoch, position, chain) = Format::read(from)?;
        Some(Self { epoch, position, chain })
    }
}
