//! Mistakes of an operator or a client at their own machine, which no other role should notice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cli::exit::{BAD_INPUT, LOST, TAKEN};

use super::{Ground, STRANGER};

pub(super) fn mistakes(ground: &mut Ground) {
    ground.row("a port that is taken", &[], |world| {
        let said = world.configured(&["party"], "party0", &[]);
        said.ended(TAKEN, &["cannot listen on 127.0.0.1:", "stop the program that has this port"]);
    });
    ground.row("an address where nobody is", &[], |world| {
        for address in ["127.0.0.1:1", "192.0.2.1:7100"] {
            let set = format!("peers.party0.address={address}");
            let said = world.infer(STRANGER, &[&set, "run.deadline=1"]);
            said.ended(
                LOST,
                &[&format!("cannot reach party0 at {address}"), "is it running, and is the address right?"],
            );
        }
    });
    ground.row("a name that stands for no address", &[], |world| {
        let said = world.infer(STRANGER, &["peers.party0.address=nowhere.invalid:7100", "run.deadline=1"]);
        said.ended(LOST, &["cannot reach party0 at nowhere.invalid:7100", "lookup address"]);
    });
    ground.row("a configuration with a typo", &[], |world| {
        let text = fs::read_to_string(world.services.config("party0")).unwrap();
        let wrong = world.services.folder("party0").join("wrong.toml");
        fs::write(&wrong, text.replace("sessions = 12", "sesions = 12")).unwrap();
        let said = world.runtime(&["party", "--config", &wrong.display().to_string()]);
        said.ended(BAD_INPUT, &["wrong.toml:", "unknown key `limits.sesions`; did you mean `limits.sessions`?"]);
    });
    keys(ground);
}

fn keys(ground: &mut Ground) {
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for name in ["key.pem", "cert.pem"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    };
    for name in ["party0", "dealer"] {
        let command = if name == "dealer" { "dealer" } else { "party" };
        ground.row("a key that others may read", &[], |world| {
            let folder = world.path("open");
            copy(&world.services.folder(name).join("keys"), &folder);
            fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
            let said = world.configured(&[command], name, &[&format!("keys={}", folder.display())]);
            said.ended(BAD_INPUT, &["key.pem: others than its owner may read this key (mode 0644): chmod 600 it"]);
        });
        ground.row("a key that is lost", &[], |world| {
            let folder = world.path("open");
            fs::remove_file(folder.join("key.pem")).unwrap();
            let said = world.configured(&[command], name, &[&format!("keys={}", folder.display())]);
            said.ended(BAD_INPUT, &["key.pem: there is no such file; `runtime keys new` makes"]);
        });
    }
}
