//! When an authority is asked. Pure: times in, times out, in milliseconds.

use tls::Facts;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// After the first failure. Doubling from here makes four attempts in the first hour: Let's Encrypt lets five validations
/// of a name fail in an hour (<https://letsencrypt.org/docs/rate-limits/>).
pub(crate) const FIRST_PAUSE: u64 = 5 * MINUTE;

/// The longest pause while a certificate is in force: there are weeks left to mend what is wrong.
const LONGEST_PAUSE: u64 = 12 * HOUR;

/// The longest pause while there is none, and nobody can connect.
const LONGEST_PAUSE_WITHOUT: u64 = HOUR;

/// Between two attempts that somebody asks for.
pub(crate) const LEAST_PAUSE: u64 = MINUTE;

/// The longest pause that an authority may ask for; Let's Encrypt's longest limit is a week.
const MOST_THEIR_PAUSE: u64 = 8 * 24 * HOUR;

/// When a certificate is renewed: at two thirds of its lifetime, and up to a fiftieth of it earlier, so that not
/// everybody's is renewed in one minute. `chance` is a random number.
pub(crate) fn renewal(facts: &Facts, chance: u64) -> u64 {
    let lifetime = facts.not_after_ms.saturating_sub(facts.not_before_ms);
    let earlier = chance % (lifetime / 50 + 1);
    facts.not_before_ms + (lifetime / 3 * 2).saturating_sub(earlier)
}

/// How long to wait after `failures` in a row: twice as long each time, and up to a tenth longer. A certificate of
/// `lifetime` that is still in force leaves time for several attempts.
pub(crate) fn pause(failures: u32, lifetime: Option<u64>, chance: u64) -> u64 {
    let longest = lifetime.map_or(LONGEST_PAUSE_WITHOUT, |lifetime| {
        (lifetime / 16).clamp(FIRST_PAUSE, LONGEST_PAUSE)
    });
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause = doubled.min(longest);
    pause + chance % (pause / 10 + 1)
}

/// What an authority asks for, as far as it may.
pub(crate) fn theirs(pause: u64) -> u64 {
    pause.min(MOST_THEIR_PAUSE)
}

#[cfg(test)]
mod tests {
    use tls::Facts;

    use super::{
        FIRST_PAUSE, HOUR, LONGEST_PAUSE, MINUTE, MOST_THEIR_PAUSE, pause, renewal, theirs,
    };

    const DAY: u64 = 24 * HOUR;

    fn facts(from: u64, until: u64) -> Facts {
        Facts {
            names: Vec::new(),
            issuer: String::new(),
            is_self_signed: false,
            not_before_ms: from,
            not_after_ms: until,
        }
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_lifetime() {
        let ninety = facts(1_000 * DAY, 1_090 * DAY);
        assert_eq!(renewal(&ninety, 0), 1_060 * DAY);
        for chance in [1, 7 * DAY, u64::MAX, u64::MAX / 3] {
            let at = renewal(&ninety, chance);
            assert!((1_058 * DAY..=1_060 * DAY).contains(&at), "{at}");
        }
        let six = facts(0, 6 * DAY);
        assert_eq!(renewal(&six, 0), 4 * DAY);
        // What makes no sense is due, not a panic.
        assert_eq!(renewal(&facts(DAY, 0), 9), DAY);
        assert_eq!(renewal(&facts(0, 0), 9), 0);
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let three_months = Some(90 * DAY);
        let first: Vec<u64> = (1..=5).map(|it| pause(it, three_months, 0)).collect();
        assert_eq!(first, [5, 10, 20, 40, 80].map(|minutes| minutes * MINUTE));
        assert_eq!(pause(9, three_months, 0), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX, three_months, 0), LONGEST_PAUSE);
        // Nobody can connect: each hour. A day's certificate: often enough.
        assert_eq!(pause(50, None, 0), HOUR);
        assert_eq!(pause(50, Some(DAY), 0), 90 * MINUTE);
        assert_eq!(pause(50, Some(1_000), 0), FIRST_PAUSE);
        for chance in [1, 12_345_678, u64::MAX] {
            let pause = pause(1, None, chance);
            assert!((FIRST_PAUSE..=FIRST_PAUSE / 10 * 11).contains(&pause));
        }
        assert_eq!(theirs(DAY), DAY);
        assert_eq!(theirs(u64::MAX), MOST_THEIR_PAUSE);
    }
}
