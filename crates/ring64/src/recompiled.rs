//! Safe loops compiled once more, for CPUs that have more than the least.

/// For each signature a safe function that checks the CPU with the `require` beside it, and runs the body of that name
/// in the crate's module compiled for the features.
macro_rules! recompiled {
    ($features:literal; $($module:ident :: $name:ident ( $($arg:ident : $type:ty),* );)+) => {$(
        pub(crate) fn $name($($arg: $type),*) {
            #[target_feature(enable = $features)]
            fn wide($($arg: $type),*) {
                $crate::$module::$name($($arg),*);
            }
            require();
            // SAFETY: the features that `wide` is compiled for are there, `require` has just checked; it is safe otherwise.
            unsafe { wide($($arg),*) }
        }
    )+};
}

pub(crate) use recompiled;
