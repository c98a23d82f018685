//! Where the hub is, where its files are kept, and who asks: from the environment, as the Python tools read it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// What a [`super::Hub`] is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's address.
    pub endpoint: String,
    /// The folder that holds `models--...` and `datasets--...`.
    pub cache: PathBuf,
    /// Who asks, for private and gated repositories.
    pub token: Option<Token>,
    /// Only what is in the cache is used.
    pub offline: bool,
    /// Whether progress is shown (on a terminal only).
    pub progress: bool,
    /// How long a silent server is waited for.
    pub timeout: Duration,
    /// How long is waited in total because a busy server asks for it.
    pub patience: Duration,
    /// The first pause before something is tried again; each next one is twice as long.
    pub pause: Duration,
    /// Certificates to trust instead of the usual ones (PEM).
    pub roots: Option<PathBuf>,
}

/// A token of the hub. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    /// A token as the hub's page shows it. `source` is where it was found, for the error.
    pub fn new(text: &str, source: &str) -> Result<Token, Error> {
        let text = text.trim();
        match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
            true => Ok(Token(text.into())),
            false => Err(Error::Usage(format!("{source} holds no token of the hub: letters and digits were expected"))),
        }
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl Settings {
    /// A hub and a cache, everything else as usual: no token, online, progress shown.
    pub fn new(endpoint: &str, cache: &Path) -> Settings {
        Settings {
            endpoint: endpoint.trim_end_matches('/').into(),
            cache: cache.into(),
            token: None,
            offline: false,
            progress: true,
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(60),
            pause: Duration::from_millis(500),
            roots: None,
        }
    }

    /// What the environment says.
    pub fn from_env(quiet: bool) -> Result<Settings, Error> {
        Settings::from(&|name| std::env::var_os(name), quiet)
    }

    fn from(var: &dyn Fn(&str) -> Option<OsString>, quiet: bool) -> Result<Settings, Error> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| var(name).map(|value| value.to_string_lossy().into_owned());
        let is_on = |name: &str| text(name).is_some_and(|value| is_true(&value));
        let user = var("HOME").or_else(|| var("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| var(name).map(|value| expanded(PathBuf::from(value), user.as_deref()));
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache/huggingface")));
        let home = home.ok_or_else(|| Error::Usage("no home folder for the hub's cache: set HF_HOME".into()))?;
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home.join("hub"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let mut settings = Settings::new(&endpoint, &cache);
        if !is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            let named = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(|name| Some((text(name)?, name)));
            settings.token = match named {
                Some((token, name)) => Some(Token::new(&token, name)?),
                None => token_in(&path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token")))?,
            };
        }
        settings.offline = is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE");
        settings.progress = !quiet && !is_on("HF_HUB_DISABLE_PROGRESS_BARS");
        settings.roots = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter().find_map(path);
        if let Some(seconds) = text("HF_HUB_DOWNLOAD_TIMEOUT") {
            let number = seconds.parse().ok().filter(|seconds| *seconds > 0);
            let wrong = || Error::Usage(format!("HF_HUB_DOWNLOAD_TIMEOUT: expected whole seconds, got `{seconds}`"));
            settings.timeout = Duration::from_secs(number.ok_or_else(wrong)?);
        }
        Ok(settings)
    }
}

/// What the Python tools take for yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
}

/// `~/a` in the user's folder.
fn expanded(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

/// The token that `hf auth login` has stored.
fn token_in(path: &Path) -> Result<Option<Token>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Token::new(&text, &path.display().to_string()).map(Some),
        // nobody has logged in, or it is not ours to read
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        let pairs: Vec<(String, OsString)> =
            pairs.iter().map(|(name, value)| (name.to_string(), value.into())).collect();
        Settings::from(&|name| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()), false)
    }

    #[test]
    fn the_environment_is_read_as_the_python_tools_read_it() {
        let plain = settings(&[("HOME", "/home/me")]).unwrap();
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, Path::new("/home/me/.cache/huggingface/hub"));
        assert!(!plain.offline && plain.progress && plain.token.is_none());
        let cache = |pairs: &[(&str, &str)]| settings(pairs).unwrap().cache;
        assert_eq!(cache(&[("HF_HOME", "/a"), ("HOME", "/home/me")]), Path::new("/a/hub"));
        assert_eq!(cache(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "~/b"), ("HOME", "/home/me")]), Path::new("/home/me/b"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "")]), Path::new("/x/huggingface/hub"));
        for yes in ["1", "on", "YES", "True"] {
            assert!(settings(&[("HOME", "/"), ("HF_HUB_OFFLINE", yes)]).unwrap().offline, "{yes}");
        }
        assert!(!settings(&[("HOME", "/"), ("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        assert!(!settings(&[("HOME", "/"), ("HF_HUB_DISABLE_PROGRESS_BARS", "1")]).unwrap().progress);
        assert_eq!(settings(&[("HOME", "/"), ("HF_ENDPOINT", "http://a:1/")]).unwrap().endpoint, "http://a:1");
        assert!(settings(&[]).unwrap_err().to_string().contains("set HF_HOME"));
    }

    #[test]
    fn a_token_comes_from_the_environment_or_a_file_and_does_not_print() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let header = |pairs: &[(&str, &str)]| settings(pairs).unwrap().token.map(|token| token.header());
        assert_eq!(header(&[("HF_HOME", home)]).as_deref(), Some("Bearer hf_file"));
        assert_eq!(header(&[("HF_HOME", home), ("HF_TOKEN", " hf_env\n")]).as_deref(), Some("Bearer hf_env"));
        assert_eq!(header(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let with = settings(&[("HF_HOME", home)]).unwrap();
        assert!(!format!("{with:?}").contains("hf_file"));
        let error = settings(&[("HOME", "/"), ("HF_TOKEN", "hf secret")]).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("secret"), "{error}");
    }
}
