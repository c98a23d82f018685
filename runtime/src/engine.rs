//! Which engine evaluates the network, and what follows from it: plans, their costs and digests, for either engine.

use std::sync::Arc;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use cli::coded;
use cli::exit::{BAD_INPUT, USAGE};
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

/// An engine by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Named {
    /// Masked wires.
    #[default]
    Masked,
    /// SecFormer as published, on additive shares: for comparison.
    Beaver,
}

/// Flags that choose the engine: of those that start roles, and of the roles themselves.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct EngineFlags {
    /// Which engine evaluates the network.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Named,
    /// Which functions stand for softmax, GeLU and roots: calibrated series (the only ones of masked), SecFormer's (the
    /// default of beaver), MPCFormer's, or exact ones after CrypTen.
    #[arg(long, value_name = "NAME", value_parser = functions())]
    pub functions: Option<Functions>,
    /// How beaver's products return to their scale: each party alone, as published (the default), or with a dealt mask, one
    /// more round each.
    #[arg(long, value_name = "HOW", value_parser = truncations())]
    pub truncation: Option<Truncation>,
    /// Which sines stand for erf in SecFormer's GeLU: its own (the default), or ones fitted again.
    #[arg(long, value_name = "WHICH", value_parser = sines())]
    pub sines: Option<Sines>,
}

fn functions() -> impl TypedValueParser<Value = Functions> {
    let of = |name: String| Functions::ALL.into_iter().find(|f| f.name() == name).unwrap_or_default();
    PossibleValuesParser::new(Functions::ALL.map(Functions::name)).map(of)
}

const DEALT: &str = "dealt";
const REFITTED: &str = "refitted";

fn truncations() -> impl TypedValueParser<Value = Truncation> {
    let of = |name: String| if name == DEALT { Truncation::Dealt } else { Truncation::Local };
    PossibleValuesParser::new(["local", DEALT]).map(of)
}

fn sines() -> impl TypedValueParser<Value = Sines> {
    let of = |name: String| if name == REFITTED { Sines::Refitted } else { Sines::Published };
    PossibleValuesParser::new(["published", REFITTED]).map(of)
}

impl EngineFlags {
    /// The engine that the flags say.
    pub fn chosen(&self) -> Result<Engine> {
        let EngineFlags { engine, functions, truncation, sines } = *self;
        if engine == Named::Beaver {
            let functions = functions.unwrap_or(Functions::SecFormer);
            if sines.is_some() && functions != Functions::SecFormer {
                return Err(coded(USAGE, "--sines is for --functions secformer; leave it out"));
            }
            let published = Options::of(functions);
            // series keep masked wires' scales, which leave local truncation no room
            let safe = if functions == Functions::Series { Truncation::Dealt } else { Truncation::Local };
            let (truncation, sines) = (truncation.unwrap_or(safe), sines.unwrap_or_default());
            return Ok(Engine::Beaver(Options { truncation, sines, ..published }));
        }
        if functions.is_some_and(|functions| functions != Functions::Series) {
            return Err(coded(USAGE, "the masked engine evaluates series only; add --engine beaver"));
        }
        for (flag, given) in [("--truncation", truncation.is_some()), ("--sines", sines.is_some())] {
            if given {
                return Err(coded(USAGE, format!("{flag} is beaver's; add --engine beaver, or leave it out")));
            }
        }
        Ok(Engine::Masked)
    }
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

    /// The flags that say the same.
    pub fn flags(self) -> Vec<&'static str> {
        let mut flags = vec!["--engine", self.name(), "--functions", self.functions().name()];
        if let Engine::Beaver(options) = self {
            flags.extend(["--truncation", truncation_name(options.truncation)]);
            if options.functions == Functions::SecFormer {
                flags.extend(["--sines", sines_name(options.sines)]);
            }
        }
        flags
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
            true => crate::log(&format!("warning: {wrong}: its answers mean nothing")),
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

fn truncation_name(truncation: Truncation) -> &'static str {
    match truncation {
        Truncation::Local => "local",
        Truncation::Dealt => DEALT,
    }
}

fn sines_name(sines: Sines) -> &'static str {
    match sines {
        Sines::Published => "published",
        Sines::Refitted => REFITTED,
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
    fn flags_say_what_they_were_made_from() {
        let chosen = |flags: EngineFlags| flags.chosen().map_err(|e| e.chain().find_map(code_in));
        let beaver = EngineFlags { engine: Named::Beaver, ..EngineFlags::default() };
        assert_eq!(chosen(EngineFlags::default()), Ok(Engine::Masked));
        assert_eq!(chosen(beaver), Ok(Engine::Beaver(Options::of(Functions::SecFormer))));
        let masked = EngineFlags::default();
        for wrong in [
            EngineFlags { functions: Some(Functions::SecFormer), ..masked },
            EngineFlags { truncation: Some(Truncation::Local), ..masked },
            EngineFlags { sines: Some(Sines::Published), ..masked },
            EngineFlags { sines: Some(Sines::Published), functions: Some(Functions::Exact), ..beaver },
        ] {
            assert_eq!(chosen(wrong), Err(Some(USAGE)), "{wrong:?}");
        }
        assert_eq!(chosen(EngineFlags { functions: Some(Functions::Series), ..masked }), Ok(Engine::Masked));
        let all = EngineFlags {
            functions: Some(Functions::SecFormer),
            truncation: Some(Truncation::Dealt),
            sines: Some(Sines::Refitted),
            ..beaver
        };
        let flags = chosen(all).unwrap_or_default().flags().join(" ");
        assert_eq!(flags, "--engine beaver --functions secformer --truncation dealt --sines refitted");
    }

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
