//! `xai-explain`: from a photo to a picture of what the model looked at.

fn main() -> std::process::ExitCode {
    xai_insert::cli::explain(std::env::args_os()).into()
}
