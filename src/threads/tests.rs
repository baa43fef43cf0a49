use std::hint::black_box;

use rayon::prelude::*;

use super::*;

/// Whether this thread takes subnormal results and operands for zeros, by what it computes.
fn flushes() -> bool {
    let half = |x: f32| black_box(x) * black_box(0.5);
    let doubled = |x: f32| black_box(x) * black_box(2.0);
    let (result, operand) = (half(f32::MIN_POSITIVE), doubled(f32::MIN_POSITIVE.next_down()));
    // Bits, because a comparison flushes as well.
    let zeros = [result, operand].map(|x| x.to_bits() == 0);
    assert_eq!(zeros[0], zeros[1], "results and operands are not treated the same");
    zeros[0]
}

/// What `f` says on every thread of the current pool.
fn on_each(f: impl Fn() -> bool + Sync) -> Vec<bool> {
    rayon::broadcast(|_| f())
}

const CAN_FLUSH: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

#[test]
fn the_threads_of_a_pool_flush_and_what_is_installed_there_only_where_it_asks_to() {
    let pool = Pool::new(3, "test").unwrap();
    pool.install(|| {
        assert!(!flushes());
        {
            let _flushing = flush();
            assert_eq!(on_each(flushes), [CAN_FLUSH; 3]);
            {
                let _again = flush();
            }
            assert_eq!(flushes(), CAN_FLUSH);
        }
        assert!(!flushes());
    });
    assert!(!flushes());
}

#[test]
fn a_thread_outside_of_a_pool_never_flushes() {
    let _flushing = flush();
    assert!(!flushes());
    let of_others = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    of_others.install(|| {
        let _flushing = flush();
        assert_eq!(on_each(flushes), [false; 2]);
    });
}

#[test]
fn a_thread_that_is_started_in_a_pool_does_not_inherit_the_mode() {
    let pool = Pool::new(1, "test").unwrap();
    pool.install(|| {
        drop(flush());
        assert!(!std::thread::spawn(flushes).join().unwrap());
    });
}

#[test]
fn a_panic_leaves_the_mode_as_it_was() {
    let pool = Pool::new(2, "test").unwrap();
    pool.install(|| {
        let panic = std::panic::catch_unwind(|| {
            let _flushing = flush();
            panic!("on purpose");
        });
        assert!(panic.is_err());
        assert!(!flushes());
    });
    let panic =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(|| panic!("on purpose"))));
    assert!(panic.is_err());
    pool.install(|| {
        let _flushing = flush();
        assert_eq!(on_each(flushes), [CAN_FLUSH; 2]);
    });
}

#[test]
fn work_that_another_thread_of_the_pool_takes_over_is_computed_in_the_same_mode() {
    let pool = Pool::new(4, "test").unwrap();
    // Two at once, so that what one waits for may be done by the thread that the other was installed on.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                pool.install(|| {
                    for _ in 0..200 {
                        let _flushing = flush();
                        assert!((0..64).into_par_iter().all(|_| flushes() == CAN_FLUSH));
                    }
                    assert!(!flushes());
                });
            });
        }
    });
}
