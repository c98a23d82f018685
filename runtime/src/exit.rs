//! Which exit code an error of a command has: those of roles, and of the programs that it calls.

use cli::exit::{BAD_INPUT, OTHER};

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> i32 {
    error.chain().find_map(of_cause).unwrap_or(OTHER)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<i32> {
    if let Some(code) = roles::exit::of_cause(cause) {
        return Some(code);
    }
    if let Some(error) = cause.downcast_ref::<convert::ConvertError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<datasets::Error>() {
        return Some(error.exit_code());
    }
    cause.is::<checkpoint::Error>().then_some(BAD_INPUT)
}
