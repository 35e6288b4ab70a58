//! A strict reader of the text format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/): whatever
//! Prometheus might stumble over is an error here.
//!
//! The black-box tests, which know no crate of the server, take this file into their harness as it is.

use std::collections::{BTreeMap, HashSet};

/// What a scrape has told.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// By name, without the suffixes of samples.
    pub families: BTreeMap<String, Family>,
}

/// A metric with its samples.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// In the order in which they are written.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With its suffix.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Scrape {
    /// Reads a whole scrape.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(body) = text.strip_suffix("# EOF\n") else {
            return Err("the last line is not # EOF".to_owned());
        };
        let mut scrape = Self::default();
        let mut current = String::new();
        for line in body.lines() {
            scrape
                .line(line, &mut current)
                .map_err(|reason| format!("{reason}: {line}"))?;
        }
        for (name, family) in &scrape.families {
            family
                .check(name)
                .map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(scrape)
    }

    fn line(&mut self, line: &str, current: &mut String) -> Result<(), String> {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next())
            else {
                return Err("a comment that is none of the format's".to_owned());
            };
            if name != current {
                if self.families.contains_key(name) {
                    return Err("the metric is there already".to_owned());
                }
                self.families.insert(name.to_owned(), Family::default());
                name.clone_into(current);
            }
            let family = self.families.get_mut(name).ok_or("no metric")?;
            if !family.samples.is_empty() {
                return Err("a description after its samples".to_owned());
            }
            let place = match what {
                "TYPE" => &mut family.kind,
                "HELP" => &mut family.help,
                _ => return Err("a comment that is none of the format's".to_owned()),
            };
            if !place.is_empty() || rest.is_empty() {
                return Err("described twice, or by nothing".to_owned());
            }
            rest.clone_into(place);
            return Ok(());
        }
        let sample = sample(line)?;
        let family = self
            .families
            .get_mut(current)
            .ok_or("a sample of no metric")?;
        let suffix = sample
            .name
            .strip_prefix(current.as_str())
            .ok_or("a sample of another metric")?;
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => return Err("an unknown type".to_owned()),
        };
        if !allowed.contains(&suffix) {
            return Err("a name that does not go with the type".to_owned());
        }
        family.samples.push(sample);
        Ok(())
    }

    /// The one sample with this name and these labels, whatever other labels it has.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels);
        let first = found.next()?;
        assert!(found.next().is_none(), "{name} {labels:?} is more than one");
        Some(first.value)
    }

    /// The sum of all samples with this name and these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter(move |sample| {
            let has = |(label, value): &(&str, &str)| {
                sample
                    .labels
                    .get(*label)
                    .is_some_and(|there| there == value)
            };
            sample.name == name && labels.iter().all(has)
        })
    }
}

impl Family {
    fn check(&self, name: &str) -> Result<(), String> {
        if self.kind.is_empty() || self.help.is_empty() {
            return Err("it has no type or no help".to_owned());
        }
        let mut seen = HashSet::new();
        for sample in &self.samples {
            if !seen.insert(format!("{} {:?}", sample.name, sample.labels)) {
                return Err(format!("twice: {sample:?}"));
            }
            let may_fall = self.kind == "gauge";
            if sample.value.is_nan() || (!may_fall && sample.value < 0.0) {
                return Err(format!("cannot be: {sample:?}"));
            }
        }
        if self.kind == "histogram" {
            self.check_histogram(name)?;
        }
        Ok(())
    }

    /// Buckets ascend, hold at least what those before them hold, and the infinite one holds all.
    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let mut series: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            let series = series.entry(labels).or_default();
            match (sample.name.strip_prefix(name), bound) {
                (Some("_sum"), None) => series.sum = Some(sample.value),
                (Some("_count"), None) => series.count = Some(sample.value),
                (Some("_bucket"), Some(bound)) => {
                    let bound = match bound.as_str() {
                        "+Inf" => f64::INFINITY,
                        bound => bound.parse().map_err(|_| format!("le={bound}"))?,
                    };
                    series.buckets.push((bound, sample.value));
                }
                _ => return Err(format!("no part of a histogram: {sample:?}")),
            }
        }
        for (labels, series) in series {
            let ascends = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            let last = series.buckets.last().copied();
            let whole = last.is_some_and(|(bound, held)| {
                bound.is_infinite() && Some(held) == series.count && series.sum.is_some()
            });
            if !whole || !series.buckets.windows(2).all(ascends) {
                return Err(format!("not a histogram: {labels:?} {series:?}"));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Series {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// `name{label="value",…} 1.5`
fn sample(line: &str) -> Result<Sample, String> {
    let name_ends = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(name_ends);
    let is_name = |name: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && name.bytes().all(good) && !name.as_bytes()[0].is_ascii_digit()
    };
    if !is_name(name) {
        return Err("a bad name".to_owned());
    }
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.insert(label.to_owned(), value).is_some() {
                return Err("a bad label, or twice the same".to_owned());
            }
            if let Some(after) = after.strip_prefix(',') {
                rest = after;
            } else {
                rest = after.strip_prefix('}').ok_or("labels without an end")?;
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().map_err(|_| "a value that is no number")?,
    })
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[place + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("a bad escape".to_owned()),
            },
            character => value.push(character),
        }
    }
    Err("a value without an end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Scrape;

    const GOOD: &str = "# HELP a A.\n# TYPE a counter\na_total{x=\"1\",y=\"q\\\"\\\\\\n\"} 3\n\
        # HELP h H.\n# TYPE h histogram\nh_sum 1.5\nh_count 2\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn what_is_good_is_read() {
        let scrape = Scrape::parse(GOOD).unwrap();
        assert_eq!(scrape.value("a_total", &[("x", "1")]), Some(3.0));
        assert_eq!(scrape.families["a"].samples[0].labels["y"], "q\"\\\n");
        assert_eq!(scrape.value("h_count", &[]), Some(2.0));
        assert_eq!(scrape.value("a_total", &[("x", "2")]), None);
    }

    #[test]
    fn what_is_wrong_is_found() {
        for (good, bad) in [
            ("# EOF\n", ""),
            ("a_total{", "a{"),
            ("\"} 3\n", "\"} three\n"),
            ("\"} 3\n", "\"} -3\n"),
            ("le=\"+Inf\"} 2", "le=\"+Inf\"} 3"),
            ("le=\"0.5\"} 1", "le=\"0.5\"} 4"),
            ("le=\"0.5\"", "le=\"half\""),
            ("x=\"1\",y", "x=\"1\",x"),
            ("# HELP h H.\n", ""),
            ("# TYPE h histogram", "# TYPE h summary"),
            ("h_sum 1.5\n", ""),
            ("h_count 2\n", "h_count 2\nh_count 2\n"),
            ("# HELP h H.", "# HELP a H."),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert!(Scrape::parse(&text).is_err(), "{good} -> {bad}");
        }
    }
}
