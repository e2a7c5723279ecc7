//! A closed network of one queue: so many threads, each of which thinks for a time, then needs the
//! lock for a time.
//!
//! Mean value analysis is exact for it where both times are exponential: who comes to the lock
//! finds the queue that one thread fewer would have on average. With times that vary less there is
//! less waiting.

/// Nanoseconds.
#[derive(Clone, Copy)]
pub struct Times {
    /// Between two visits to the lock, without them.
    pub think: f64,
    /// Of a visit.
    pub hold: f64,
}

impl Times {
    /// Visits of all threads in a nanosecond.
    fn throughput(self, threads: u32) -> f64 {
        let (mut queue, mut throughput) = (0.0, 0.0);
        for threads in 1..=threads {
            let visit = self.hold * (1.0 + queue);
            throughput = f64::from(threads) / (self.think + visit);
            queue = throughput * visit;
        }
        throughput
    }

    /// What so many threads do, as a multiple of what one does.
    pub fn speed_up(self, threads: u32) -> f64 {
        self.throughput(threads) / self.throughput(1)
    }

    /// The threads beyond which the lock is what limits them: as many as would keep it busy if none
    /// had to wait. It is the most that any number of threads does, as a multiple of one.
    pub fn saturation(self) -> f64 {
        (self.think + self.hold) / self.hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_are_as_the_balance_of_their_states_says() {
        // Both think, one is at the lock, both are: in proportion 1, 2 r, 2 r * r with r = hold /
        // think, as two threads come at twice the rate of one. The lock is busy in the last two.
        let times = Times { think: 300.0, hold: 100.0 };
        let ratio = times.hold / times.think;
        let states = [1.0, 2.0 * ratio, 2.0 * ratio * ratio];
        let busy = (states[1] + states[2]) / states.iter().sum::<f64>();
        assert!((times.throughput(2) - busy / times.hold).abs() < 1e-12);
    }

    #[test]
    fn many_threads_do_as_much_as_the_lock_lets_through() {
        let times = Times { think: 900.0, hold: 100.0 };
        assert_eq!(times.saturation(), 10.0);
        assert_eq!(times.speed_up(1), 1.0);
        assert!((times.speed_up(128) - 10.0).abs() < 1e-3);
        assert!(times.speed_up(4) > 3.5 && times.speed_up(4) < 4.0);
        let speed_ups: Vec<_> = (1..=64).map(|threads| times.speed_up(threads)).collect();
        assert!(speed_ups.is_sorted());
    }
}
