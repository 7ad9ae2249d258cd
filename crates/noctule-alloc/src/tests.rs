//! With the allocator in place, as the binary has it.

use super::*;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn kept() -> usize {
    CACHE.with(|cache| cache.kept.get())
}

/// Runs it on a thread that keeps what it frees.
fn cached<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let served = std::thread::spawn(|| {
        let _cache = cache_here();
        run()
    });
    served.join().expect("it runs to its end")
}

#[test]
fn a_class_holds_what_belongs_to_it_and_no_smaller_one_would() {
    for size in 0..=LARGEST {
        let layout = Layout::from_size_align(size, 8).unwrap();
        let class = class_of(layout).unwrap();
        assert!(size_of_class(class) >= size, "{size}");
        assert!(class == 1 || size_of_class(class - 1) < size, "{size}");
    }
    assert_eq!(class_of(Layout::from_size_align(LARGEST + 1, 8).unwrap()), None);
    assert_eq!(class_of(Layout::from_size_align(64, 64).unwrap()), None);
}

#[test]
fn a_thread_that_asks_gets_its_blocks_back_and_one_that_does_not_keeps_nothing() {
    cached(|| {
        let before = kept();
        let first: Box<[u8; 200]> = Box::new([1; 200]);
        let at = &raw const *first;
        drop(first);
        assert_eq!(kept(), before + size_of_class(12));
        let second: Box<[u8; 199]> = Box::new([2; 199]);
        assert_eq!(at.cast::<u8>(), (&raw const *second).cast::<u8>());
        assert_eq!(kept(), before);
    });
    drop(std::hint::black_box(Box::new([1_u8; 200])));
    assert_eq!(kept(), 0);
}

#[test]
fn what_is_kept_is_bounded_and_given_back_at_the_end() {
    let left = std::thread::spawn(|| {
        let cache = cache_here();
        let many: Vec<Box<[u8; 1000]>> = (0..1000).map(|_| Box::new([7; 1000])).collect();
        drop(many);
        let most = kept();
        assert!(most <= KEPT_MAX && most > KEPT_MAX / 2, "{most}");
        drop(cache);
        kept()
    });
    assert_eq!(left.join().unwrap(), 0);
}

/// Blocks of all sizes, made here and there, grown, shrunk and dropped elsewhere: none of them
/// loses a byte or shares one.
#[test]
fn no_two_users_have_the_same_block() {
    let (give, take) = std::sync::mpsc::sync_channel::<Vec<u8>>(64);
    let maker = std::thread::spawn(move || {
        let _cache = cache_here();
        let mut held: Vec<Vec<u8>> = Vec::new();
        let mut chance = 1_u64;
        for number in 0..200_000_u32 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = (chance >> 33) as usize % 1200;
            let mark = number as u8;
            let mut made = vec![0; size / 2];
            assert!(made.iter().all(|byte| *byte == 0), "zeroed is zeroed");
            made.resize(size, mark);
            made[..size / 2].fill(mark);
            match chance >> 61 {
                0 => give.send(made).unwrap(),
                1 if !held.is_empty() => {
                    let at = (chance >> 13) as usize % held.len();
                    let mut old = held.swap_remove(at);
                    old.truncate(old.len() / 3);
                    old.shrink_to_fit();
                    assert!(old.windows(2).all(|pair| pair[0] == pair[1]));
                    held.push(old);
                }
                2 if !held.is_empty() => {
                    let gone = held.swap_remove((chance >> 13) as usize % held.len());
                    assert!(gone.windows(2).all(|pair| pair[0] == pair[1]));
                }
                _ if held.len() < 500 => held.push(made),
                _ => {}
            }
        }
    });
    cached(move || {
        for taken in take {
            assert!(taken.windows(2).all(|pair| pair[0] == pair[1]));
            drop(taken);
        }
    });
    maker.join().unwrap();
}
