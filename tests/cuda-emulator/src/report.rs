//! What happened, as one line of JSON when the process ends.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::io::Write as _;

use crate::driver::{Device, Driver, Moves};

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has the report written when the process ends by returning or by `exit`.
pub fn at_exit() {
    // SAFETY: `atexit` only keeps the function, which lives as long as this library; it is never unloaded before, since the
    // programs that use it are linked to it.
    unsafe { atexit(write) };
}

extern "C" fn write() {
    let driver = Driver::lock();
    let Some(path) = &driver.settings.report else { return };
    let line = render(&driver) + "\n";
    // Appended in one piece, so that processes that end together do not mix their lines.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("CUDA emulator: the report cannot be written to {}: {error}", path.display());
    }
}

/// One object. Names of kernels are C identifiers, so nothing in it needs escapes.
pub fn render(driver: &Driver) -> String {
    let mut text = String::from("{");
    // Writing to a string cannot fail.
    let _ = write!(text, "\"process\":{},\"kernels\":{{", std::process::id());
    for (number, (name, work)) in driver.kernel_work.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}\"{name}\":{{\"launches\":{},\"instructions\":{},\"seconds\":{:.6}}}",
            work.times, work.instructions, work.seconds
        );
    }
    let _ = write!(text, "}},\"cublas\":{{");
    for (number, (name, work)) in driver.blas_work.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ =
            write!(text, "{comma}\"{name}\":{{\"calls\":{},\"seconds\":{:.6}}}", work.times, work.seconds);
    }
    let _ = write!(
        text,
        "}},\"launches\":{},\"memsets\":{},\"copies_to_device\":{},\"copies_to_host\":{},\"copies_on_device\":{},\"synchronizations\":{},\"live_streams\":{},\"live_events\":{},\"live_cublas_handles\":{},\"devices\":[",
        driver.launches,
        render_moves(driver.memsets),
        render_moves(driver.copies_to_device),
        render_moves(driver.copies_to_host),
        render_moves(driver.copies_on_device),
        driver.synchronizations,
        driver.streams.len(),
        driver.events.len(),
        driver.blas.len()
    );
    for (number, device) in driver.devices.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{}", render_device(device));
    }
    text + "]}"
}

fn render_moves(moves: Moves) -> String {
    format!("{{\"calls\":{},\"bytes\":{}}}", moves.times, moves.bytes)
}

fn render_device(device: &Device) -> String {
    let poisoned = device.poisoned.map_or("null".to_owned(), |error| format!("\"{}\"", error.name()));
    format!(
        "{{\"allocations\":{},\"peak_bytes\":{},\"live_bytes\":{},\"live_blocks\":{},\"abandoned_bytes\":{},\"abandoned_blocks\":{},\"poisoned\":{poisoned}}}",
        device.allocations,
        device.peak_bytes,
        device.live_bytes,
        device.live_blocks,
        device.abandoned_bytes,
        device.abandoned_blocks
    )
}
