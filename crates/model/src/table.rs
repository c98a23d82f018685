//! What a network declares: its parameters, the sites where it opens values and its smooth functions, in one table.
//!
//! A [`Weight`], a [`Site`] and a [`Function`] are numbers in that table. Names are for people; nothing that parties agree on
//! is derived from them.

use std::ops::Index;
use std::sync::Arc;

use crate::activation::Activation;
use crate::operation::Operation;

/// A parameter of a network, by its number in the network's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

/// Where a network opens a value, by its number in the network's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(u32);

/// A smooth function of one variable, evaluated without a message on a phase, by its number in the network's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function(u32);

macro_rules! numbered {
    ($($id:ident),*) => {$(
        impl $id {
            /// Its number in the table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

/// Where a network asks for signs, by its number in the network's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comparison(u32);

numbered!(Weight, Site, Function, Comparison);

/// How a parameter is read, which decides on the form in which each role holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// By matrix products.
    Product,
    /// By products with rows that are zero nearly everywhere: floating point looks its rows up.
    Lookup,
    /// By columns: `[2, columns]`, row 0 is the scale `g` of each column, row 1 is `g / columns`. Where `centred`, the mean of the
    /// result is taken out of each row.
    Columns {
        /// Whether the mean is taken out.
        centred: bool,
    },
    /// Its rows are added to others and never multiplied.
    Added,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As files and errors call it.
    pub name: String,
    /// Rows: inputs.
    pub rows: usize,
    /// Columns: outputs.
    pub cols: usize,
    /// Whether a bias of one number a column goes with it.
    pub bias: bool,
    /// How it is read.
    pub read: Read,
    /// Where the values were opened that it is multiplied with; a bias has the scale of that product.
    pub input: Site,
    /// Number of the streams that mask it; the lowest eight bits are left to its parts. Different for all of a network.
    pub stream: u64,
}

/// One site.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteEntry {
    /// In words.
    pub name: Arc<str>,
    /// Which operation its opening belongs to: what reads the value, or what ends with it.
    pub operation: Operation,
    /// Whether it opens what is missing to a relation that a function promises, and no value of the network.
    pub defect: bool,
    /// Whether its values are integers, which need no fractional bits.
    pub integers: bool,
}

/// One smooth function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionEntry {
    /// In words.
    pub name: Arc<str>,
    /// Which operation it is a part of.
    pub operation: Operation,
    /// What is computed.
    pub smooth: Smooth,
}

/// One comparison with zero.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonEntry {
    /// In words.
    pub name: Arc<str>,
    /// Which operation it is a part of.
    pub operation: Operation,
}

/// What a smooth function computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smooth {
    /// `sqrt(width / (v + width epsilon))` of a sum of `width` squares.
    InverseRoot {
        /// Columns that were summed.
        width: f64,
        /// Added to the mean of the squares.
        epsilon: f64,
    },
    /// `1 / v`.
    Reciprocal,
    /// `exp(v / over)`.
    Exponential {
        /// What the argument is divided by.
        over: f64,
    },
    /// The argument.
    Identity,
    /// An activation less half of its argument ([`Activation::even_part`]).
    EvenPart(Activation),
    /// Hyperbolic tangent.
    Tanh,
}

impl Smooth {
    /// Its value in floating point.
    pub fn value(self, v: f64) -> f64 {
        match self {
            Smooth::InverseRoot { width, epsilon } => (width / (v + width * epsilon)).sqrt(),
            Smooth::Reciprocal => 1.0 / v,
            Smooth::Exponential { over } => (v / over).exp(),
            Smooth::Identity => v,
            Smooth::EvenPart(activation) => activation.even_part(v),
            Smooth::Tanh => v.tanh(),
        }
    }
}

/// All that a network declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    parameters: Vec<Parameter>,
    sites: Vec<SiteEntry>,
    functions: Vec<FunctionEntry>,
    comparisons: Vec<ComparisonEntry>,
}

impl Table {
    /// Declares a site of the network's values.
    pub fn site(&mut self, name: impl Into<Arc<str>>, operation: Operation) -> Site {
        self.sites.push(SiteEntry { name: name.into(), operation, defect: false, integers: false });
        Site(self.sites.len() as u32 - 1)
    }

