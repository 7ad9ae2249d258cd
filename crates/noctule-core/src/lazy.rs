//! A value that most owners do not have most of the time: eight bytes until it is first changed.

use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

/// What is seen of a value that is not there.
pub(crate) trait Empty: Default + 'static {
    /// Equal to the default.
    fn empty() -> &'static Self;
}

/// Reads like an empty value until it is written to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lazy<T>(Option<Box<T>>);

impl<T> Default for Lazy<T> {
    fn default() -> Lazy<T> {
        Lazy(None)
    }
}

impl<T> Lazy<T> {
    /// Lets go of a value that is as good as none.
    pub(crate) fn drop_if(&mut self, idle: impl FnOnce(&T) -> bool) {
        if self.0.as_deref().is_some_and(idle) {
            self.0 = None;
        }
    }
}

impl<T: Empty> Deref for Lazy<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::empty(),
        }
    }
}

impl<T: Empty> DerefMut for Lazy<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Empty for Vec<u8> {
        fn empty() -> &'static Vec<u8> {
            static EMPTY: Vec<u8> = Vec::new();
            &EMPTY
        }
    }

    #[test]
    fn it_is_there_from_the_first_change_until_it_is_let_go() {
        let mut lazy = Lazy::<Vec<u8>>::default();
        assert!(lazy.is_empty() && lazy.0.is_none());
        lazy.push(1);
        lazy.drop_if(Vec::is_empty);
        assert!(lazy.0.is_some() && lazy[0] == 1);
        lazy.pop();
        lazy.drop_if(Vec::is_empty);
        assert!(lazy.is_empty() && lazy.0.is_none());
    }
}
