//! What a link around another leaves to that one.

/// Writes methods of a [`Link`](crate::Link) that are those of the link inside: `forward_link!(|link| link.inner; recv, flush)`.
macro_rules! forward_link {
    (|$link:ident| $inner:expr; $($method:ident),+) => {
        $($crate::forward::forward_link!(@$method $link $inner);)+
    };
    (@send $link:ident $inner:expr) => {
        fn send(&mut self, frame: $crate::Frame) -> Result<(), $crate::NetError> {
            let $link = self;
            $inner.send(frame)
        }
    };
    (@recv $link:ident $inner:expr) => {
        fn recv(&mut self) -> Result<$crate::Frame, $crate::NetError> {
            let $link = self;
            $inner.recv()
        }
    };
    (@flush $link:ident $inner:expr) => {
        fn flush(&mut self) -> Result<(), $crate::NetError> {
            let $link = self;
            $inner.flush()
        }
    };
    (@deadline $link:ident $inner:expr) => {
        fn deadline(&self) -> ::std::time::Duration {
            let $link = self;
            $inner.deadline()
        }
    };
    (@set_deadline $link:ident $inner:expr) => {
        fn set_deadline(&mut self, deadline: ::std::time::Duration) {
            let $link = self;
            $inner.set_deadline(deadline);
        }
    };
    (@set_session $link:ident $inner:expr) => {
        fn set_session(&mut self, tag: u64) {
            let $link = self;
            $inner.set_session(tag);
        }
    };
    (@set_limits $link:ident $inner:expr) => {
        fn set_limits(&mut self, limits: $crate::Limits) {
            let $link = self;
            $inner.set_limits(limits);
        }
    };
    (@counters $link:ident $inner:expr) => {
        fn counters(&self) -> $crate::Counters {
            let $link = self;
            $inner.counters()
        }
    };
    (@peer $link:ident $inner:expr) => {
        fn peer(&self) -> &str {
            let $link = self;
            $inner.peer()
        }
    };
}

pub(crate) use forward_link;
