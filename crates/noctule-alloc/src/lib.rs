//! The system's allocator, with a cache of small blocks for threads that ask for one.
//!
//! A turn of a shard makes the messages it has received, and drops them all once they are stored.
//! What the allocator of glibc keeps at hand for a thread (seven blocks a size) does not reach for
//! that, and merging and splitting the rest costs more than storing. Here a thread keeps what it
//! frees, as far as a bound, and takes it back.
//!
//! Memory is the system's: a block has the size that the system would have given anyway, so a
//! process without such threads behaves, and weighs, as one without this crate.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: noctule_alloc::Allocator = noctule_alloc::Allocator;
//!
//! let served = std::thread::spawn(|| {
//!     let _cache = noctule_alloc::cache_here();
//!     (0..1000).map(|number| number.to_string()).collect::<Vec<_>>().len()
//! });
//! assert_eq!(served.join().unwrap(), 1000);
//! ```
#![allow(unsafe_code, reason = "it is an allocator: memory without an owner is its business")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

/// Sizes that are kept: 24, 40, 56 and so on, as the system's chunks on 64 bits hold them.
const CLASSES: usize = 65;
/// Bytes of the largest of them.
const LARGEST: usize = size_of_class(CLASSES - 1);
/// Bytes that a thread keeps.
const KEPT_MAX: usize = 128 * 1024;
/// Every block is aligned to that at least.
const ALIGN: usize = align_of::<usize>();

/// The allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

/// Until this is dropped, its thread keeps small blocks that it frees.
#[derive(Debug)]
pub struct CacheHere(PhantomData<*const ()>);

/// Lets this thread keep small blocks that it frees: for one that makes and drops many, all day
/// long. It needs [`Allocator`] as the global one; without, it does nothing.
#[must_use]
pub fn cache_here() -> CacheHere {
    CACHE.with(|cache| cache.on.set(true));
    CacheHere(PhantomData)
}

/// Gives the blocks that this thread keeps back to the system's allocator: it fills anew.
pub fn let_go() {
    CACHE.with(Cache::empty);
}

impl Drop for CacheHere {
    fn drop(&mut self) {
        CACHE.with(|cache| {
            cache.on.set(false);
            cache.empty();
        });
    }
}

thread_local! {
    /// Made without an allocation and dropped without a destructor: it may be used at any time.
    static CACHE: Cache = const {
        Cache {
            on: Cell::new(false),
            kept: Cell::new(0),
            free: [const { Cell::new(ptr::null_mut()) }; CLASSES],
        }
    };
}

/// A free block, in which its list goes on.
struct Free {
    next: *mut Free,
}

/// Free blocks of a thread, a list for each size.
struct Cache {
    on: Cell<bool>,
    /// Bytes in all lists.
    kept: Cell<usize>,
    free: [Cell<*mut Free>; CLASSES],
}

impl Cache {
    #[inline]
    fn take(&self, class: usize) -> *mut u8 {
        let first = self.free[class].get();
        if !first.is_null() {
            // SAFETY: what is in a list is a free block that `put` wrote a `Free` to.
            self.free[class].set(unsafe { (*first).next });
            self.kept.set(self.kept.get() - size_of_class(class));
        }
        first.cast()
    }

    /// Keeps a block, or says that there is no room.
    ///
    /// # Safety
    /// The block is of that class, and nobody uses it.
    #[inline]
    unsafe fn put(&self, class: usize, block: *mut u8) -> bool {
        let kept = self.kept.get() + size_of_class(class);
        if !self.on.get() || kept > KEPT_MAX {
            return false;
        }
        let first: *mut Free = block.cast();
        // SAFETY: a block has room for a `Free`, is aligned for it, and is nobody's.
        unsafe { first.write(Free { next: self.free[class].get() }) };
        self.free[class].set(first);
        self.kept.set(kept);
        true
    }

    fn empty(&self) {
        for class in 0..CLASSES {
            loop {
                let block = self.take(class);
                if block.is_null() {
                    break;
                }
                // SAFETY: it came from the system with this layout, and nobody uses it.
                unsafe { System.dealloc(block, layout_of_class(class)) };
            }
        }
    }
}

/// Bytes of a block of a class.
const fn size_of_class(class: usize) -> usize {
    16 * class + 8
}

const fn layout_of_class(class: usize) -> Layout {
    match Layout::from_size_align(size_of_class(class), ALIGN) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

/// The class that holds so much; `None`: it is the system's alone.
#[inline]
fn class_of(layout: Layout) -> Option<usize> {
    let small = layout.size() <= LARGEST && layout.align() <= ALIGN;
    small.then_some((layout.size() + 7) / 16).map(|class| class.max(1))
}

// SAFETY: blocks are the system's. One of a class is asked for and given back with the layout of
// that class, which is as large and as aligned as what was asked for; which one it is follows from
// the layout, so that giving back finds the same. A kept block is in one list, or with one user.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: as the caller's.
            return unsafe { System.alloc(layout) };
        };
        let kept = CACHE.with(|cache| cache.take(class));
        if !kept.is_null() {
            return kept;
        }
        // SAFETY: a class has a size.
        unsafe { System.alloc(layout_of_class(class)) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            // SAFETY: as the caller's: such a block came from the system with this layout.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: `alloc` gave it as one of this class, and the caller uses it no more.
        if CACHE.with(|cache| unsafe { cache.put(class, block) }) {
            return;
        }
        // SAFETY: it came from the system with this layout.
        unsafe { System.dealloc(block, layout_of_class(class)) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class_of(layout).is_none() {
            // SAFETY: as the caller's.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: as the caller's.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: it has so many bytes.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that it does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(new)) {
            (Some(old), Some(new)) if old == new => block,
            // SAFETY: it came from the system with this layout.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            _ => {
                // SAFETY: as the caller's.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    let both = layout.size().min(size);
                    // SAFETY: both have so many bytes, and they are two blocks.
                    unsafe { ptr::copy_nonoverlapping(block, moved, both) };
                    // SAFETY: the caller uses it no more.
                    unsafe { self.dealloc(block, layout) };
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests;
