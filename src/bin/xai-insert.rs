//! `xai-insert`: adds a saliency map output to models in OpenVINO IR.

fn main() -> std::process::ExitCode {
    xai_insert::cli::insert(std::env::args_os()).into()
}
