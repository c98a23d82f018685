//! Which process of how many this one is, from the variables of torchrun, Kubeflow or Slurm.

use anyhow::Result;
use cli::coded;
use cli::exit::USAGE;

/// The most processes of one run.
const MOST: usize = 1024;

/// What the launcher says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// This process's number, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub size: usize,
    /// Its number among those of this machine: which of the machine's devices is its own.
    pub local_rank: usize,
    /// Where rank 0 listens; only with several processes.
    pub master: Option<(String, u16)>,
}

impl Launch {
    /// One process alone.
    pub fn alone() -> Launch {
        Launch { rank: 0, size: 1, local_rank: 0, master: None }
    }

    /// Reads the environment; without any of its variables, one process alone.
    pub fn from_env() -> Result<Launch> {
        Launch::from(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn from(read: impl Fn(&str) -> Option<String>) -> Result<Launch> {
        let number = |name: &str| read(name).map(|text| parse(name, &text)).transpose();
        // Slurm sets its variables for every job; only MASTER_ADDR shows that the processes are to work together.
        let slurm = read("RANK").is_none() && read("WORLD_SIZE").is_none() && read("MASTER_ADDR").is_some();
        let [rank_name, size_name, local_name] = match slurm {
            true => ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"],
            false => ["RANK", "WORLD_SIZE", "LOCAL_RANK"],
        };
        let local_rank = number(local_name)?.unwrap_or(0);
        let (rank, size) = match (number(rank_name)?, number(size_name)?) {
            (None, None) => return Ok(Launch::alone()),
            (Some(rank), Some(size)) => (rank, size),
            (None, Some(1)) => (0, 1),
            (Some(_), None) => {
                return Err(bad(size_name, format!("is not set, but {rank_name} is; set both or neither")));
            }
            (None, Some(_)) => {
                return Err(bad(rank_name, format!("is not set, but {size_name} is; set both or neither")));
            }
        };
        if !(1..=MOST).contains(&size) {
            return Err(bad(size_name, format!("is {size}; expected 1 to {MOST} processes")));
        }
        if rank >= size {
            return Err(bad(rank_name, format!("is {rank}, but {size_name} is {size}: expected 0 to {}", size - 1)));
        }
        if size == 1 {
            return Ok(Launch { local_rank, ..Launch::alone() });
        }
        let missing = |name| bad(name, format!("is not set; {size_name} is {size}, so rank 0's must be known"));
        let address =
            read("MASTER_ADDR").filter(|address| !address.is_empty()).ok_or_else(|| missing("MASTER_ADDR"))?;
        let port = read("MASTER_PORT").ok_or_else(|| missing("MASTER_PORT"))?;
        // With an agent store torchrun itself listens on MASTER_PORT, so that rank 0 takes the next port.
        let taken = read("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True");
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).and_then(|port| port.checked_add(taken.into()));
        let port = port.ok_or_else(|| bad("MASTER_PORT", "is not a port; expected a number from 1 to 65534".into()))?;
        Ok(Launch { rank, size, local_rank, master: Some((address, port)) })
    }
}

fn parse(name: &str, text: &str) -> Result<usize> {
    text.parse().map_err(|_| bad(name, format!("is `{text}`; expected a number from 0 up")))
}

fn bad(name: &str, what: String) -> anyhow::Error {
    coded(USAGE, format!("the environment variable {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Launch> {
        Launch::from(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn torchrun_and_slurm_are_understood() {
        let wanted = Launch { rank: 1, size: 4, local_rank: 1, master: Some(("host".into(), 29500)) };
        let address = [("MASTER_ADDR", "host"), ("MASTER_PORT", "29500")];
        let torchrun = [("RANK", "1"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1"), ("SLURM_PROCID", "3")];
        assert_eq!(from(&[&torchrun[..], &address].concat()).unwrap(), wanted);
        let slurm = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "1")];
        assert_eq!(from(&[&slurm[..], &address].concat()).unwrap(), wanted);
        let agent = [&torchrun[..], &address, &[("TORCHELASTIC_USE_AGENT_STORE", "True")]].concat();
        assert_eq!(from(&agent).unwrap().master, Some(("host".into(), 29501)));
    }

    #[test]
    fn one_process_is_alone() {
        assert_eq!(from(&[]).unwrap(), Launch::alone());
        assert_eq!(from(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), Launch::alone());
        assert_eq!(from(&[("WORLD_SIZE", "1")]).unwrap(), Launch::alone());
        // a batch job of Slurm's whose program was started once
        assert_eq!(from(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]).unwrap(), Launch::alone());
        assert_eq!(from(&[("LOCAL_RANK", "0"), ("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), Launch::alone());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_name() {
        let whole = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "host"), ("MASTER_PORT", "1")];
        from(&whole).unwrap();
        for (name, value) in [
            ("RANK", "2"),
            ("RANK", "-1"),
            ("RANK", ""),
            ("WORLD_SIZE", "two"),
            ("WORLD_SIZE", "0"),
            ("WORLD_SIZE", "100000"),
            ("LOCAL_RANK", "x"),
            ("MASTER_ADDR", ""),
            ("MASTER_PORT", "http"),
            ("MASTER_PORT", "0"),
            ("MASTER_PORT", "65536"),
        ] {
            let mut variables = whole.to_vec();
            variables.insert(0, (name, value));
            let error = from(&variables).unwrap_err();
            assert_eq!(cli::exit::code_in(error.root_cause()), Some(USAGE), "{name}={value}");
            assert!(error.to_string().contains(name), "{name}={value}: {error}");
        }
        for name in ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] {
            let without: Vec<_> = whole.into_iter().filter(|(n, _)| *n != name).collect();
            let said = from(&without).unwrap_err().to_string();
            assert!(said.contains(&format!("variable {name} is not set")), "{name}: {said}");
        }
    }
}
