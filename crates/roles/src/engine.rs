//! Which engine evaluates the network, and what follows from it: plans, their costs and digests, for either engine.

use std::sync::Arc;

use anyhow::Result;
use cli::coded;
use cli::exit::BAD_INPUT;
use model::{Cost, Functions, InputKind, Operation, Spec, SpecError, Texts, Weight};
use mpc::beaver::{self, Options, Sines, Truncation};
use serde_json::{Value, json};

/// How the network is evaluated. Public, and the same at all roles: it is part of the plan's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Masked wires: this repository's own.
    #[default]
    Masked,
    /// Additive shares and Beaver's correlations, as SecFormer was published.
    Beaver(Options),
}

impl Engine {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Masked => "masked",
            Engine::Beaver(_) => "beaver",
        }
    }

    /// What it computes in place of softmax, GeLU and roots.
    pub fn functions(self) -> Functions {
        match self {
            Engine::Masked => Functions::Series,
            Engine::Beaver(options) => options.functions,
        }
    }

    /// What a report says of it.
    pub fn describe(self) -> Value {
        let mut said = json!({ "engine": self.name(), "functions": self.functions().name() });
        if let Engine::Beaver(options) = self {
            said["truncation"] = json!(truncation_name(options.truncation));
            if options.functions == Functions::SecFormer {
                said["sines"] = json!(sines_name(options.sines));
            }
        }
        said
    }

    /// Fractional bits of the parties' shares of the logits.
    pub fn logits_frac(self, spec: &Spec) -> i32 {
        match self {
            Engine::Beaver(options) if options.functions != Functions::Series => {
                spec.bias_frac(Weight::Classifier).max(beaver::FRAC + spec.weight_frac(Weight::Classifier))
            }
            _ => spec.bias_frac(Weight::Classifier),
        }
    }

    /// Refuses functions that the student was not taught for, or warns of them where they are to run all the same.
    pub fn check_student(self, force: bool) -> Result<()> {
        let functions = self.functions();
        if functions.fit_two_quad() {
            return Ok(());
        }
        let (asked, student) = (functions.student(), Functions::SecFormer.student());
        let wrong = format!("--functions {functions} fits {asked}, and this model is {student}");
        match force {
            true => cli::log(&format!("warning: {wrong}: its answers mean nothing")),
            false => {
                let cure = "take --functions secformer, or say --force to run it all the same, for its cost";
                return Err(coded(BAD_INPUT, format!("{wrong}; {cure}")));
            }
        }
        Ok(())
    }

    /// Whether every answer comes with a certificate.
    pub fn certifies(self) -> bool {
        self == Engine::Masked
    }

    /// The protocol and what it assumes, in a line.
    pub fn protocol(self) -> &'static str {
        match self {
            Engine::Masked => {
                "masked wires: semi-honest, at most one of the two parties and the dealer corrupted, no collusion"
            }
            Engine::Beaver(Options { truncation: Truncation::Local, .. }) => {
                "additive shares and Beaver's correlations, as SecFormer was published: semi-honest, at most one of the two \
                 parties and the dealer corrupted, no collusion; local truncation, which spoils a value now and then"
            }
            Engine::Beaver(_) => {
                "additive shares and Beaver's correlations, after SecFormer: semi-honest, at most one of the two parties and \
                 the dealer corrupted, no collusion"
            }
        }
    }

    /// What a run tells everybody.
    pub fn public(self) -> Vec<&'static str> {
        let mut public = vec!["model shape", "scales and series", "tokens of each text"];
        // nothing restarts on shares
        if self == Engine::Masked {
            public.push("restarts");
        }
        public.push("timing");
        public
    }
}

/// As on the command line.
pub fn truncation_name(truncation: Truncation) -> &'static str {
    match truncation {
        Truncation::Local => "local",
        Truncation::Dealt => "dealt",
    }
}

/// As on the command line.
pub fn sines_name(sines: Sines) -> &'static str {
    match sines {
        Sines::Published => "published",
        Sines::Refitted => "refitted",
    }
}

/// What an engine will demand for one batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// Of masked wires.
    Masked(model::Plan),
    /// On additive shares.
    Beaver(beaver::Plan),
}

impl Planned {
    /// Plans a batch.
    pub fn new(engine: Engine, spec: &Arc<Spec>, texts: &Texts, kind: InputKind) -> Result<Planned, SpecError> {
        Ok(match engine {
            Engine::Masked => Planned::Masked(model::Plan::new(spec, texts, kind)?),
            Engine::Beaver(options) => Planned::Beaver(beaver::Plan::new(spec, texts, kind, options)?),
        })
    }

    /// Whose plan it is.
    pub fn engine(&self) -> Engine {
        match self {
            Planned::Masked(_) => Engine::Masked,
            Planned::Beaver(plan) => Engine::Beaver(plan.options),
        }
    }

    /// What the batch costs.
    pub fn cost(&self) -> Cost {
        match self {
            Planned::Masked(plan) => plan.cost(),
            Planned::Beaver(plan) => plan.cost(),
        }
    }

    /// What one operation costs.
    pub fn cost_of(&self, operation: Operation) -> Cost {
        match self {
            Planned::Masked(plan) => plan.cost_of(operation),
            Planned::Beaver(plan) => plan.cost_of(operation),
        }
    }

    /// Two roles that agree on it meet the same demands in the same order, of the same engine.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Planned::Masked(plan) => mpc::plan_digest(plan),
            Planned::Beaver(plan) => plan.digest(),
        }
    }

    /// Seconds online on a link of so many seconds one way and so many bytes a second in each direction, where all but the
    /// waiting takes `compute` seconds.
    pub fn seconds(&self, latency: f64, bandwidth: f64, compute: f64) -> f64 {
        match self {
            Planned::Masked(plan) => plan.seconds(latency, bandwidth, compute),
            Planned::Beaver(plan) => {
                let round =
                    |(_, demand): &(Operation, beaver::Demand)| demand.opened_bytes() as f64 / bandwidth + latency;
                compute + plan.demands.iter().map(round).sum::<f64>()
            }
        }
    }

    /// Bytes of the plan itself.
    pub fn bytes(&self) -> u64 {
        let bytes = match self {
            Planned::Masked(plan) => plan.demands.len() * size_of::<model::Demand>(),
            Planned::Beaver(plan) => plan.demands.len() * size_of::<(Operation, beaver::Demand)>(),
        };
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use cli::exit::code_in;

    use super::*;

    #[test]
    fn only_functions_that_were_taught_pass_without_force() {
        for functions in Functions::ALL {
            let engine = Engine::Beaver(Options::of(functions));
            let code = engine.check_student(false).err().and_then(|e| e.chain().find_map(code_in));
            assert_eq!(code, (!functions.fit_two_quad()).then_some(BAD_INPUT), "{functions}");
            assert!(engine.check_student(true).is_ok());
        }
    }
}
