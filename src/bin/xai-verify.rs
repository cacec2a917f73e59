//! `xai-verify`: checks a model that xai-insert wrote against the model that it was made from.

fn main() -> std::process::ExitCode {
    xai_insert::cli::verify(std::env::args_os()).into()
}
