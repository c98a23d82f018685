//! BERT written once, as a function of an [`Engine`], and what an engine needs to know to evaluate it.
//!
//! [`classify`] is the network. [`Float`] interprets it in floating point, [`Clear`] on fixed-point integers, [`Plan`] on
//! shapes alone; private engines interpret it elsewhere through [`Arithmetic`]. [`fold()`] turns a checkpoint into the
//! network's weights, [`calibrate()`] observes ranges, [`choose()`] turns ranges into a [`Spec`]: scales and series.
//!
//! Sources: 2Quad from MPCFormer and SecFormer (Alg. 3), here without their Goldschmidt iterations; smooth functions as
//! Fourier series after SecFormer's sine protocol (Alg. 4), here without its comparisons.

mod activation;
mod bert;
mod calibrate;
mod certificate;
mod choose;
mod clear;
mod config;
mod engine;
mod fit;
mod fixed;
mod float;
mod fold;
mod functions;
mod keys;
mod labels;
mod plan;
mod positive;
mod ranges;
mod sample;
pub mod secformer;
mod series;
mod shape;
mod spec;
mod split;
mod synthetic;

pub use activation::{Activation, gelu, gelu_tanh};
pub use bert::{Head, InputKind, classify, two_quad};
pub use calibrate::{
    CALIBRATION_VERSION, HeadRanges, LayerRanges, NormRanges, Ranges, SHORT, Span, calibrate, calibrate_unusual,
    shortened, stretched_count,
};
pub use certificate::{CERTIFICATE_FRAC, CERTIFICATE_FRACS, Checks, Classified, ORDINARY};
pub use choose::{Choice, ChooseError, choose};
pub use clear::{
    Clear, ClearError, QuantiseError, Quantised, Words, assemble, clear_certified, clear_logits, clear_trace,
    copy_block, join_columns, quantise, split_columns,
};
pub use config::{
    AttentionKind, AttentionShift, Config, ConfigError, DEFAULT_ATTENTION_SHIFT, ProblemType, TEXT_PAIR,
    TWO_RELU_EPSILON,
};
pub use engine::{Block, Engine, Function, Opened, Rhs, Site, Weight, norm_name};
pub use fit::{Fit, Problem, Terms};
pub use fixed::{
    Arithmetic, Fixed, Form, PhaseOpening, PhaseSegment, Place, Value, WireOpening, columns_of, input_form,
};
pub use float::{Float, FloatTrace, Observer};
pub use fold::{FoldError, Folded, Matrix, Tensors, fold};
pub use functions::{Functions, Operation};
pub use labels::{MOST_LABELS, unnamed};
pub use plan::{Cost, Demand, OPENING_FRAME, Plan, opening_frames};
pub use ranges::check as check_ranges;
pub use sample::{Sample, SampleError, embed, one_hot};
pub use series::Series;
pub use shape::{MOST_ROWS, MOST_TEXTS, Shape, TOKEN_CLASSES, Texts, TextsError, token_class};
pub use spec::{Curve, HeadSpec, LEAST_HEADROOM, LayerSpec, NormSpec, Opening, SPEC_VERSION, Segment, Spec, SpecError};
pub use split::{Part, weight_mask};
pub use synthetic::synthetic;
