//! The child process on its own: JSON on standard input, PDF on standard output.

fn main() -> std::process::ExitCode {
    ottery_document::run()
}
