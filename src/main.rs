//! The command line program: parse, run, map errors to exit codes.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_device_selection();
    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(e) => {
            // A reader that went away needs no help text.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    match cli::run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            for line in e.message.lines() {
                cli::out::note(&format!("error: {line}"));
            }
            ExitCode::from(e.kind.exit_code())
        }
    }
}

/// Mesa's layer that picks a default device asks for a Wayland session and complains on standard error where there is
/// none. The device is picked here, so where no session is announced the layer is told to stay away.
fn quiet_device_selection() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing the program does; no other thread exists that could read the environment.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
}
