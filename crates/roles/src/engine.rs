//! Which engine evaluates the network, and what it states of itself.

use std::slice;

use anyhow::Result;
use cli::coded;
use cli::exit::BAD_INPUT;
use model::{Bert, BertWeight, Calibrated, Functions, Lengths, Network, Spec, SpecError, Texts};
use mpc::beaver::{Beaver, FRAC, Options, Sines, Truncation};
use mpc::masked::Masked;
use mpc::{Planned, PrivateEngine};
use serde_json::{Value, json};

/// How the network is evaluated. Public, and the same at all roles: it is part of the plan's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Masked wires: this repository's own.
    #[default]
    Masked,
    /// Additive shares and Beaver's correlations, as SecFormer was published.
    Beaver(Options),
}

impl EngineKind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Masked => "masked",
            EngineKind::Beaver(_) => "beaver",
        }
    }

    /// What it computes in place of softmax, GeLU and roots.
    pub fn functions(self) -> Functions {
        match self {
            EngineKind::Masked => Functions::Series,
            EngineKind::Beaver(options) => options.functions,
        }
    }

    /// What a report says of it.
    pub fn describe(self) -> Value {
        let mut said = json!({ "engine": self.name(), "functions": self.functions().name() });
        if let EngineKind::Beaver(options) = self {
            said["truncation"] = json!(truncation_name(options.truncation));
            if options.functions == Functions::SecFormer {
                said["sines"] = json!(sines_name(options.sines));
            }
        }
        said
    }

    /// What plans, deals and computes by it.
    pub fn private<N: Network<Batch: Sync> + Sync>(self) -> Box<dyn PrivateEngine<N>> {
        match self {
            EngineKind::Masked => Box::new(Masked),
            EngineKind::Beaver(options) => Box::new(Beaver(options)),
        }
    }

    /// Plans a batch.
    pub fn plan(self, calibrated: &Calibrated<Bert>, texts: &Texts) -> Result<Box<dyn Planned>, SpecError> {
        self.private().plan(calibrated, slice::from_ref(texts))
    }

    /// Fractional bits of the parties' shares of the logits.
    pub fn logits_frac(self, spec: &Spec) -> i32 {
        match self {
            EngineKind::Beaver(options) if options.functions != Functions::Series => {
                spec.logits_share_frac().max(FRAC + spec.weight_frac(BertWeight::Classifier))
            }
            _ => spec.logits_share_frac(),
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
        self == EngineKind::Masked
    }

    /// Whether it runs texts that are padded.
    pub fn pads(self) -> bool {
        self == EngineKind::Masked
    }

    /// The protocol and what it assumes, in a line.
    pub fn protocol(self) -> &'static str {
        match self {
            EngineKind::Masked => {
                "masked wires: semi-honest, at most one of the two parties and the dealer corrupted, no collusion"
            }
            EngineKind::Beaver(Options { truncation: Truncation::Local, .. }) => {
                "additive shares and Beaver's correlations, as SecFormer was published: semi-honest, at most one of the two \
                 parties and the dealer corrupted, no collusion; local truncation, which spoils a value now and then"
            }
            EngineKind::Beaver(_) => {
                "additive shares and Beaver's correlations, after SecFormer: semi-honest, at most one of the two parties and \
                 the dealer corrupted, no collusion"
            }
        }
    }

    /// What a run tells everybody.
    pub fn public(self, lengths: Lengths) -> Vec<&'static str> {
        let of_texts = match lengths {
            Lengths::Exact => "tokens of each text",
            Lengths::Padded => "class of lengths of each text",
        };
        let mut public = vec!["model shape", "scales and series", of_texts];
        // nothing restarts on shares
        if self == EngineKind::Masked {
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

#[cfg(test)]
mod tests {
    use cli::exit::code_in;

    use super::*;

    #[test]
    fn only_functions_that_were_taught_pass_without_force() {
        for functions in Functions::ALL {
            let engine = EngineKind::Beaver(Options::of(functions));
            let code = engine.check_student(false).err().and_then(|e| e.chain().find_map(code_in));
            assert_eq!(code, (!functions.fit_two_quad()).then_some(BAD_INPUT), "{functions}");
            assert!(engine.check_student(true).is_ok());
        }
    }
}
