//! Settings by the names of their flags.

use crate::message::Setting;

/// A setting as the command line calls it.
pub(super) fn flag(setting: Setting, value: Option<&str>) -> String {
    let name = match setting {
        Setting::Scaling => return "--no-scaling".to_owned(),
        Setting::ClassToken => return "--no-class-token".to_owned(),
        Setting::BlackBox => return "xai-explain".to_owned(),
        Setting::ListTargets => return "xai-insert --list-targets".to_owned(),
        Setting::Anchors => "num-anchors".to_owned(),
        Setting::Classes => "targets".to_owned(),
        Setting::Kernel => "mask".to_owned(),
        Setting::Library => "openvino-lib".to_owned(),
        Setting::InputSize => "input-size".to_owned(),
        Setting::Shapes => "shape".to_owned(),
        Setting::Strategy => "lowering".to_owned(),
        Setting::TargetLayers => "target-layer".to_owned(),
        other => other.name().replace('_', "-"),
    };
    match value {
        Some(value) => format!("--{name} {value}"),
        None => format!("--{name}"),
    }
}

#[cfg(test)]
#[cfg(feature = "explain")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::{explain, insert, verify};

    /// Names of the flags of all programs.
    fn flags() -> BTreeSet<String> {
        let programs = [insert::Args::command(), explain::Args::command(), verify::Args::command()];
        let arguments = programs.iter().flat_map(clap::Command::get_arguments);
        arguments.filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_setting_has_a_flag_or_is_a_program() {
        let mut flags = flags();
        flags.insert(explain::Args::command().get_name().to_owned());
        for &setting in Setting::ALL {
            for shown in [flag(setting, None), flag(setting, Some("1"))] {
                let named = shown.split(' ').find(|word| flags.contains(*word));
                assert!(named.is_some(), "{setting:?}: {shown}");
            }
        }
    }

    #[test]
    fn nothing_else_knows_flags_or_prints() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        // Names of what is no flag begin like some, as --scale does in --scaled.
        let whole = |text: &str, at: usize| {
            !text[at..].starts_with(|c: char| c.is_alphanumeric() || "-_".contains(c))
        };
        let flags: Vec<String> = flags().into_iter().collect();
        assert!(files.len() > 50 && flags.len() > 50);
        for path in files.iter().filter(|path| !path.starts_with(root.join("cli"))) {
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (i, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
            {
                let known =
                    |flag: &String| line.match_indices(flag).any(|(at, flag)| whole(line, at + flag.len()));
                assert!(!flags.iter().any(known), "{}:{}: {line}", path.display(), i + 1);
                assert!(!line.contains("io::stdout") && !line.contains("io::stderr"), "{line}");
            }
        }
    }
}