    /// Declares a site of integers.
    pub fn integers(&mut self, name: impl Into<Arc<str>>, operation: Operation) -> Site {
        let site = self.site(name, operation);
        self.sites[site.index()].integers = true;
        site
    }

    /// Declares the site of a function's defects.
    pub fn defect(&mut self, name: impl Into<Arc<str>>, operation: Operation) -> Site {
        let site = self.site(name, operation);
        self.sites[site.index()].defect = true;
        site
    }

    /// Declares a function.
    pub fn function(&mut self, name: impl Into<Arc<str>>, operation: Operation, smooth: Smooth) -> Function {
        self.functions.push(FunctionEntry { name: name.into(), operation, smooth });
        Function(self.functions.len() as u32 - 1)
    }

    /// Declares a comparison.
    pub fn comparison(&mut self, name: impl Into<Arc<str>>, operation: Operation) -> Comparison {
        self.comparisons.push(ComparisonEntry { name: name.into(), operation });
        Comparison(self.comparisons.len() as u32 - 1)
    }

    /// Declares a parameter.
    ///
    /// # Panics
    ///
    /// Where its stream is another parameter's, or has one of the lowest eight bits: two parts of weights under one mask would show
    /// their difference to both parties.
    pub fn parameter(&mut self, parameter: Parameter) -> Weight {
        let Parameter { name, stream, .. } = &parameter;
        assert_eq!(stream & 0xff, 0, "{name}: the lowest eight bits of a stream are left to its parts");
        let other = self.parameters.iter().find(|other| other.stream == *stream);
        assert!(other.is_none(), "{name} has the stream of {}", other.map_or("", |other| &other.name));
        self.parameters.push(parameter);
        Weight(self.parameters.len() as u32 - 1)
    }

    /// All parameters, in the order of their declaration.
    pub fn parameters(&self) -> impl Iterator<Item = (Weight, &Parameter)> {
        self.parameters.iter().enumerate().map(|(number, parameter)| (Weight(number as u32), parameter))
    }

    /// All sites, in the order of their declaration.
    pub fn sites(&self) -> impl Iterator<Item = Site> + use<> {
        (0..self.sites.len() as u32).map(Site)
    }

    /// All functions, in the order of their declaration.
    pub fn functions(&self) -> impl Iterator<Item = Function> + use<> {
        (0..self.functions.len() as u32).map(Function)
    }

    /// All comparisons, in the order of their declaration.
    pub fn comparisons(&self) -> impl Iterator<Item = Comparison> + use<> {
        (0..self.comparisons.len() as u32).map(Comparison)
    }
}

impl Index<Weight> for Table {
    type Output = Parameter;

    fn index(&self, weight: Weight) -> &Parameter {
        &self.parameters[weight.index()]
    }
}

impl Index<Site> for Table {
    type Output = SiteEntry;

    fn index(&self, site: Site) -> &SiteEntry {
        &self.sites[site.index()]
    }
}

impl Index<Function> for Table {
    type Output = FunctionEntry;

    fn index(&self, function: Function) -> &FunctionEntry {
        &self.functions[function.index()]
    }
}

impl Index<Comparison> for Table {
    type Output = ComparisonEntry;

    fn index(&self, comparison: Comparison) -> &ComparisonEntry {
        &self.comparisons[comparison.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(streams: &[u64]) {
        let mut table = Table::default();
        let input = table.site("input", Operation::Others);
        for stream in streams {
            let (name, read) = (format!("weight {stream}"), Read::Product);
            table.parameter(Parameter { name, rows: 1, cols: 1, bias: true, read, input, stream: *stream });
        }
    }

    #[test]
    #[should_panic(expected = "weight 256 has the stream of weight 256")]
    fn no_two_parameters_have_one_stream() {
        declare(&[0, 256, 512]);
        declare(&[0, 256, 256]);
    }

    #[test]
    #[should_panic(expected = "are left to its parts")]
    fn a_parameters_parts_have_streams_of_their_own() {
        declare(&[256, 257]);
    }
}
