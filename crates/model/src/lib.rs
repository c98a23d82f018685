//! Networks written once, as functions of an [`Engine`], and what an engine needs to know to evaluate them.
//!
//! A [`Network`] declares its parameters, sites and smooth functions in a [`Table`] and says how it runs; [`Bert`] is one.
//! [`Float`] interprets it in floating point, [`Clear`] on fixed-point integers; private engines interpret it elsewhere through
//! [`Arithmetic`]. [`fold()`] turns a checkpoint into a BERT's weights, [`calibrate()`] observes ranges, [`choose()`] turns ranges
//! into a [`Spec`]: scales and series, which [`Spec::calibrated`] gives the engines as [`Scales`].
//!
//! Sources: 2Quad from MPCFormer and SecFormer (Alg. 3), here without their Goldschmidt iterations; smooth functions as
//! Fourier series after SecFormer's sine protocol (Alg. 4), here without its comparisons.

mod activation;
mod arithmetic;
mod attention;
mod bert;
mod calibrate;
mod certificate;
mod checks;
mod choose;
mod choose_error;
mod clear;
mod compare;
mod compared;
mod comparisons;
mod config;
mod config_error;
mod curves;
mod defect;
mod engine;
mod exponential;
mod fit;
mod fixed;
mod float;
mod fold;
mod function_choose;
mod function_spec;
mod functions;
mod heads;
mod keys;
mod labels;
mod layout;
mod matrix;
mod moments;
mod network;
mod norm;
mod opening;
mod operation;
mod padding;
mod positive;
mod quantise;
mod ranges;
mod relative;
mod relu_attention;
mod relu_choose;
mod relu_spec;
mod restarts;
mod row_shift;
mod sample;
mod scales;
pub mod secformer;
mod series;
mod shape;
mod signs;
mod softmax;
mod softmax_choose;
mod softmax_padding;
mod softmax_ranges;
mod softmax_spec;
mod softmax_split;
mod span;
mod spec;
mod spec_error;
mod split;
mod synthetic;
mod table;

pub use activation::{Activation, Pooler, gelu, gelu_tanh};
pub use arithmetic::{Arithmetic, Evaluation, Form, PhaseOpening, PhaseSegment, Place, RowShift, Value, WireOpening};
pub use attention::{Gates, attend};
pub use bert::{
    Bert, BertComparison, BertFunction, BertSite, BertWeight, ClearError, InputKind, RELATIVE_BUCKETS, clear_certified,
    clear_logits, clear_trace,
};
pub use calibrate::{
    CALIBRATION_VERSION, HeadRanges, LayerRanges, NormRanges, Ranges, SHORT, calibrate, calibrate_unusual, shortened,
    stretched_count,
};
pub use certificate::{Certificate, ORDINARY};
pub use checks::Checks;
pub use choose::{Choice, choose};
pub use choose_error::ChooseError;
pub use clear::Clear;
pub use compare::{abs, argmax, maximum, negative, relu, select};
pub use compared::{Chunks, Compared, MOST_CHUNKS, Pace, sign_words};
pub use comparisons::{Comparing, Comparisons, Flipping, Joining, SignBits};
pub use config::{
    AttentionKind, AttentionShift, Config, DEFAULT_ATTENTION_SHIFT, ProblemType, TEXT_PAIR, TWO_RELU_EPSILON,
};
pub use config_error::ConfigError;
pub use engine::{
    Attending, Block, Engine, FEATURES, Flipped, Head, HeadPadding, Norm, Opened, Reciprocal, Rhs, Rotation,
    SoftmaxHead,
};
pub use fit::{Fit, Problem, Terms};
pub use fixed::{Fixed, Outputs};
pub use float::{Float, FloatTrace, Observer};
pub use fold::{FoldError, Folded, Tensors, fold};
pub use function_spec::{ActivationSpec, DivisionSpec, PoolerSpec, ReluSpec};
pub use functions::Functions;
pub use labels::{MOST_LABELS, unnamed};
pub use layout::{
    add_to_columns, assemble, copy_block, join_columns, outer_product, rotate, scale_rows, split_columns,
};
pub use matrix::{Matrices, Matrix};
pub use network::{Calibrated, Input, Network, Output};
pub use norm::{apply, normalise, open};
pub use opening::{CERTIFICATE_FRAC, CERTIFICATE_FRACS, Curve, DEFECT, Opening, STRETCH_FRAC, Segment};
pub use operation::Operation;
pub use quantise::{QuantiseError, Quantised, Words, quantise};
pub use ranges::check as check_ranges;
pub use relu_spec::RaisedSpec;
pub use restarts::restart_probability;
pub use row_shift::fit_row_shifts;
pub use sample::{PADDING, Sample, SampleError, batch_rows, embed, one_hot};
pub use scales::{Scaled, Scales};
pub use series::Series;
pub use shape::{
    Lengths, MOST_ROWS, MOST_TEXTS, SHORTEST_CLASS, SHORTEST_PADDED, Shape, TOKEN_CLASSES, Texts, TextsError,
    token_class,
};
pub use signs::Signs;
pub use softmax_ranges::SoftmaxRanges;
pub use softmax_spec::{SoftmaxSpec, TwoSteps};
pub use span::Span;
pub use spec::{HeadSpec, LayerSpec, NormSpec, PaddedHead, PaddedSpec, SPEC_VERSION, Spec};
pub use spec_error::{LEAST_HEADROOM, SpecError};
pub use split::{Part, weight_mask};
pub use synthetic::synthetic;
pub use table::{
    Comparison, ComparisonEntry, Function, FunctionEntry, Parameter, Read, Site, SiteEntry, Smooth, Table, Weight,
};
