//! The network between the parties: as fast as this machine's, or slowed down to a given one for measuring.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use net::LinkShape;

/// How the link between the parties is slowed down, if it is: `none`, `lan`, `wan`, or latency and bandwidth such as
/// `10ms,1000mbit`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkSpeed(Option<Slow>);

/// A latency one way in milliseconds, and a bandwidth in each direction in million bits a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slow {
    latency: f64,
    bandwidth: f64,
}

/// Two machines of one data centre.
const LAN: Slow = Slow { latency: 0.25, bandwidth: 10_000.0 };
/// Two data centres some thousand kilometres apart.
const WAN: Slow = Slow { latency: 20.0, bandwidth: 400.0 };
/// Longest latency in milliseconds.
const MOST_LATENCY: f64 = 10_000.0;
/// Smallest and largest bandwidth in million bits a second.
const BANDWIDTHS: std::ops::RangeInclusive<f64> = 0.001..=1e6;

impl LinkSpeed {
    /// What a link is slowed down to.
    pub fn shape(self) -> Option<LinkShape> {
        self.0.map(|Slow { latency, bandwidth }| LinkShape {
            latency: Duration::from_secs_f64(latency / 1e3),
            bandwidth: bandwidth * 1e6 / 8.0,
        })
    }

    /// In words, for a reader who was not there.
    pub fn describe(self) -> String {
        match self.0 {
            None => "the parties' link is this machine's loopback".into(),
            Some(Slow { latency, bandwidth }) => format!(
                "the link between the parties is slowed down to {latency} ms one way and {bandwidth} Mbit/s in each \
                 direction; links to the dealer and the client are not"
            ),
        }
    }
}

impl fmt::Display for LinkSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(LAN) => f.write_str("lan"),
            Some(WAN) => f.write_str("wan"),
            Some(Slow { latency, bandwidth }) => write!(f, "{latency}ms,{bandwidth}mbit"),
        }
    }
}

impl FromStr for LinkSpeed {
    type Err = String;

    fn from_str(text: &str) -> Result<LinkSpeed, String> {
        let slow = match text {
            "none" => return Ok(LinkSpeed(None)),
            "lan" => LAN,
            "wan" => WAN,
            custom => custom_of(custom).ok_or(
                "expected none, lan, wan, or a link such as 10ms,1000mbit (ms or s; kbit, mbit or gbit a second)",
            )?,
        };
        if !(0.0..=MOST_LATENCY).contains(&slow.latency) || !BANDWIDTHS.contains(&slow.bandwidth) {
            let (least, most) = (BANDWIDTHS.start(), BANDWIDTHS.end());
            return Err(format!("a link has 0 to {MOST_LATENCY} ms and {least} to {most} mbit"));
        }
        Ok(LinkSpeed(Some(slow)))
    }
}

fn custom_of(text: &str) -> Option<Slow> {
    let (latency, bandwidth) = text.split_once(',')?;
    let latency = in_units(latency, &[("ms", 1.0), ("s", 1e3)])?;
    let bandwidth = in_units(bandwidth, &[("kbit", 1e-3), ("mbit", 1.0), ("gbit", 1e3)])?;
    Some(Slow { latency, bandwidth })
}

/// A number with one of these units after it, times what the unit is worth.
fn in_units(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let of = |(unit, worth): &(&str, f64)| Some(text.trim().strip_suffix(unit)?.trim().parse::<f64>().ok()? * worth);
    units.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_they_are_written() {
        for text in ["none", "lan", "wan", "10ms,1000mbit", "0.5ms,2.5mbit"] {
            assert_eq!(text.parse::<LinkSpeed>().unwrap().to_string(), text);
        }
        assert_eq!("20ms,400mbit".parse::<LinkSpeed>(), "wan".parse());
        assert_eq!("0.02s, 0.4 gbit".parse::<LinkSpeed>(), "wan".parse());
        let shape = "10ms,1000mbit".parse::<LinkSpeed>().unwrap().shape().unwrap();
        assert_eq!(shape, LinkShape { latency: Duration::from_millis(10), bandwidth: 1.25e8 });
        assert_eq!(LinkSpeed::default().shape(), None);
    }

    #[test]
    fn links_that_are_none_are_refused() {
        for text in ["", "dsl", "10ms", "10,1000", "10ms,", "-1ms,1mbit", "1ms,0mbit", "nanms,1mbit", "1ms,infmbit"] {
            assert!(text.parse::<LinkSpeed>().is_err(), "{text}");
        }
    }
}
