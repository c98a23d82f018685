//! Addresses: putting them together, and telling whose they are.
//!
//! Not by the crate `url`: it writes an address anew, and what a redirect leads to may be signed as it stands; and whether the token
//! may be sent is to be judged by the parser that also connects, which is ureq's.

use ureq::http::Uri;

/// A part of an address, with everything that could be read as something else escaped.
pub(super) fn escaped(part: &str) -> String {
    let mut text = String::new();
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Whether two addresses are of the same server: only such a one may see the token.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    server(one).is_some_and(|one| Some(one) == server(other))
}

fn server(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// The server of an address, without the rest; none where the address holds a user.
pub(super) fn server_of(url: &str) -> Option<String> {
    let (scheme, host, port) = server(url)?;
    let authority = url.split_once("://")?.1.split('/').next()?;
    (!authority.contains('@')).then(|| format!("{scheme}://{host}:{port}"))
}

/// Whether a server is on this machine: no proxy stands between.
pub(super) fn is_loopback(url: &str) -> bool {
    server(url).is_some_and(|(_, host, _)| host == "localhost" || host.starts_with("127.") || host == "[::1]")
}

/// Where a redirect leads. None: nowhere, or from a secret connection to an open one.
pub(super) fn joined(from: &str, location: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let folder = path.split(['?', '#']).next()?.rsplit_once('/').map_or("", |(folder, _)| folder);
    let url = match location {
        "" => return None,
        _ if location.contains("://") => location.to_string(),
        _ if location.starts_with("//") => format!("{scheme}:{location}"),
        _ if location.starts_with('/') => format!("{scheme}://{host}{location}"),
        _ if folder.is_empty() => format!("{scheme}://{host}/{location}"),
        _ => format!("{scheme}://{host}/{folder}/{location}"),
    };
    let lower = url.to_ascii_lowercase();
    let open = lower.starts_with("http://") && scheme != "https";
    (open || lower.starts_with("https://")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://a.co/x/y?z=/w";
        for (location, to) in [
            ("/b/c", "https://a.co/b/c"),
            ("c", "https://a.co/x/c"),
            ("//b.co/c", "https://b.co/c"),
            ("https://b.co/c?d=e://f", "https://b.co/c?d=e://f"),
        ] {
            assert_eq!(joined(from, location).as_deref(), Some(to));
        }
        assert_eq!((joined(from, "http://a.co/"), joined(from, "file:///etc")), (None, None));
        assert_eq!(joined("http://a.co", "http://b.co/").as_deref(), Some("http://b.co/"));
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        assert!(same_server("https://A.co/x", "https://a.co:443/y"));
        for other in ["http://a.co/", "https://b.a.co/", "https://a.co:8443/", "https://a.co.evil/", "x"] {
            assert!(!same_server("https://a.co/", other), "{other}");
        }
        assert!(is_loopback("http://127.0.0.1:99") && !is_loopback("http://a.co"));
        assert_eq!(escaped("refs/pr/1 #?"), "refs%2Fpr%2F1%20%23%3F");
    }
}
