//! A variable that is set once and read often: what `std` calls `OnceLock`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

/// A place for a value that is not known before the kernel runs.
pub struct OnceCell<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

const EMPTY: u8 = 0;
const BEING_SET: u8 = 1;
const SET: u8 = 2;

// SAFETY: only the caller of `set` that finds it empty writes the value, and
// nobody reads it before that is done.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T: Copy> OnceCell<T> {
    /// A place that is still empty.
    pub const fn new() -> Self {
        OnceCell {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(None),
        }
    }

    /// Puts the value there; panics where one is already.
    pub fn set(&self, value: T) {
        let taken =
            self.state
                .compare_exchange(EMPTY, BEING_SET, Ordering::Relaxed, Ordering::Relaxed);
        assert!(taken.is_ok(), "set twice");
        // SAFETY: the state was empty and is no more: nobody else is here,
        // and nobody reads yet.
        unsafe { *self.value.get() = Some(value) }
        self.state.store(SET, Ordering::Release);
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: it is set, so nobody writes to it any more.
        unsafe { *self.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::OnceCell;

    #[test_case]
    fn is_empty_until_it_is_set() {
        let once = OnceCell::new();
        assert_eq!(once.get(), None);
        once.set(7);
        assert_eq!(once.get(), Some(7));
    }
}
