//! What TLS says, in words that say what to do.

use rustls::{AlertDescription, Error, PeerIncompatible};

use super::record::Broken;
use crate::pin::Pin;

/// What to look at when TLS broke. `ours` is the pin that the peer knows us by.
pub(crate) fn why(error: &Error, ours: Pin) -> String {
    match error {
        Error::AlertReceived(alert) => format!("it refused us: {}", alerted(*alert, ours)),
        Error::NoCertificatesPresented => "it showed no certificate; both sides must have one".to_owned(),
        Error::NoApplicationProtocol => other_protocol(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "it does not offer TLS 1.3, and nothing older is spoken here; is it a program of this project?".to_owned(),
        Error::DecryptError => {
            "a record was changed on its way, or is not of this connection; look for what stands in between, and reconnect"
                .to_owned()
        }
        Error::InvalidCertificate(error) => format!("its certificate does not prove its key ({error})"),
        error => format!("it broke TLS ({error}); is it a program of this project?"),
    }
}

/// What to look at when a connection broke after its handshake.
pub(crate) fn why_broken(broken: &Broken, ours: Pin) -> String {
    match broken {
        Broken::Tls(error) => why(error, ours),
        Broken::Refused(what, _) => format!("it broke TLS (it sent {what}); is it a program of this project?"),
    }
}

/// It speaks TLS, but not our protocol in it.
pub(crate) fn other_protocol() -> String {
    "it speaks TLS, but not this program's protocol (private-bert/1); another service is at that address".to_owned()
}

/// What a peer means by its alert.
fn alerted(alert: AlertDescription, ours: Pin) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateUnknown | A::AccessDenied | A::UnknownCA => {
            format!("it does not know our key; its operator puts our pin {ours} into its configuration")
        }
        A::CertificateExpired => {
            "our certificate has expired or is not valid yet by its clock; see `runtime keys show`, \
                                  and compare both clocks"
                .to_owned()
        }
        A::BadCertificate | A::UnsupportedCertificate | A::DecryptError => {
            format!("our certificate or our proof of its key is not good enough ({alert:?}); see `runtime keys show`")
        }
        A::CertificateRequired => "it wants a certificate and got none".to_owned(),
        A::ProtocolVersion => "it does not speak TLS 1.3".to_owned(),
        A::NoApplicationProtocol => other_protocol(),
        A::BadRecordMac => "a record of ours was changed on its way; look for what stands in between".to_owned(),
        alert => format!("{alert:?}; look at its own log for the reason"),
    }
}

/// What those who do not speak TLS are, by the first bytes they sent; nothing for those who do.
pub(crate) fn not_tls(first: &[u8]) -> Option<&'static str> {
    // the kinds of record that a peer may begin with: handshake, alert
    if first.first().is_none_or(|kind| [0x16, 0x15].contains(kind)) {
        return None;
    }
    let kinds: [(&[&[u8]], &str); 5] = [
        (&[b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"PRI "], "an HTTP request"),
        (&[b"HTTP"], "an HTTP answer"),
        (&[b"PTIF"], "a frame of this program without TLS: both sides need it"),
        (&[b"SSH-"], "a greeting of SSH"),
        (&[b"PROX"], "a header of the PROXY protocol: switch that off in the balancer"),
    ];
    let known = kinds.iter().find(|(begins, _)| begins.iter().any(|begin| first.starts_with(begin)));
    Some(known.map_or("bytes of another protocol", |(_, kind)| kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_do_not_speak_tls_are_named_without_their_bytes() {
        let kinds: [(&[u8], Option<&str>); 7] = [
            (b"", None),
            (b"\x16\x03\x01", None),
            (b"\x15\x03", None),
            (b"GET /secret", Some("an HTTP request")),
            (b"HTTP/1.1 200", Some("an HTTP answer")),
            (b"PTIF\x02", Some("a frame of this program without TLS: both sides need it")),
            (b"\0\0secret", Some("bytes of another protocol")),
        ];
        for (first, kind) in kinds {
            assert_eq!(not_tls(first), kind, "{first:?}");
        }
    }
}
